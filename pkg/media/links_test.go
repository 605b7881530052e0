package media_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bmad-forge/forgectl/pkg/archive/archivetest"
	"github.com/bmad-forge/forgectl/pkg/media"
)

// Promise: what has not changed is the same file in both trees; a change of nothing but metadata makes a new one, and the
// old tree keeps its own.
func TestLinks(t *testing.T) {
	s := newSeries(t)
	for _, name := range []string{"same", "mode", "content", "touched"} {
		s.write(name, "one")
	}
	s.settle()
	s.must(nil)
	old := s.tree
	must(t, os.Chmod(s.path("mode"), 0o600))
	fi, err := os.Stat(s.path("content"))
	must(t, err)
	s.write("content", "two") // of the same size, and with the old time
	must(t, os.Chtimes(s.path("content"), time.Time{}, fi.ModTime()))
	must(t, os.Chtimes(s.path("touched"), time.Time{}, time.Unix(1, 2)))
	report := s.must(nil)
	if report.Linked != 1 || report.Copied != 3 {
		t.Errorf("%+v", report)
	}
	for name, linked := range map[string]bool{"same": true, "mode": false, "content": false, "touched": false} {
		if got := inode(t, filepath.Join(old, name)) == inode(t, filepath.Join(s.tree, name)); got != linked {
			t.Errorf("%s: linked %v", name, got)
		}
	}
	if fi, err := os.Stat(filepath.Join(old, "mode")); err != nil || fi.Mode() != 0o644 {
		t.Error("the old tree was edited")
	}
	archivetest.Same(t, s.source, s.tree)
}

// Promise: with Checksum a file is read, and one whose content is another is copied though nothing else tells.
func TestChecksum(t *testing.T) {
	s := newSeries(t)
	s.write("a", "one")
	s.write("b", "one")
	s.settle()
	s.must(nil)
	// The index says that a had another content: as after a change behind the back of the file system.
	s.index = []byte(strings.Replace(string(s.index), s.entries()["a"].SHA256, strings.Repeat("0", 64), 1))
	if r := s.must(func(o *media.SnapshotOptions) { o.Checksum = true }); r.Linked != 1 || r.Copied != 1 {
		t.Errorf("%+v", r)
	}
}

// Promise: a file that is known to be damaged in the previous tree, or that is not as its index says, is copied anew.
func TestDamagedPrevious(t *testing.T) {
	s := newSeries(t)
	for _, name := range []string{"good", "known", "longer", "gone"} {
		s.write(name, "text")
	}
	s.settle()
	s.must(nil)
	must(t, os.WriteFile(filepath.Join(s.tree, "longer"), []byte("other text"), 0o644))
	must(t, os.Remove(filepath.Join(s.tree, "gone")))
	old := s.tree
	r, err := s.take(func(o *media.SnapshotOptions) {
		o.Previous.Damaged = func(path string) bool { return path == "known" }
	})
	must(t, err)
	if r.Linked != 1 || r.Copied != 3 || r.Distrusted.Count != 2 {
		t.Errorf("%+v", r)
	}
	if inode(t, filepath.Join(old, "known")) == inode(t, filepath.Join(s.tree, "known")) {
		t.Error("linked to a file that is damaged")
	}
	archivetest.Same(t, s.source, s.tree)
}
