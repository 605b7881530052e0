package proc

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// allowed are the names that every child gets from the parent's environment; LC_* comes on top.
var allowed = []string{"PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TERM"}

// session are the names that belong to the parent's user and are of no use, or a trap, for another one.
var session = []string{
	"TMPDIR", "XDG_RUNTIME_DIR", "GNUPGHOME", "DBUS_SESSION_BUS_ADDRESS", // gpg and its agent
	"GPG_TTY", "DISPLAY", "WAYLAND_DISPLAY", // where the agent asks for a passphrase
}

// secretWords mark a variable that must not be in any environment, which /proc shows to others of the same user.
var secretWords = []string{"PASSWORD", "PASSWD", "PASSPHRASE", "SECRET", "TOKEN"}

func looksSecret(name string) bool {
	up := strings.ToUpper(name)
	return slices.ContainsFunc(secretWords, func(w string) bool { return strings.Contains(up, w) })
}

func allowedName(name string, other bool) bool {
	if looksSecret(name) {
		return false
	}
	return slices.Contains(allowed, name) || strings.HasPrefix(name, "LC_") ||
		(!other && slices.Contains(session, name))
}

// environment is what the child sees: the allowed part of the parent's, the identity of another user, and what
// the command adds. Later entries replace earlier ones of the same name.
func environment(parent []string, as *Credential, added []string) ([]string, error) {
	var env envList
	env.set("PATH", defaultPath)
	for _, kv := range parent {
		if name, value, ok := strings.Cut(kv, "="); ok && allowedName(name, as != nil) {
			env.set(name, value)
		}
	}
	if as != nil {
		env.set("HOME", as.Home)
		env.set("USER", as.User)
		env.set("LOGNAME", as.User)
	}
	for _, kv := range added {
		name, value, ok := strings.Cut(kv, "=")
		if !ok || name == "" || strings.ContainsRune(kv, 0) {
			return nil, fmt.Errorf("environment entry %q is not NAME=value", name)
		}
		if looksSecret(name) {
			return nil, fmt.Errorf("%w: %s", ErrSecretEnv, name)
		}
		env.set(name, value)
	}
	return env, nil
}

type envList []string

func (e *envList) set(name, value string) {
	kv := name + "=" + value
	for i, old := range *e {
		if strings.HasPrefix(old, name+"=") {
			(*e)[i] = kv
			return
		}
	}
	*e = append(*e, kv)
}

func (e envList) get(name string) string {
	for _, kv := range e {
		if v, ok := strings.CutPrefix(kv, name+"="); ok {
			return v
		}
	}
	return ""
}

// LookPath finds a program the way Start does. The error is ErrNotFound when there is none.
func (s System) LookPath(name string) (string, error) {
	env, err := environment(s.Environ, nil, nil)
	if err != nil {
		return "", err
	}
	return lookPath(name, envList(env).get("PATH"))
}

// lookPath does not use exec.LookPath, because that reads this process's environment. Relative entries of PATH
// are passed over: what runs must not depend on the current directory.
func lookPath(name, path string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	for _, dir := range filepath.SplitList(path) {
		if !filepath.IsAbs(dir) {
			continue
		}
		file := filepath.Join(dir, name)
		if executable(file) {
			return file, nil
		}
	}
	return "", fmt.Errorf("%w: %s is not in %s", ErrNotFound, name, path)
}

func executable(file string) bool {
	info, err := os.Stat(file)
	return err == nil && info.Mode().IsRegular() && info.Mode()&fs.FileMode(0o111) != 0
}
