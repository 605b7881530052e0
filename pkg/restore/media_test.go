package restore_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/bmad-forge/forgectl/pkg/archive/archivetest"
	"github.com/bmad-forge/forgectl/pkg/media"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
	"github.com/bmad-forge/forgectl/pkg/proc/proctest"
	"github.com/bmad-forge/forgectl/pkg/restore"
)

// Promise: what is restored is what was backed up, in every respect, is a copy and no link into the repository; what was
// live is kept; an undo brings it back, and undoing that goes forward again.
func TestMediaRestored(t *testing.T) {
	for _, two := range []bool{false, true} {
		t.Run(fmt.Sprintf("two renames %v", two), func(t *testing.T) {
			f := newFiles(t)
			f.spoil()
			spoiled := f.copyOf("spoiled")
			o := f.options()
			if two {
				o = restore.WithoutExchange(o)
			}
			p, err := restore.PlanMedia(t.Context(), o)
			must(t, err)
			if got := fmt.Sprint(pathsOf(p.Added), pathsOf(p.Changed), pathsOf(p.Removed)); got != "[a/deep a/deep/er a/deep/er/three a/deep/same a/two.txt] [a/one.txt] [uploaded]" {
				t.Errorf("plan: %s", got)
			}
			archivetest.Same(t, spoiled, f.live)
			f.left()
			r, err := restore.Media(t.Context(), o)
			must(t, err)
			archivetest.Same(t, f.original, f.live)
			archivetest.Same(t, spoiled, filepath.Join(r.Kept, "tree"))
			var st unix.Stat_t
			must(t, unix.Lstat(filepath.Join(f.live, "a/two.txt"), &st))
			if st.Nlink != 1 {
				t.Errorf("a restored file has %d names", st.Nlink)
			}
			f.left("media_before")
			_, err = restore.UndoMedia(t.Context(), o)
			must(t, err)
			archivetest.Same(t, spoiled, f.live)
			f.left("media_undone")
			_, err = restore.UndoMedia(t.Context(), o)
			must(t, err)
			archivetest.Same(t, f.original, f.live)
			kept, err := restore.ListKeptMedia(f.live)
			must(t, err)
			for _, k := range kept {
				must(t, restore.DropMedia(k))
			}
			f.left()
			archivetest.Same(t, f.original, f.live)
		})
	}
}

func pathsOf(list []media.Difference) (paths []string) {
	for _, d := range list {
		paths = append(paths, d.Path)
	}
	return paths
}

// Promise: of chosen paths only those change, each with what is below it, whatever is there now; an undo takes away
// again what was not there.
func TestMediaPaths(t *testing.T) {
	f := newFiles(t)
	f.spoil()
	must(t, os.WriteFile(filepath.Join(f.live, "a/keep"), []byte("not chosen"), 0o600))
	spoiled := f.copyOf("spoiled")
	o := f.options()
	o.Paths = []string{"a/deep/er/three", "a/one.txt", "./a/two.txt", "bytes\xff\xfe"}
	r, err := restore.Media(t.Context(), o)
	must(t, err)
	if r.Files != 4 {
		t.Errorf("%d files", r.Files)
	}
	for _, path := range []string{"a/deep/er/three", "a/one.txt", "a/two.txt"} {
		want, _ := os.ReadFile(filepath.Join(f.original, path))
		if got, err := os.ReadFile(filepath.Join(f.live, path)); err != nil || string(got) != string(want) {
			t.Errorf("%s: %q, %v", path, got, err)
		}
	}
	for path, there := range map[string]bool{"a/keep": true, "uploaded": true, "a/deep/same": false} {
		if _, err := os.Lstat(filepath.Join(f.live, path)); (err == nil) != there {
			t.Errorf("%s: %v", path, err)
		}
	}
	_, err = restore.UndoMedia(t.Context(), o)
	must(t, err)
	archivetest.Same(t, spoiled, f.live, "--omit-dir-times")
	f.left("media_undone")
}

// Promise: beside means beside: the live files are not looked at, and nothing that exists is replaced.
func TestMediaBeside(t *testing.T) {
	f := newFiles(t)
	must(t, os.RemoveAll(f.live))
	o := f.options()
	o.To = filepath.Join(f.dir, "elsewhere")
	_, err := restore.Media(t.Context(), o)
	must(t, err)
	archivetest.Same(t, f.original, o.To)
	if _, err := restore.Media(t.Context(), o); !errors.Is(err, restore.ErrMediaExists) {
		t.Errorf("a second time: %v", err)
	}
	if _, err := os.Lstat(f.live); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the live directory: %v", err)
	}
	// What does not exist is made, and an undo takes it away.
	o.To = ""
	_, err = restore.Media(t.Context(), o)
	must(t, err)
	archivetest.Same(t, f.original, f.live)
	_, err = restore.UndoMedia(t.Context(), o)
	must(t, err)
	if _, err := os.Lstat(f.live); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after the undo: %v", err)
	}
}

// Promise: an ordinary user gets everything but the owners, is told how many, and no rights of others.
func TestMediaOrdinaryUser(t *testing.T) {
	if os.Geteuid() != 0 {
		scratchtest.Skip(t, "only root can become somebody else")
	}
	f := newFiles(t)
	proctest.Program(t, "chown", "-R", "--no-dereference", "65534:65534", filepath.Join(f.dir, "repository"))
	for dir := f.dir; dir != "/" && dir != os.TempDir(); dir = filepath.Dir(dir) {
		must(t, os.Chmod(dir, 0o755))
	}
	home := filepath.Join(f.dir, "home")
	must(t, os.Mkdir(home, 0o755))
	must(t, os.Chown(home, 65534, 65534))
	to := filepath.Join(home, "restored")
	out := f.child(fileVictim{Dir: f.dir, Set: f.set.Ref.String(), To: to, UID: 65534}, nil)
	if !strings.Contains(out, "<nil> unowned ") || strings.Contains(out, "unowned 0") {
		t.Fatalf("%s", out)
	}
	// What the user who restores may not have given away is named, and the first of it.
	if !strings.Contains(out, " first . ") {
		t.Errorf("%s", out)
	}
	archivetest.Same(t, f.original, to, "--no-perms", "--no-owner", "--no-group", "--no-acls", "--no-devices", "--no-specials")
	fi, err := os.Stat(filepath.Join(to, "setuid"))
	must(t, err)
	if fi.Mode()&fs.ModeSetuid != 0 {
		t.Error("a file of another owner came back with its setuid bit")
	}
}

// Promise: when the disk is full nothing is replaced, and nothing is left of it.
func TestMediaDiskFull(t *testing.T) {
	if os.Geteuid() != 0 {
		scratchtest.Skip(t, "only root can mount")
	}
	f := newFiles(t)
	must(t, os.WriteFile(filepath.Join(f.live, "large"), make([]byte, 3<<20), 0o600))
	f.set = f.publish()
	small := filepath.Join(f.dir, "small")
	must(t, os.Mkdir(small, 0o755))
	proctest.Program(t, "mount", "-t", "tmpfs", "-o", "size=8m", "none", small)
	t.Cleanup(func() { must(t, unix.Unmount(small, 0)) })
	live := filepath.Join(small, "media")
	must(t, os.Mkdir(live, 0o755))
	must(t, os.WriteFile(filepath.Join(live, "mine"), []byte("here"), 0o600))
	o := f.options()
	o.Live = live
	o.Step = func(name string) {
		if name == "begun" { // somebody else fills it
			must(t, os.WriteFile(filepath.Join(small, "filler"), make([]byte, 6<<20), 0o600))
		}
	}
	if _, err := restore.Media(t.Context(), o); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("error %v", err)
	}
	if got, err := os.ReadFile(filepath.Join(live, "mine")); err != nil || string(got) != "here" {
		t.Errorf("live: %q, %v", got, err)
	}
	entries, err := os.ReadDir(small)
	must(t, err)
	if len(entries) != 2 {
		t.Errorf("left: %v", entries)
	}
	var space *restore.SpaceError
	o.Step = nil
	if _, err := restore.Media(t.Context(), o); !errors.As(err, &space) || space.Need < 3<<20 {
		t.Errorf("asked before: %v", err)
	}
}
