package proc_test

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"os/user"
	"slices"
	"strings"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/proc"
)

func environ(t *testing.T, s proc.System, c proc.Cmd) []string {
	t.Helper()
	c.Path, c.Args = "/usr/bin/env", nil
	out, err := proc.Output(t.Context(), s, c)
	if err != nil {
		t.Fatal(err)
	}
	list := strings.Split(strings.TrimSpace(string(out)), "\n")
	slices.Sort(list)
	return list
}

// Only the allow-list gets through, and nothing named like a secret does.
func TestEnvironment(t *testing.T) {
	parent := []string{
		"HOME=/home/a", "LANG=C.UTF-8", "LC_ALL=C", "TZ=UTC", "GNUPGHOME=/k", "TMPDIR=/t", "USER=a", "LOGNAME=a",
		"PGPASSWORD=x", "DATABASE_URL=postgres://u:p@h/d", "LC_PASSWORD=x", "AWS_SECRET_ACCESS_KEY=x", "LD_PRELOAD=x", "odd",
	}
	tests := []struct {
		name string
		cmd  proc.Cmd
		want []string
	}{
		{"filtered", proc.Cmd{}, []string{
			"GNUPGHOME=/k", "HOME=/home/a", "LANG=C.UTF-8", "LC_ALL=C", "LOGNAME=a",
			"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TMPDIR=/t", "TZ=UTC", "USER=a",
		}},
		{"added", proc.Cmd{Env: []string{"PGPASSFILE=/proc/self/fd/3", "LC_ALL=C.UTF-8", "PATH=/bin"}}, []string{
			"GNUPGHOME=/k", "HOME=/home/a", "LANG=C.UTF-8", "LC_ALL=C.UTF-8", "LOGNAME=a",
			"PATH=/bin", "PGPASSFILE=/proc/self/fd/3", "TMPDIR=/t", "TZ=UTC", "USER=a",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := environ(t, proc.System{Environ: parent}, tt.cmd); !slices.Equal(got, tt.want) {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
	if got := environ(t, proc.System{}, proc.Cmd{}); len(got) != 1 {
		t.Errorf("without a parent's environment: got %q", got)
	}
}

// Root runs children as somebody else, with that user's identity and from a place that it can enter; anybody
// else can only name itself.
func TestAs(t *testing.T) {
	parent := []string{"HOME=/root", "USER=root", "GNUPGHOME=/root/.gnupg"}
	if os.Geteuid() != 0 {
		me, err := user.Current()
		if err != nil {
			t.Fatal(err)
		}
		as, err := proc.LookupUser(me.Username)
		if err != nil {
			t.Fatal(err)
		}
		if err := (proc.System{}).Run(t.Context(), proc.Cmd{Path: "true", As: as}); err != nil {
			t.Errorf("as myself: %v", err)
		}
		as.UID++
		err = proc.System{}.Run(t.Context(), proc.Cmd{Path: "true", As: as})
		if !errors.Is(err, os.ErrPermission) || !strings.Contains(err.Error(), "only root") {
			t.Errorf("as somebody else: got %v", err)
		}
		return
	}
	as, err := proc.LookupUser("nobody")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir()) // closed to nobody
	cmd := shell("id -un; pwd; echo $HOME $USER $LOGNAME; echo $GNUPGHOME")
	cmd.As = as
	out, err := proc.Output(t.Context(), proc.System{Environ: parent}, cmd)
	want := "nobody\n/\n" + as.Home + " nobody nobody\n\n"
	if err != nil || string(out) != want {
		t.Errorf("got %q, %v, want %q", out, err, want)
	}
}

func TestLookupUserUnknown(t *testing.T) {
	_, err := proc.LookupUser("no-such-user")
	var unknown user.UnknownUserError
	if !errors.As(err, &unknown) || !strings.Contains(err.Error(), "no-such-user") {
		t.Errorf("got %v", err)
	}
}

// A secret is nowhere to be read: not in lines, not in the error, not in the log, in no spelling.
func TestSecretsScrubbed(t *testing.T) {
	const secret = `p@ss 'wörd'/\`
	script := `for s in "$@"; do printf 'sh: error: cannot use <%s>\n' "$s" >&2; done; exit 1`
	spelled := []string{secret, `p%40ss+%27w%C3%B6rd%27%2F%5C`, `p%40ss%20%27w%C3%B6rd%27%2F%5C`, `p@ss \'wörd\'/\\`, `p@ss ''wörd''/\`}
	cmd := shell(script, spelled...)
	cmd.Secrets = []string{"", secret, "p@ss"}
	var seen []string
	cmd.Stderr = func(line string) { seen = append(seen, line) }
	var log bytes.Buffer
	s := proc.System{Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	err := s.Run(t.Context(), cmd)
	var e *proc.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v", err)
	}
	for i, line := range seen {
		if want := "sh: error: cannot use <***>"; line != want || e.Stderr[i] != want {
			t.Errorf("spelled %q: line %q, error's %q", spelled[i], line, e.Stderr[i])
		}
	}
	if len(seen) != len(spelled) {
		t.Errorf("saw %d lines", len(seen))
	}
	for where, text := range map[string]string{"error": e.Error(), "log": log.String()} {
		if strings.Contains(text, "p@ss") || strings.Contains(text, "%C3") {
			t.Errorf("%s: %s", where, text)
		}
	}
	if !strings.Contains(log.String(), "program ended") {
		t.Errorf("log: %s", log.String())
	}
}

// A secret file is readable by its owner through /proc/self/fd, by nobody else, and cannot be changed.
func TestMemfd(t *testing.T) {
	var owner *proc.Credential
	if os.Geteuid() == 0 {
		var err error
		if owner, err = proc.LookupUser("nobody"); err != nil {
			t.Fatal(err)
		}
	}
	f, err := proc.Memfd("pgpass", []byte("*:*:*:*:secret\n"), owner)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cmd := shell("stat -L -c %a /proc/self/fd/3; cat $PGPASSFILE; cat $PGPASSFILE")
	cmd.Files, cmd.As, cmd.Env = []*os.File{f}, owner, []string{"PGPASSFILE=/proc/self/fd/3"}
	out, err := proc.Output(t.Context(), proc.System{}, cmd)
	if want := "600\n*:*:*:*:secret\n*:*:*:*:secret\n"; err != nil || string(out) != want {
		t.Errorf("got %q, %v", out, err)
	}
	if _, err := f.WriteAt([]byte("x"), 0); err == nil {
		t.Error("could be written")
	}
}
