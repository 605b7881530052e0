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
	directoriesOf(t, owner, place, "repository", "owner")
	start := func(as *proc.Credential, state string, args ...string) (string, int) {
		return runAs(t, as, program, []string{
			"FORGECTL_REPOSITORY=" + filepath.Join(place, "repository"), "FORGECTL_STATE_DIR=" + filepath.Join(place, state),
			fmt.Sprintf("DATABASE_URL=postgres://%s@/%s?host=%s&port=%d", scratch.Superuser, admin.Database(), server.SocketDir, server.Port),
			"DB_NAME=" + admin.Database(),
		}, args...)
	}
	forgectl := func(as *proc.Credential, state string, args ...string) {
		t.Helper()
		if out, code := start(as, state, args...); code != exitOK {
			t.Fatalf("%v as %v: exit code %d\n%s", args, as, code, out)
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
	out, code := start(stranger, "nobody", "backup", "list")
	if code != exitUnknown || !strings.Contains(out, "permission denied\nhint: run it as root or as the owner of the repository\n") {
		t.Errorf("as nobody: exit code %d\n%s", code, out)
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

// directoriesOf makes directories that belong to a user alone.
func directoriesOf(t testing.TB, user *proc.Credential, place string, names ...string) {
	t.Helper()
	for _, name := range names {
		dir := filepath.Join(place, name)
		if err := errors.Join(os.Mkdir(dir, 0o700), os.Chown(dir, int(user.UID), int(user.GID))); err != nil {
			t.Fatal(err)
		}
	}
}

// runAs runs a program as a user, nil for this one, with nothing else in its environment than what is said. It returns
// what the program printed, and its exit code.
func runAs(t testing.TB, user *proc.Credential, program string, environ []string, args ...string) (out string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Dir = "/"
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + filepath.Dir(program), "GORACE=atexit_sleep_ms=0", "FORGECTL_CONFIG="}, environ...)
	if user != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user.UID, Gid: user.GID}}
	}
	printed, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return string(printed), cmd.ProcessState.ExitCode()
}
