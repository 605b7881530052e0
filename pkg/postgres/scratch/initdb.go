package scratch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/bmad-forge/forgectl/pkg/proc"
)

const debianBinDirs = "/usr/lib/postgresql/*/bin"

// findBinDir is dir, or the newest of Debian's, if the programs are there.
func findBinDir(dir string) (string, error) {
	missing := &UnavailableError{
		What: "server program", Names: []string{"initdb", "postgres"},
		Hint: "install the PostgreSQL server programs (Debian: package postgresql)",
	}
	if dir == "" {
		if dir = newestBinDir(); dir == "" {
			return "", missing
		}
		return dir, nil
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if !hasServer(dir) {
		missing.Names = []string{filepath.Join(dir, "initdb"), filepath.Join(dir, "postgres")}
		return "", missing
	}
	return dir, nil
}

func newestBinDir() string {
	dirs, _ := filepath.Glob(debianBinDirs) // the pattern is well formed
	best, newest := "", -1
	for _, d := range dirs {
		major, err := strconv.Atoi(filepath.Base(filepath.Dir(d)))
		if err == nil && major > newest && hasServer(d) {
			best, newest = d, major
		}
	}
	return best
}

func hasServer(dir string) bool {
	for _, name := range []string{"initdb", "postgres"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || !info.Mode().IsRegular() {
			return false
		}
	}
	return true
}

// providerName takes both the word and the letter that pg_database has for it.
func providerName(s string) (string, error) {
	switch s {
	case "", "c", "libc":
		return "libc", nil
	case "i", "icu":
		return "icu", nil
	case "b", "builtin":
		return "builtin", nil
	}
	return "", fmt.Errorf("locale provider %q is none of libc, icu, builtin", s)
}

func (c *Cluster) initdb(ctx context.Context) error {
	cmd := c.command("initdb",
		"--pgdata="+filepath.Join(c.run.view, dataName),
		"--username="+Superuser,
		"--auth=trust", // nobody else can enter the socket's directory
		"--no-sync",
		"--encoding="+c.o.Encoding,
		"--locale="+c.o.Locale,
		"--lc-messages=C", // messages are read by program
	)
	switch c.o.LocaleProvider {
	case "icu":
		cmd.Args = append(cmd.Args, "--locale-provider=icu")
		if c.o.ICULocale != "" {
			cmd.Args = append(cmd.Args, "--icu-locale="+c.o.ICULocale)
		}
	case "builtin":
		cmd.Args = append(cmd.Args, "--locale-provider=builtin")
		if c.o.ICULocale != "" {
			cmd.Args = append(cmd.Args, "--builtin-locale="+c.o.ICULocale)
		}
	}
	cmd.Stderr = c.log.add
	cmd.Stdout = stepWriter(c.o.step)
	return c.initdbError(c.o.Runner.Run(ctx, cmd))
}

// stepWriter tells tests that initdb is under way.
type stepWriter func(string)

func (s stepWriter) Write(p []byte) (int, error) {
	s("initdb runs")
	return len(p), nil
}

// initdbError finds out whether a failure means that the host lacks something. initdb checks all of this before it
// writes anything.
func (c *Cluster) initdbError(err error) error {
	var failed *proc.Error
	if !errors.As(err, &failed) || failed.Err != nil {
		return err
	}
	said := strings.Join(failed.Stderr, "\n")
	lacks := func(words ...string) bool {
		for _, w := range words {
			if strings.Contains(said, w) {
				return true
			}
		}
		return false
	}
	switch {
	case lacks("invalid locale name", "invalid locale settings"):
		return &UnavailableError{
			What: "locale", Names: []string{c.o.Locale}, Err: err,
			Hint: fmt.Sprintf("generate it (Debian: package locales, a line for %s in /etc/locale.gen, then locale-gen); locale -a lists what there is", c.o.Locale),
		}
	case lacks("ICU is not supported", "could not open collator", "could not convert locale name", `ICU locale "`):
		return &UnavailableError{
			What: "ICU locale", Names: []string{c.o.ICULocale}, Err: err,
			Hint: "use server programs that are built with ICU and know this locale, best those of the source's version",
		}
	case lacks("unrecognized option", "unrecognized locale provider", "invalid locale provider"):
		return &UnavailableError{
			What: "locale provider", Names: []string{c.o.LocaleProvider}, Err: err,
			Hint: "use newer server programs: icu needs PostgreSQL 15, builtin 17",
		}
	}
	return err
}

// command is a server program run as the server's user.
func (c *Cluster) command(program string, args ...string) proc.Cmd {
	return proc.Cmd{
		Path: filepath.Join(c.o.BinDir, program), Args: args, Dir: "/",
		Env: []string{"LC_ALL=C", "LANGUAGE=", "TZ=UTC", markVariable + "=" + c.run.path}, As: c.User, Files: c.run.files(),
	}
}
