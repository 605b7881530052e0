package media_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bmad-forge/forgectl/pkg/archive/archivetest"
	"github.com/bmad-forge/forgectl/pkg/media"
	"github.com/bmad-forge/forgectl/pkg/proc/proctest"
)

// Promise: everything that a file carries besides its bytes comes along.
func TestMetadata(t *testing.T) {
	root(t)
	s := newSeries(t)
	s.write("file", "x")
	s.write("dir/file", "x")
	s.write("setuid", "x")
	must(t, os.Chown(s.path("file"), 1234, 5678))
	must(t, os.Symlink("file", s.path("link")))
	must(t, os.Lchown(s.path("link"), 1, 2))
	must(t, os.Chmod(s.path("setuid"), 0o755|os.ModeSetuid))
	must(t, os.Link(s.path("file"), s.path("dir/second")))
	must(t, os.Link(s.path("link"), s.path("dir/second-link")))
	must(t, unix.Setxattr(s.path("file"), "user.a", []byte{0, 1}, 0))
	must(t, unix.Setxattr(s.path("file"), "trusted.b", []byte("x"), 0))
	must(t, unix.Setxattr(s.path("dir"), "user.empty", nil, 0))
	must(t, unix.Setxattr(s.path("setuid"), "security.capability", []byte("\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"), 0))
	must(t, unix.Lsetxattr(s.path("link"), "trusted.of-link", []byte("y"), 0))
	proctest.Program(t, "setfacl", "-m", "u:1000:r,d:u:1000:rwx", s.path("dir"))
	proctest.Program(t, "setfacl", "-m", "u:1000:rw", s.path("dir/file"))
	must(t, os.Chtimes(s.path("file"), time.Time{}, time.Unix(-5, 123)))
	must(t, os.Mkdir(s.path("empty"), 0o1777))
	must(t, os.Chtimes(s.path("dir"), time.Time{}, time.Unix(7, 7)))
	for range 2 {
		if r := s.must(nil); r.Unkept != (media.Unkept{}) {
			t.Errorf("%+v", r)
		}
		checkIndex(t, s)
		archivetest.Same(t, s.source, s.tree)
		s.settle()
	}
	if e := s.entries()["file"]; string(e.Xattrs["user.a"]) != "\x00\x01" || string(e.Xattrs["trusted.b"]) != "x" {
		t.Errorf("%+v", e)
	}
	if value := make([]byte, 9); s.entries()["link"].Xattrs["trusted.of-link"] == nil || lgetxattr(t, filepath.Join(s.tree, "link"), "trusted.of-link", value) != "y" {
		t.Errorf("%+v", s.entries()["link"])
	}
}

func lgetxattr(t *testing.T, path, name string, buf []byte) string {
	n, err := unix.Lgetxattr(path, name, buf)
	must(t, err)
	return string(buf[:n])
}

func immutable(t *testing.T, path string) {
	proctest.Program(t, "chattr", "+i", path)
	t.Cleanup(func() {
		if out, err := exec.Command("chattr", "-i", path).CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	})
}

// Promise: a file that may not be changed, nor linked to, is copied.
func TestImmutable(t *testing.T) {
	root(t)
	s := newSeries(t)
	s.write("a", "x")
	immutable(t, s.path("a"))
	s.settle()
	s.must(nil)
	old := filepath.Join(s.tree, "a")
	immutable(t, old)
	if r := s.must(nil); r.Copied != 1 {
		t.Errorf("%+v", r)
	}
	archivetest.Same(t, s.source, s.tree)
}

// Promise: a sparse file stays sparse, and its hash is that of all its bytes.
func TestSparse(t *testing.T) {
	s := newSeries(t)
	f, err := os.Create(s.path("sparse"))
	must(t, err)
	for _, at := range []int64{0, 5 << 20, 100<<20 - 3} {
		_, err = f.WriteAt([]byte("abc"), at)
		must(t, err)
	}
	must(t, f.Truncate(300<<20))
	must(t, f.Close())
	must(t, os.WriteFile(s.path("hole"), nil, 0o644))
	must(t, os.Truncate(s.path("hole"), 1<<20))
	s.must(nil)
	var st unix.Stat_t
	must(t, unix.Stat(filepath.Join(s.tree, "sparse"), &st))
	if st.Size != 300<<20 || st.Blocks*512 > 1<<20 {
		t.Errorf("%d bytes in %d blocks", st.Size, st.Blocks)
	}
	e := s.entries()["sparse"]
	if sum, _, _ := strings.Cut(proctest.Program(t, "sha256sum", s.path("sparse")), " "); len(e.Extents) != 3 || sum != e.SHA256 {
		t.Errorf("%+v", e)
	}
	if e := s.entries()["hole"]; e.Extents == nil || len(e.Extents) != 0 {
		t.Errorf("%+v", e)
	}
	archivetest.Same(t, s.source, s.tree)
}
