package restore_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/backup"
	"github.com/bmad-forge/forgectl/pkg/restore"
)

// configuredAs backs up what fill makes below etc.
func configuredAs(t testing.TB, fill func(etc string)) (etc string, o restore.ConfigOptions) {
	t.Helper()
	dir := t.TempDir()
	etc = dir + "/etc"
	must(t, os.Mkdir(etc, 0o755))
	must(t, os.Mkdir(dir+"/repository", 0o700))
	fill(etc)
	o = configFrom(t, dir+"/repository", etc, dir)
	r, err := backup.Config(t.Context(), backup.ConfigOptions{SetOptions: backup.SetOptions{Catalog: o.Catalog}, Paths: []string{etc}, AllowPlain: true})
	must(t, err)
	o.Set = r.Set
	return etc, o
}

// Promise: the undo brings back a link in the place of one that leads to a directory, and a file too, and puts nothing into
// that directory.
func TestConfigUndoOfLinkToDirectory(t *testing.T) {
	t.Parallel()
	etc, o := configuredAs(t, func(etc string) {
		must(t, os.MkdirAll(etc+"/releases/1", 0o755))
		must(t, os.MkdirAll(etc+"/releases/2", 0o755))
		must(t, os.Symlink("releases/1", etc+"/current"))
		must(t, os.Symlink("releases/1", etc+"/previous"))
	})
	must(t, os.Remove(etc+"/current"))
	must(t, os.Symlink("releases/2", etc+"/current"))
	must(t, os.Remove(etc+"/previous"))
	must(t, os.WriteFile(etc+"/previous", []byte("a file"), 0o600))
	before := filepath.Dir(etc) + "/before"
	must(t, exec.CommandContext(t.Context(), "cp", "-a", etc, before).Run())
	r, err := restore.Config(t.Context(), o)
	must(t, err)
	if to, err := os.Readlink(etc + "/current"); err != nil || to != "releases/1" {
		t.Fatalf("restored: %q, %v", to, err)
	}
	if out, err := exec.CommandContext(t.Context(), "sh", filepath.Join(r.Kept, restore.UndoName)).CombinedOutput(); err != nil {
		t.Fatalf("undo: %v\n%s", err, out)
	}
	sameConfig(t, before, etc)
}

// Promise: what is there and cannot be read is not replaced, since it cannot be kept; where it stays as it is, or nothing is
// chosen there, it is in nobody's way.
func TestConfigUnread(t *testing.T) {
	t.Parallel()
	etc, o := configuredAs(t, func(etc string) {
		must(t, os.WriteFile(etc+"/grown", []byte("small\n"), 0o600))
		must(t, os.WriteFile(etc+"/site", []byte("server {}\n"), 0o600))
	})
	const size = 65 << 20 // more than is taken of a configuration file
	must(t, os.WriteFile(etc+"/grown", []byte("precious"), 0o600))
	must(t, os.Truncate(etc+"/grown", size))
	must(t, os.WriteFile(etc+"/site", []byte("other"), 0o600))
	_, err := restore.Config(t.Context(), o)
	var unread *restore.ConfigUnreadError
	if !errors.As(err, &unread) || len(unread.Changes) != 1 || unread.Changes[0].Name() != etc+"/grown" {
		t.Errorf("error %v", err)
	}
	if fi, err := os.Stat(etc + "/grown"); err != nil || fi.Size() != size {
		t.Errorf("what could not be kept: %v, %v", fi, err)
	}
	if text, err := os.ReadFile(etc + "/site"); err != nil || string(text) != "other" {
		t.Errorf("beside it: %q, %v", text, err)
	}
	o.Paths = []string{etc + "/site"}
	if r, err := restore.Config(t.Context(), o); err != nil || len(r.Done) != 1 {
		t.Errorf("the other one alone: %v, %v", r.Done, err)
	}
}
