package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/postgres/scratch"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
	"github.com/bmad-forge/forgectl/pkg/proc"
)

// Promise: root and the owner of the repository can take turns. What root writes
// there is the owner's, so nobody locks the other out.
func TestUsersTakeTurns(t *testing.T) {
	if os.Geteuid() != 0 {
		scratchtest.Skip(t, "only root can be two users")
	}
	owner, err := proc.LookupUser("postgres")
	if err != nil {
		t.Fatal(err)
	}
	admin := scratchtest.Database(t, scratchtest.Middling)
	server := scratchtest.Server(t)
	place := openPlace(t)
	program := copyOfTest(t, place)
	for _, dir := range []string{"repository", "owner"} {
		if err := os.Mkdir(filepath.Join(place, dir), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(filepath.Join(place, dir), int(owner.UID), int(owner.GID)); err != nil {
			t.Fatal(err)
		}
	}
	start := func(as *proc.Credential, state string, args ...string) (string, error) {
		cmd := exec.Command(program, args...)
		cmd.Dir = "/"
		cmd.Env = []string{
			"PATH=" + os.Getenv("PATH"), "HOME=" + place, "GORACE=atexit_sleep_ms=0", "FORGECTL_CONFIG=",
			"FORGECTL_REPOSITORY=" + filepath.Join(place, "repository"), "FORGECTL_STATE_DIR=" + filepath.Join(place, state),
			fmt.Sprintf("DATABASE_URL=postgres://%s@/%s?host=%s&port=%d", scratch.Superuser, admin.Database(), server.SocketDir, server.Port),
			"DB_NAME=" + admin.Database(),
		}
		if as != nil {
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: as.UID, Gid: as.GID}}
		}
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	forgectl := func(as *proc.Credential, state string, args ...string) {
		t.Helper()
		if out, err := start(as, state, args...); err != nil {
			t.Fatalf("%v as %v: %v\n%s", args, as, err, out)
		}
	}
	for range 2 {
		forgectl(nil, "root", "backup", "db")
		forgectl(owner, "owner/state", "backup", "verify", "--level", "decode")
		forgectl(owner, "owner/state", "backup", "db")
		forgectl(nil, "root", "backup", "verify", "--all")
	}
	// A third one may not even look.
	stranger, err := proc.LookupUser("nobody")
	if err != nil {
		t.Fatal(err)
	}
	out, err := start(stranger, "nobody", "backup", "list")
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != exitUnknown || !strings.Contains(out, "permission denied\nhint: run it as root or as the owner of the repository\n") {
		t.Errorf("as nobody: %v\n%s", err, out)
	}
	err = filepath.WalkDir(filepath.Join(place, "repository"), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if stat := info.Sys().(*syscall.Stat_t); stat.Uid != owner.UID || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: owner %d, mode %v", path, stat.Uid, info.Mode())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// openPlace is a directory that every user can enter, which t.TempDir is not.
func openPlace(t testing.TB) string {
	t.Helper()
	place, err := os.MkdirTemp("", "forgectl-users-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(place) })
	if err := os.Chmod(place, 0o755); err != nil {
		t.Fatal(err)
	}
	return place
}

// copyOfTest is this test binary under the name that makes it forgectl, where
// every user can run it.
func copyOfTest(t testing.TB, dir string) string {
	t.Helper()
	from, err := os.Open(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = from.Close() }()
	path := filepath.Join(dir, "forgectl")
	to, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(to, from); err != nil {
		t.Fatal(err)
	}
	if err := to.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}
