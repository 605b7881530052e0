package main

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
	"github.com/bmad-forge/forgectl/pkg/proc"
	"github.com/bmad-forge/forgectl/pkg/store/local"
)

// patience bounds every wait for something that must happen.
const patience = time.Minute

// installation is a database, a repository and the real program, for tests that
// run several of them at once or end them.
type installation struct {
	t       testing.TB
	place   string
	program string
	live    string // name of the database
	admin   *postgres.Endpoint
	group   string // directory of its sets
}

// newInstallation has a database that sql makes.
func newInstallation(t testing.TB, sql string) *installation {
	t.Helper()
	admin := scratchtest.Admin(t)
	i := &installation{t: t, place: openPlace(t), live: scratchtest.Name("forge"), admin: admin}
	i.program = copyOfTest(t, i.place)
	i.must(executeSQL(t.Context(), admin, "CREATE DATABASE "+i.live+" TEMPLATE template0"))
	t.Cleanup(func() { i.must(dropAll(admin, i.live)) })
	i.must(executeSQL(t.Context(), admin.WithDatabase(i.live), sql))
	i.group = filepath.Join(i.place, "repository", "database", i.live)
	i.must(os.Mkdir(filepath.Join(i.place, "repository"), 0o700))
	server := scratchtest.Server(t)
	// Whoever is stopped while another one runs may well be on its way to the server.
	url := fmt.Sprintf("postgres://%s@/%%s?host=%s&port=%d&connect_timeout=120", scratch.Superuser, server.SocketDir, server.Port)
	i.must(os.WriteFile(filepath.Join(i.place, "forgectl.yaml"), fmt.Appendf(nil, `repository: %[1]s/repository
database: {name: %[2]s, url: "%[3]s", admin_url: "%[4]s"}
backup:
  prune: manual
  keep: {within: 0, last: 3, daily: 0, weekly: 0, monthly: 0}
  encrypt: {required: false}
  decrypt: {gpg: never}
service: {manager: none}
health: {url: ""}
`, i.place, i.live, fmt.Sprintf(url, i.live), fmt.Sprintf(url, "postgres")), 0o644))
	return i
}

func (i *installation) must(err error) {
	i.t.Helper()
	if err != nil {
		i.t.Fatal(err)
	}
}

// started is a program that runs.
type started struct {
	*exec.Cmd
	args     []string
	out, err bytes.Buffer
}

// start starts forgectl; as, if not nil, is another user, with records of its own.
func (i *installation) start(as *proc.Credential, args ...string) *started {
	i.t.Helper()
	s := &started{Cmd: exec.Command(i.program, args...), args: args}
	state := filepath.Join(i.place, "state")
	if as != nil {
		state = filepath.Join(i.place, "state-of-"+as.User)
		s.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: as.UID, Gid: as.GID}}
		if err := os.Mkdir(state, 0o700); err == nil {
			i.must(os.Chown(state, int(as.UID), int(as.GID)))
		}
	}
	s.Dir = "/"
	s.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + i.place, "GORACE=atexit_sleep_ms=0", "FORGECTL_CONFIG=" + filepath.Join(i.place, "forgectl.yaml"),
		"FORGECTL_STATE_DIR=" + state, "FORGECTL_SCRATCH_DIR=" + filepath.Join(state, "scratch"),
	}
	s.Stdout, s.Stderr = &s.out, &s.err
	i.must(s.Start())
	i.t.Cleanup(func() { _ = s.Process.Kill() }) // one that still stands still, say
	return s
}

// code waits for the end and is the exit code, 128 and the signal's number for
// who died of one, as a shell has it.
func (s *started) code() int {
	_ = s.Wait()
	if ws := s.ProcessState.Sys().(syscall.WaitStatus); ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return s.ProcessState.ExitCode()
}

// run runs forgectl to its end, which has to have one of these codes, and be told
// as it should be.
func (i *installation) run(as *proc.Credential, codes []int, args ...string) *started {
	i.t.Helper()
	s := i.start(as, args...)
	i.ended(s, s.code(), codes...)
	return s
}

// ended checks how a program has ended. Well: without a word on standard error.
// With a warning or an error: one line for each, with the next step below it at
// most, and nothing twice.
func (i *installation) ended(s *started, code int, want ...int) {
	i.t.Helper()
	if !slices.Contains(want, code) {
		i.t.Errorf("%q ended with %d, want %v\n%s%s", s.args, code, want, s.out.String(), s.err.String())
	}
	lines := strings.Split(strings.TrimSuffix(s.err.String(), "\n"), "\n")
	switch {
	case code == 0 && strings.HasPrefix(lines[0], "forgectl: note: ") && len(lines) == 1 && slices.Contains(s.args, "backup"):
		// An operator's pin or unpin of what is so already.
	case code == 0 && s.err.Len() > 0:
		i.t.Errorf("%q is well and says %q", s.args, s.err.String())
	case code > 128 && s.err.Len() == 0: // a signal that came before it was caught, or the second one
	case code != 0 && !strings.HasPrefix(lines[0], "forgectl: error: ") && !strings.HasPrefix(lines[0], "forgectl: warning: "):
		i.t.Errorf("%q ended with %d and says %q", s.args, code, s.err.String())
	}
	for n, line := range lines {
		if n > 0 && slices.Contains(lines[:n], line) {
			i.t.Errorf("%q says twice: %s", s.args, line)
		}
	}
}

// holds reports whether the process holds a lock on the file, and has put its name there.
func holds(pid int, path string) bool {
	info, err := os.Stat(path)
	if err != nil {
		return false
	}
	inode := info.Sys().(*syscall.Stat_t).Ino
	locks, err := os.ReadFile("/proc/locks")
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(locks)) {
		f := strings.Fields(line) // 1: FLOCK ADVISORY WRITE PID MAJOR:MINOR:INODE 0 EOF
		if len(f) > 5 && f[1] == "FLOCK" && f[4] == strconv.Itoa(pid) && strings.HasSuffix(f[5], fmt.Sprintf(":%d", inode)) {
			text, err := os.ReadFile(path)
			return err == nil && bytes.Contains(text, fmt.Appendf(nil, `"pid":%d,`, pid))
		}
	}
	return false
}

// stopWhere stops the process as soon as it is at a point; false when it has
// ended before.
func (i *installation) stopWhere(s *started, at func(pid int) bool) bool {
	i.t.Helper()
	pid := s.Process.Pid
	for deadline := time.Now().Add(patience); ; {
		if at(pid) {
			_ = syscall.Kill(pid, syscall.SIGSTOP)
			if i.stopped(pid) && at(pid) {
				return true
			}
			_ = syscall.Kill(pid, syscall.SIGCONT) // a step too far
		}
		if state(pid) == 'Z' {
			return false
		}
		if time.Now().After(deadline) {
			i.t.Fatalf("%q does not come to where it should be stopped", s.args)
		}
		time.Sleep(200 * time.Microsecond)
	}
}

// stopped waits until the process stands still; false when it has ended.
func (i *installation) stopped(pid int) bool {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		switch state(pid) {
		case 'T':
			return true
		case 'Z':
			return false
		}
	}
	return false
}

// state is that of a process, 'Z' when it has ended.
func state(pid int) byte {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 'Z'
	}
	after := text[bytes.LastIndexByte(text, ')')+1:]
	return bytes.TrimSpace(after)[0]
}

// whole checks what must hold whenever nobody is at work: each set that is listed
// is whole, the database is there, and no program, server or session is left.
func (i *installation) whole(rows string) {
	i.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		left := i.left()
		if left == "" {
			break
		}
		if time.Now().After(deadline) {
			i.t.Fatalf("still there: %s", left)
		}
	}
	if sets := i.sets(); sets > 0 {
		if v := i.run(nil, []int{0}, "backup", "verify", "--all"); strings.Count(v.out.String(), "\tok\t") != sets {
			i.t.Errorf("%d sets, verified:\n%s", sets, v.out.String())
		}
	}
	if got := scratchtest.Query(background{i.t}, i.admin.WithDatabase(i.live), "SELECT count(*) FROM thing"); got != rows {
		i.t.Errorf("the database has %s rows, want %s", got, rows)
	}
}

// sets is how many there are, of every kind.
func (i *installation) sets() (n int) {
	i.t.Helper()
	for _, group := range i.groups() {
		entries, err := os.ReadDir(group)
		i.must(err)
		for _, e := range entries {
			if _, err := catalog.ParseID(e.Name()); err == nil {
				n++
			}
		}
	}
	return n
}

// groups are the directories of the groups that there are.
func (i *installation) groups() (all []string) {
	i.t.Helper()
	for _, dir := range []string{"database/*", "media", "config", "full"} {
		found, err := filepath.Glob(filepath.Join(i.place, "repository", dir))
		i.must(err)
		all = append(all, found...)
	}
	return all
}

// left is a process or a session that a run has started.
func (i *installation) left() string {
	processes, err := filepath.Glob("/proc/[0-9]*/cmdline")
	i.must(err)
	for _, p := range processes {
		line, err := os.ReadFile(p)
		if err != nil || bytes.HasPrefix(line, []byte("postgres: ")) {
			continue
		}
		if bytes.Contains(line, []byte(i.place)) || bytes.Contains(line, []byte("dbname="+i.live)) || bytes.Contains(line, []byte("dbname='"+i.live)) {
			return strings.ReplaceAll(string(line), "\x00", " ")
		}
	}
	return scratchtest.Query(background{i.t}, i.admin, "SELECT string_agg(pid || ' ' || datname || ' ' || query, '; ') FROM pg_stat_activity WHERE starts_with(datname, "+postgres.QuoteLiteral(i.live)+")")
}

// hidden are the leftovers of dead runs beside the sets.
func (i *installation) hidden() []string {
	i.t.Helper()
	var all []string
	for _, group := range i.groups() {
		found, err := filepath.Glob(filepath.Join(group, ".partial-*"))
		i.must(err)
		all = append(all, found...)
	}
	return all
}

// publish puts a set there that is due, for a prune: an old one.
func (i *installation) publish(id catalog.ID) {
	i.t.Helper()
	dir, err := os.MkdirTemp(i.place, "old-")
	i.must(err)
	place, err := local.Open(dir, local.Options{})
	i.must(err)
	defer func() { _ = place.Close() }()
	group := catalog.Group{Kind: catalog.KindDatabase, Database: i.live}
	i.must(publishSet(catalog.New(place, catalog.Options{Now: id.Time, Host: "web1"}), group, ""))
	made := filepath.Join(dir, filepath.FromSlash(group.Dir()), string(id))
	owner, err := os.Stat(i.group)
	i.must(err)
	i.must(filepath.WalkDir(made, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chown(path, int(owner.Sys().(*syscall.Stat_t).Uid), int(owner.Sys().(*syscall.Stat_t).Gid))
	}))
	i.must(os.Rename(made, filepath.Join(i.group, string(id))))
}

// background is a test whose context has not ended when it cleans up.
type background struct{ testing.TB }

func (background) Context() context.Context { return context.Background() }
