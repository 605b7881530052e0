package lock_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/bmad-forge/forgectl/pkg/lock"
	"github.com/bmad-forge/forgectl/pkg/store/storetest"
)

// holdEnv makes the test binary a process that takes the lock at that path, says what came of it, and keeps it
// until its stdin ends.
const holdEnv = "LOCK_TEST_HOLD"

func TestMain(m *testing.M) {
	path := os.Getenv(holdEnv)
	if path == "" {
		os.Exit(m.Run())
	}
	l, err := lock.Acquire(path, lock.Holder{User: "other", Operation: "backup db"})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("held")
	io.Copy(io.Discard, os.Stdin)
	l.Release()
	os.Exit(0)
}

// startHolder runs another process on the lock, as another user if one is given, and returns its first line.
func startHolder(t *testing.T, path string, as *syscall.Credential) (*exec.Cmd, io.WriteCloser, string) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe") // also for a user who cannot reach the test binary's directory
	cmd.Env = append(os.Environ(), holdEnv+"="+path)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as}
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	must(t, err)
	stdout, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() { stdin.Close(); cmd.Wait() })
	line, err := bufio.NewReader(stdout).ReadString('\n')
	must(t, err)
	return cmd, stdin, strings.TrimSpace(line)
}

// The holder keeps everybody else out, and the error names it.
func TestHeldNamesTheHolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	cmd, stdin, line := startHolder(t, path, nil)
	if line != "held" {
		t.Fatal(line)
	}
	for _, acquire := range []func(string, lock.Holder) (*lock.Lock, error){lock.Acquire, lock.AcquireShared} {
		_, err := acquire(path, lock.Holder{})
		var held *lock.HeldError
		if !errors.As(err, &held) || !errors.Is(err, lock.ErrHeld) {
			t.Fatalf("second acquire: %v", err)
		}
		h := held.Holder
		host, _ := os.Hostname()
		if h.PID != cmd.Process.Pid || h.User != "other" || h.Operation != "backup db" || h.Since.IsZero() || h.Host != host {
			t.Errorf("holder %+v", h)
		}
		for _, want := range []string{path, fmt.Sprint("pid ", h.PID), "user other", "since " + h.Since.Format(time.RFC3339), "operation backup db"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q does not say %q", err, want)
			}
		}
	}
	stdin.Close()
	must(t, cmd.Wait())
	l, err := lock.Acquire(path, lock.Holder{})
	must(t, err)
	must(t, l.Release())
}

// A lock ends with its process, also when that is killed; the file that stays means nothing.
func TestKilledHolderFreesTheLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	cmd, _, line := startHolder(t, path, nil)
	if line != "held" {
		t.Fatal(line)
	}
	must(t, cmd.Process.Kill())
	cmd.Wait()
	l, err := lock.Acquire(path, lock.Holder{})
	must(t, err)
	must(t, l.Release())
	must(t, l.Release())
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the lock file was deleted: %v", err)
	}
}

// Shared holders share, and keep an exclusive one out until the last has gone. One that still holds is named.
func TestShared(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	a, err := lock.AcquireShared(path, lock.Holder{Operation: "a"})
	must(t, err)
	b, err := lock.AcquireShared(path, lock.Holder{Operation: "b"})
	must(t, err)
	must(t, a.Release())
	var held *lock.HeldError
	if _, err := lock.Acquire(path, lock.Holder{}); !errors.As(err, &held) || held.Holder.Operation != "b" {
		t.Errorf("with one shared holder left: %v", err)
	}
	must(t, b.Release())
	l, err := lock.Acquire(path, lock.Holder{Operation: "c"})
	must(t, err)
	if _, err := lock.AcquireShared(path, lock.Holder{}); !errors.As(err, &held) || held.Holder.Operation != "c" {
		t.Errorf("with an exclusive holder: %v", err)
	}
	must(t, l.Release())
}

// Of many that start at once one gets the lock, and nobody else at the same time.
func TestOneAtATime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	var wg sync.WaitGroup
	var mu sync.Mutex
	got, inside := 0, 0
	for range 16 {
		wg.Go(func() {
			l, err := lock.Acquire(path, lock.Holder{})
			if errors.Is(err, lock.ErrHeld) {
				return
			}
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			got++
			inside++
			if inside > 1 {
				t.Error("two hold the lock")
			}
			mu.Unlock()
			mu.Lock()
			inside--
			mu.Unlock()
			if err := l.Release(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got == 0 {
		t.Error("nobody got the lock")
	}
}

// Root and the user whose directory it is exclude each other, whoever made the file.
func TestOwner(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "lock")
	if os.Geteuid() != 0 {
		// Only root can take the two parts. What an ordinary user can show: the file is theirs alone.
		l, err := lock.Acquire(path, lock.Holder{})
		must(t, err)
		must(t, l.Release())
		wantOwner(t, path, uint32(os.Getuid()))
		return
	}
	const uid = 65534
	must(t, os.Chmod(filepath.Dir(dir), 0o755))
	must(t, os.Chown(dir, uid, uid))
	other := &syscall.Credential{Uid: uid, Gid: uid}

	l, err := lock.Acquire(path, lock.Holder{User: "root", Operation: "prune"})
	must(t, err)
	wantOwner(t, path, uid)
	if _, _, line := startHolder(t, path, other); !strings.Contains(line, "user root") {
		t.Errorf("the user, while root holds it: %s", line)
	}
	must(t, l.Release())
	cmd, stdin, line := startHolder(t, path, other)
	if line != "held" {
		t.Fatalf("the user, after root: %s", line)
	}
	if _, err := lock.Acquire(path, lock.Holder{}); !errors.Is(err, lock.ErrHeld) {
		t.Errorf("root, while the user holds it: %v", err)
	}
	stdin.Close()
	must(t, cmd.Wait())

	must(t, os.Chown(path, 0, 0)) // as an older program or a copy may have left it
	l, err = lock.Acquire(path, lock.Holder{})
	must(t, err)
	defer l.Release()
	wantOwner(t, path, uid)
}

// What is no lock file is refused and left alone.
func TestNotALockFile(t *testing.T) {
	dir := t.TempDir()
	victim := filepath.Join(dir, "victim")
	must(t, os.WriteFile(victim, []byte("precious"), 0o600))
	must(t, os.Symlink("victim", filepath.Join(dir, "link")))
	must(t, syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600))
	for _, name := range []string{"link", "pipe", ".", "missing/lock"} {
		path := filepath.Join(dir, name)
		l, err := lock.Acquire(path, lock.Holder{})
		if err == nil || errors.Is(err, lock.ErrHeld) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, %v", name, l, err)
		}
	}
	if _, err := lock.Acquire(filepath.Join(dir, "missing", "lock"), lock.Holder{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing directory: %v", err)
	}
	if got, _ := os.ReadFile(victim); string(got) != "precious" {
		t.Errorf("the link's target now holds %q", got)
	}
}

// Rubbish in the file is no obstacle, neither to taking the lock nor to the message.
func TestRubbishInTheFile(t *testing.T) {
	for _, content := range []string{"", "\x00\xff", "{", `{"pid":-1}`, strings.Repeat("x", 200_000)} {
		path := filepath.Join(t.TempDir(), "lock")
		must(t, os.WriteFile(path, []byte(content), 0o600))
		l, err := lock.AcquireShared(path, lock.Holder{})
		must(t, err)
		must(t, os.WriteFile(path, []byte(content), 0o600))
		if _, err := lock.Acquire(path, lock.Holder{}); !errors.Is(err, lock.ErrHeld) {
			t.Errorf("%.20q: %v", content, err)
		}
		must(t, l.Release())
	}
}

func ExampleAcquire() {
	dir, _ := os.MkdirTemp("", "")
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "lock")

	l, err := lock.Acquire(path, lock.Holder{User: "bmad-forge", Operation: "backup db"})
	fmt.Println(err)
	_, err = lock.Acquire(path, lock.Holder{User: "root", Operation: "prune"})
	var held *lock.HeldError
	fmt.Println(errors.As(err, &held), held.Holder.User, held.Holder.Operation)
	fmt.Println(l.Release())
	// Output:
	// <nil>
	// true bmad-forge backup db
	// <nil>
}

func wantOwner(t *testing.T, path string, uid uint32) {
	t.Helper()
	fi, err := os.Stat(path)
	must(t, err)
	if st := fi.Sys().(*syscall.Stat_t); st.Uid != uid || fi.Mode().Perm() != 0o600 {
		t.Errorf("%s: uid %d mode %v, want uid %d mode 0600", path, st.Uid, fi.Mode().Perm(), uid)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A file system that knows neither hard links nor renames that never replace does as well: also the first lock, which
// makes the file, is one at a time.
func TestNoLinks(t *testing.T) {
	if storetest.NoLinks(t) {
		t.Run("one at a time", TestOneAtATime)
		t.Run("the holder is named", TestHeldNamesTheHolder)
		t.Run("shared", TestShared)
	}
}
