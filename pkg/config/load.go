package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bmad-forge/forgectl/pkg/proc"
	"golang.org/x/sys/unix"
)

// DefaultPath is the configuration file that is read when nothing names another; it need not exist.
const DefaultPath = "/etc/bmad-forge/forgectl.yaml"

// SystemStateDir is the default of state_dir for root, and for whoever can write there.
const SystemStateDir = "/var/lib/forgectl"

// Options is everything that Load does not find out by itself. The zero value gives the defaults of an ordinary user
// (and reads the file at DefaultPath, if there is one).
type Options struct {
	Path       string            // the file that was asked for, by --config; empty: FORGECTL_CONFIG of Environ, then DefaultPath
	PathSource string            // who asked for Path, for messages; empty: "flag --config"
	Environ    []string          // "NAME=value", as os.Environ gives it
	Flags      map[string]string // dotted key -> value of the flags that were given
	FlagNames  map[string]string // dotted key -> flag, without dashes; default: see flagName
	Root       bool              // this is the superuser
	Home       string            // home directory; empty: HOME of Environ
}

// Loaded is a configuration and where every part of it came from.
type Loaded struct {
	Config
	File    string   // the file that was read; empty: none
	Environ []string // Options.Environ over the variables of the application's environment file: where to look for PG*

	rows   []*key
	strays []string // FORGECTL_ variables that mean nothing
}

// Load reads the file, the environment and the flags.
func Load(o Options) (*Loaded, error) { return load(o, DefaultPath) }

// load is Load with another place for the default file.
func load(o Options, defaultPath string) (*Loaded, error) {
	l := &Loaded{}
	env := environment(o.Environ)
	home := o.Home
	if home == "" {
		home = env["HOME"].value
	}
	rows, err := withDefaults(&l.Config, site{home: home, stateDir: defaultStateDir(SystemStateDir, o.Root, env["XDG_STATE_HOME"].value, home)})
	if err != nil {
		return nil, err
	}
	l.rows = rows
	file, data, err := readConfigFile(o, env, defaultPath)
	if err != nil {
		return nil, err
	}
	l.File = file
	mistakes := readYAML(file, data, l.rows)
	mistakes = append(mistakes, l.applyRest(o, env)...)
	if len(mistakes) == 0 {
		l.derive()
		mistakes = append(mistakes, l.exposed()...)
	}
	if err := join(mistakes); err != nil {
		return nil, err
	}
	return l, nil
}

// withDefaults is the table with every default in its field.
func withDefaults(c *Config, s site) ([]*key, error) {
	rows := table(c, s)
	for _, k := range rows {
		if k.section() {
			continue
		}
		k.source = "default"
		if err := k.value.setText(k.def); err != nil {
			return nil, fmt.Errorf("default of %s: %w", k.name, err)
		}
	}
	return rows, nil
}

// join returns one mistake as it is and several together, those of the file in its order.
func join(mistakes []*Error) error {
	slices.SortStableFunc(mistakes, func(a, b *Error) int {
		if a.File != b.File {
			return 0
		}
		return a.Line - b.Line
	})
	switch len(mistakes) {
	case 0:
		return nil
	case 1:
		return mistakes[0]
	}
	errs := make([]error, len(mistakes))
	for i, e := range mistakes {
		errs[i] = e
	}
	return errors.Join(errs...)
}

// maxFile bounds what is read as a configuration, lest somebody names a disk image.
const maxFile = 1 << 20

// readConfigFile finds and reads the configuration file. That the default one is missing is fine; one that was asked
// for must be there, and any that is there must be readable: to go on with the defaults would work on the wrong things.
func readConfigFile(o Options, env map[string]setting, defaultPath string) (string, []byte, error) {
	path, source := o.Path, o.PathSource
	if path != "" && source == "" {
		source = "flag --config"
	}
	if v := env["FORGECTL_CONFIG"]; path == "" && v.value != "" {
		path, source = v.value, "environment FORGECTL_CONFIG"
	}
	asked := path != ""
	if !asked {
		path = defaultPath
	}
	data, info, err := readBounded(path)
	if errors.Is(err, fs.ErrNotExist) && !asked {
		return "", nil, nil
	}
	if err != nil {
		msg := "read configuration: " + cause(err)
		if asked {
			msg += " (asked for by " + source + ")"
		}
		return "", nil, &Error{File: path, Msg: msg, Err: err}
	}
	if info.Mode().IsRegular() && info.Mode().Perm()&0o002 != 0 {
		return "", nil, &Error{File: path, Msg: "everybody may write this file, and with it choose commands that forgectl runs: run chmod o-w " + proc.ShellWord(path)}
	}
	return path, data, nil
}

func readBounded(path string) ([]byte, fs.FileInfo, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	if info.IsDir() {
		return nil, nil, errors.New("is a directory")
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("larger than %d KiB", maxFile>>10)
	}
	return data, info, err
}

// cause is the reason alone: the path already stands at the beginning of our message.
func cause(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}

// defaultStateDir is the system's directory for whoever can use it, else the user's own.
func defaultStateDir(system string, root bool, xdg, home string) string {
	switch {
	case root || unix.Access(system, unix.W_OK|unix.X_OK) == nil:
		return system
	case filepath.IsAbs(xdg): // the XDG specification has relative ones ignored
		return filepath.Join(xdg, "forgectl")
	case filepath.IsAbs(home):
		return filepath.Join(home, ".local", "state", "forgectl")
	}
	return system
}

// derive fills what is by default a function of something else that was set.
func (l *Loaded) derive() {
	name, url := l.row("database.name"), l.row("database.url")
	if url.set {
		// As with libpq, PGDATABASE is only the fallback for a URL without a database.
		info, _ := parseConninfo(l.Database.URL)
		if info.database != "" && (!name.set || name.via == "PGDATABASE") {
			l.Database.Name, name.source = info.database, url.source
		}
	} else {
		url.def = "postgres:///" + escapePath(l.Database.Name)
		l.Database.URL = url.def
	}
	if l.Database.MaintenanceURL == "" {
		l.Database.MaintenanceURL = l.Database.URL
	}
	l.row("database.maintenance_url").def = l.Database.URL
	scratch := l.row("scratch_dir")
	scratch.def = filepath.Join(l.StateDir, "scratch")
	if l.ScratchDir == "" {
		l.ScratchDir = scratch.def
	}
}

func escapePath(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if strings.IndexByte("-_.~", c) >= 0 || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

func (l *Loaded) row(name string) *key {
	for _, k := range l.rows {
		if k.name == name {
			return k
		}
	}
	return nil
}
