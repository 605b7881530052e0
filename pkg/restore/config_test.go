package restore_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bmad-forge/forgectl/pkg/archive/archivetest"
	"github.com/bmad-forge/forgectl/pkg/backup"
	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/configset"
	"github.com/bmad-forge/forgectl/pkg/proc/proctest"
	"github.com/bmad-forge/forgectl/pkg/restore"
	"github.com/bmad-forge/forgectl/pkg/store/local"
)

// configured is a host's configuration, a set of it, a copy, and the options of a restore.
func configured(t testing.TB) (etc, copied string, o restore.ConfigOptions, repository string) {
	t.Helper()
	dir := t.TempDir()
	etc, copied, repository = dir+"/etc", dir+"/copied", dir+"/repository"
	for name, content := range map[string]string{"app/env": "SECRET=1\n", "app/sub/deep": "deep\n", "site": "server {}\n", "odd 'name\n": "x"} {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(etc, name)), 0o755))
		must(t, os.WriteFile(filepath.Join(etc, name), []byte(content), 0o640))
	}
	must(t, os.Symlink("env", etc+"/app/link"))
	must(t, os.Link(etc+"/app/env", etc+"/app/hard"))
	if os.Geteuid() == 0 {
		must(t, os.Lchown(etc+"/app/env", 0, 12345))
	}
	must(t, os.Mkdir(repository, 0o700))
	o = configFrom(t, repository, etc, dir)
	r, err := backup.Config(t.Context(), backup.ConfigOptions{SetOptions: backup.SetOptions{Catalog: o.Catalog}, Paths: []string{etc}, AllowPlain: true})
	must(t, err)
	o.Set = r.Set
	if out, err := exec.CommandContext(t.Context(), "cp", "-a", etc, copied).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return etc, copied, o, repository
}

func configFrom(t testing.TB, repository, etc, dir string) restore.ConfigOptions {
	t.Helper()
	s, err := local.Open(repository, local.Options{})
	must(t, err)
	t.Cleanup(func() { s.Close() })
	return restore.ConfigOptions{Catalog: catalog.New(s, catalog.Options{}), Aside: dir + "/aside"}
}

// spoil changes everything in every way that a restore mends.
func spoil(t testing.TB, etc string) {
	t.Helper()
	must(t, os.WriteFile(etc+"/odd 'name\n", []byte("other"), 0o600))
	must(t, os.RemoveAll(etc+"/app/sub"))
	must(t, os.Remove(etc+"/app/link"))
	must(t, os.Symlink("elsewhere", etc+"/app/link"))
	must(t, os.Remove(etc+"/site"))
	must(t, os.Symlink("app/env", etc+"/site"))
	must(t, os.Remove(etc+"/app/hard"))
	must(t, os.Chmod(etc+"/app/env", 0o666))
	must(t, os.Chmod(etc+"/app", 0o700))
}

// sameConfig compares without the times of directories and links, which a restore into service does not keep, and
// without hard links, which become files of their own.
func sameConfig(t testing.TB, a, b string) {
	t.Helper()
	archivetest.Same(t, a, b, "--no-hard-links", "--omit-dir-times", "--omit-link-times")
}

// Promise: a restore makes of what is there what was backed up, and the script that it leaves brings back what was there
// before, whatever the names are.
func TestConfigRestore(t *testing.T) {
	t.Parallel()
	etc, copied, o, _ := configured(t)
	spoil(t, etc)
	spoiled := filepath.Dir(etc) + "/spoiled"
	must(t, exec.CommandContext(t.Context(), "cp", "-a", etc, spoiled).Run())
	r, err := restore.Config(t.Context(), o)
	must(t, err)
	sameConfig(t, copied, etc)
	if len(r.Done) != len(r.Changes()) || r.Kept == "" {
		t.Errorf("%+v", r)
	}
	if fi, err := os.Stat(r.Kept); err != nil || fi.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", fi, err)
	}
	again, err := restore.Config(t.Context(), o)
	if err != nil || len(again.Done) > 0 || again.Kept != "" {
		t.Errorf("again: %+v, %v", again, err)
	}
	if out, err := exec.CommandContext(t.Context(), "sh", filepath.Join(r.Kept, restore.UndoName)).CombinedOutput(); err != nil {
		t.Fatalf("undo: %v\n%s", err, out)
	}
	sameConfig(t, spoiled, etc)
}

// Promise: nothing is changed without confirmation, nor when what is there is not what was confirmed, nor when a
// directory would have to go.
func TestConfigRefused(t *testing.T) {
	t.Parallel()
	etc, _, o, _ := configured(t)
	spoil(t, etc)
	no := errors.New("no")
	o.Confirm = func(context.Context, restore.ConfigPlan) error { return no }
	if _, err := restore.Config(t.Context(), o); !errors.Is(err, no) {
		t.Errorf("declined: %v", err)
	}
	o.Confirm = nil
	o.Step = func(name string) {
		if name == "confirmed" {
			must(t, os.WriteFile(etc+"/odd 'name\n", []byte("written meanwhile"), 0o600))
		}
	}
	if _, err := restore.Config(t.Context(), o); !errors.Is(err, restore.ErrConfigChanged) {
		t.Errorf("changed meanwhile: %v", err)
	}
	o.Step = nil
	must(t, os.Remove(etc+"/site"))
	must(t, os.Mkdir(etc+"/site", 0o700))
	var conflict *restore.ConfigConflictError
	if _, err := restore.Config(t.Context(), o); !errors.As(err, &conflict) {
		t.Errorf("a directory in the way: %v", err)
	}
	if text, err := os.ReadFile(etc + "/odd 'name\n"); err != nil || string(text) != "written meanwhile" {
		t.Errorf("%q, %v", text, err)
	}
	if left, err := os.ReadDir(o.Aside); err == nil && len(left) > 0 {
		t.Errorf("kept %v", left)
	}
}

// Promise: a link that somebody who may write to a directory of the application puts there does not lead a restore out
// of it.
func TestConfigLinkInTheWay(t *testing.T) {
	t.Parallel()
	etc, _, o, _ := configured(t)
	outside := t.TempDir()
	must(t, os.RemoveAll(etc+"/app/sub/deep"))
	o.Step = func(name string) {
		if name == "kept" {
			must(t, os.RemoveAll(etc+"/app/sub"))
			must(t, os.Symlink(outside, etc+"/app/sub"))
		}
	}
	if _, err := restore.Config(t.Context(), o); err == nil {
		t.Error("no error")
	}
	if left, err := os.ReadDir(outside); err != nil || len(left) > 0 {
		t.Errorf("outside: %v, %v", left, err)
	}
}

// configKillEnv makes the test binary restore and kill itself at a step.
const configKillEnv = "RESTORE_TEST_CONFIG_KILL" // <step>|<repository>|<etc>

func restoreConfigAndDie(spec string) {
	part := strings.SplitN(spec, "|", 3)
	s, err := local.Open(part[1], local.Options{})
	if err != nil {
		panic(err)
	}
	o := restore.ConfigOptions{Catalog: catalog.New(s, catalog.Options{}), Aside: filepath.Dir(part[2]) + "/aside"}
	sets, err := o.Catalog.List(context.Background(), configset.Group())
	if err != nil {
		panic(err)
	}
	o.Set = sets[0]
	o.Step = proctest.DieAt(part[0])
	_, err = restore.Config(context.Background(), o)
	fmt.Println("ended", err)
	os.Exit(1)
}

// Promise: a restore that is killed, at whatever step, leaves each file whole, old or new; its undo brings back what was
// there, and the same restore again does the rest.
func TestConfigKilled(t *testing.T) {
	t.Parallel()
	for _, step := range []string{"confirmed", "kept", "restored"} {
		for _, undo := range []bool{false, true} {
			etc, copied, o, repository := configured(t)
			spoil(t, etc)
			spoiled := filepath.Dir(etc) + "/spoiled"
			must(t, exec.CommandContext(t.Context(), "cp", "-a", etc, spoiled).Run())
			proctest.Killed(t, fmt.Sprintf("%s=%s|%s|%s", configKillEnv, step, repository, etc))
			kept, err := filepath.Glob(o.Aside + "/config-*/" + restore.UndoName)
			must(t, err)
			if undo && len(kept) == 1 {
				if out, err := exec.CommandContext(t.Context(), "sh", kept[0]).CombinedOutput(); err != nil {
					t.Fatalf("%s: undo: %v\n%s", step, err, out)
				}
				sameConfig(t, spoiled, etc)
				continue
			}
			_, err = restore.Config(t.Context(), o)
			must(t, err)
			sameConfig(t, copied, etc)
		}
	}
}

// Promise: beside, everything comes back, hard links and times too; what was made is removed after an error.
func TestConfigTo(t *testing.T) {
	t.Parallel()
	etc, _, o, repository := configured(t)
	to := t.TempDir() + "/to"
	p, err := restore.ConfigTo(t.Context(), o, to)
	must(t, err)
	if len(p.Entries) != 9 {
		t.Errorf("%d entries", len(p.Entries))
	}
	archivetest.Same(t, etc, to+etc)
	some := o
	some.Paths = []string{etc + "/app/hard"}
	if p, err := restore.ConfigTo(t.Context(), some, t.TempDir()); err != nil || len(p.Entries) != 1 {
		t.Errorf("a hard link alone: %d, %v", len(p.Entries), err)
	}
	var missing *restore.ConfigPathError
	some.Paths = []string{etc + "/ap"}
	if _, err := restore.ConfigTo(t.Context(), some, to+"2"); !errors.As(err, &missing) {
		t.Errorf("a path that is not there: %v", err)
	}
	ended, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	_, err = restore.ConfigTo(ended, o, to+"3")
	if _, stat := os.Stat(to + "3"); err == nil || !errors.Is(stat, os.ErrNotExist) {
		t.Errorf("%v, %v", err, stat)
	}
	must(t, os.WriteFile(filepath.Join(repository, o.Set.Dir(), "10-config.tar.zst"), []byte("x"), 0o600))
	if _, err := restore.ConfigTo(t.Context(), o, to+"4"); !errors.Is(err, catalog.ErrDamaged) {
		t.Errorf("damaged: %v", err)
	}
}
