package media_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bmad-forge/forgectl/pkg/archive/archivetest"
	"github.com/bmad-forge/forgectl/pkg/media"
	"github.com/bmad-forge/forgectl/pkg/proc/proctest"
	"github.com/bmad-forge/forgectl/pkg/store/storetest"
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

// Promise: where the source is no tree any more, or its target cannot be written, there is an error.
func TestRefused(t *testing.T) {
	s := newSeries(t)
	s.write("a", "x")
	for name, change := range map[string]func(*media.SnapshotOptions){
		"no source": func(o *media.SnapshotOptions) { o.Source = s.path("none") },
		"a file":    func(o *media.SnapshotOptions) { o.Source = s.path("a") },
		"target":    func(o *media.SnapshotOptions) { o.Target = s.dir },
	} {
		if _, err := s.take(change); err == nil {
			t.Error(name)
		}
	}
	_, err := s.take(func(o *media.SnapshotOptions) { o.Write = func(media.Entry) error { return errors.ErrUnsupported } })
	if !errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	_, err = media.Snapshot(ctx, media.SnapshotOptions{Source: s.source, Target: filepath.Join(s.dir, "x"), Step: func(string, string) { cancel(why) }})
	if !errors.Is(err, why) {
		t.Error(err)
	}
}

// Promise: a file that changes while it is copied is copied again; one that never stops is named, and what is in the tree
// is what the index says.
func TestChanging(t *testing.T) {
	s := newSeries(t)
	s.write("calm", "x")
	s.write("once", "x")
	s.write("growing", "x")
	var once sync.Once
	append1 := func(name string) {
		f, err := os.OpenFile(s.path(name), os.O_WRONLY|os.O_APPEND, 0)
		must(t, err)
		_, err = f.WriteString("more")
		must(t, err)
		must(t, f.Close())
	}
	r := s.must(func(o *media.SnapshotOptions) {
		o.Step = func(step, path string) {
			switch {
			case step != "copied":
			case path == "growing":
				append1(path)
			case path == "once":
				once.Do(func() { append1(path) })
			}
		}
	})
	if !slices.Equal(r.Unstable.First, []string{"growing"}) {
		t.Errorf("%+v", r)
	}
	if data, err := os.ReadFile(filepath.Join(s.tree, "once")); err != nil || string(data) != "xmore" {
		t.Errorf("%q, %v", data, err)
	}
	checkIndex(t, s)
	s.settle()
	s.must(nil)
	archivetest.Same(t, s.source, s.tree)
}

// Promise: what vanishes meanwhile is none of the tree's business.
func TestVanishing(t *testing.T) {
	s := newSeries(t)
	for _, name := range []string{"a/file", "b/file", "file", "other"} {
		s.write(name, "x")
	}
	r := s.must(func(o *media.SnapshotOptions) {
		o.Step = func(step, path string) {
			switch step + " " + path {
			case "file file":
				must(t, os.Remove(s.path("file")))
			case "directory a":
				must(t, os.RemoveAll(s.path("b")))
			}
		}
	})
	if r.Vanished != 2 || r.Unreadable.Count > 0 {
		t.Errorf("%+v", r)
	}
	checkIndex(t, s)
}

// Promise: whatever is exchanged between walk and copy, no path leads out of the tree and nothing waits for a pipe.
func TestRace(t *testing.T) {
	s := newSeries(t)
	secret := filepath.Join(s.dir, "secret")
	must(t, os.MkdirAll(filepath.Join(secret, "sub"), 0o755))
	for i := range 300 {
		must(t, os.WriteFile(filepath.Join(secret, fmt.Sprint(i)), []byte("secret"), 0o644))
		must(t, os.WriteFile(filepath.Join(secret, "sub", fmt.Sprint(i)), []byte("secret"), 0o644))
	}
	build := func() {
		for i := range 300 {
			s.write(fmt.Sprintf("dir/%d", i), "public")
			s.write(fmt.Sprintf("dir/sub/%d", i), "public")
		}
	}
	build()
	var stop atomic.Bool
	var running sync.WaitGroup
	flips := 0
	running.Go(func() {
		for ; !stop.Load(); flips++ {
			for _, name := range []string{"dir/sub", "dir", "dir/7"} {
				path := s.path(name)
				aside := filepath.Join(s.dir, "aside")
				if os.Rename(path, aside) != nil {
					continue
				}
				if name == "dir/7" {
					_ = unix.Mkfifo(path, 0o600)
				} else {
					_ = os.Symlink(secret, path)
				}
				time.Sleep(time.Millisecond)
				_ = os.Remove(path)
				_ = os.Rename(aside, path)
			}
		}
	})
	for range 12 {
		s.must(func(o *media.SnapshotOptions) { o.Jobs = 4 })
		for path, e := range s.entries() {
			data, err := os.ReadFile(filepath.Join(s.tree, path))
			if e.Type == media.File && (err != nil || string(data) != "public") {
				t.Fatalf("%s: %q, %v", path, data, err)
			}
		}
	}
	stop.Store(true)
	running.Wait()
	if flips < 10 {
		t.Errorf("%d flips only", flips)
	}
}

// Promise: a named step between the look at a file and its opening: what took its place is never opened.
func TestReplacedBeforeOpening(t *testing.T) {
	s := newSeries(t)
	must(t, os.WriteFile(filepath.Join(s.dir, "secret"), []byte("secret"), 0o600))
	for _, name := range []string{"pipe", "link", "dir"} {
		s.write(name, "x")
	}
	r := s.must(func(o *media.SnapshotOptions) {
		o.Step = func(step, path string) {
			if step != "file" {
				return
			}
			must(t, os.Remove(s.path(path)))
			switch path {
			case "pipe":
				must(t, unix.Mkfifo(s.path(path), 0o600))
			case "link":
				must(t, os.Symlink("../secret", s.path(path)))
			case "dir":
				must(t, os.Mkdir(s.path(path), 0o755))
			}
		}
	})
	if r.Vanished != 3 || r.Files != 0 {
		t.Errorf("%+v", r)
	}
	checkIndex(t, s)
}

// Promise: names are bytes, trees may be deep, links go where they say and are not followed, and what is no file is
// listed and never opened.
func TestOddTrees(t *testing.T) {
	s := newSeries(t)
	for _, name := range []string{"-rf", "new\nline", "\xff\xfe\x01", strings.Repeat("n", 255), "--", " ", "*", ".tmp-x", ".probe"} {
		s.write(name, name)
	}
	must(t, os.Symlink(".", s.path("loop")))
	must(t, os.Symlink("/etc", s.path("out")))
	must(t, os.Symlink(strings.Repeat("x/", 2000), s.path("long")))
	must(t, unix.Mkfifo(s.path("pipe"), 0o600))
	socket, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	must(t, err)
	defer unix.Close(socket)
	must(t, os.Chdir(s.source)) // paths of sockets are short
	must(t, unix.Bind(socket, &unix.SockaddrUnix{Name: "socket"}))
	must(t, os.Chdir("/"))
	if os.Geteuid() == 0 {
		must(t, unix.Mknod(s.path("device"), unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))))
	}
	const depth = 600 // beyond the longest path that a system call takes
	at, err := unix.Open(s.source, unix.O_RDONLY, 0)
	must(t, err)
	deepest := ""
	for range depth {
		name := "a-long-name"
		must(t, unix.Mkdirat(at, name, 0o755))
		next, err := unix.Openat(at, name, unix.O_RDONLY, 0)
		must(t, err)
		unix.Close(at)
		at, deepest = next, deepest+name+"/"
	}
	fd, err := unix.Openat(at, "bottom", unix.O_CREAT|unix.O_WRONLY, 0o644)
	must(t, err)
	unix.Close(fd)
	unix.Close(at)
	s.settle()
	s.must(nil)
	if r := s.must(nil); r.Copied != 0 || r.Unreadable.Count > 0 {
		t.Errorf("%+v", r)
	}
	all := s.entries()
	for path, want := range map[string]media.Type{
		deepest + "bottom": media.File, "loop": media.Symlink, "pipe": media.FIFO, "socket": media.Socket, "\xff\xfe\x01": media.File, ".probe": media.File,
	} {
		if all[path].Type != want {
			t.Errorf("%.40q: %q", path, all[path].Type)
		}
	}
	must(t, os.Remove(s.path("pipe")))
	must(t, os.Remove(s.path("socket")))
	if os.Geteuid() == 0 {
		must(t, os.Remove(s.path("device")))
	}
	proctest.Program(t, "rm", "-rf", s.path("a-long-name"), filepath.Join(s.tree, "a-long-name")) // no path for rsync
	must(t, os.Chtimes(s.source, time.Time{}, time.Unix(5, 0)))
	must(t, os.Chtimes(s.tree, time.Time{}, time.Unix(5, 0)))
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

// Promise: patterns keep out what they say, with all that is in it.
func TestExclude(t *testing.T) {
	s := newSeries(t)
	for _, name := range []string{"keep", "a.tmp", "cache/x", "sub/cache/x", "sub/b.tmp", "sub/keep.tmp"} {
		s.write(name, "x")
	}
	p, err := media.ParsePatterns([]string{"*.tmp", "!keep.tmp", "/cache/"})
	must(t, err)
	r := s.must(func(o *media.SnapshotOptions) { o.Exclude = p })
	if r.Files != 3 || r.Excluded != 3 {
		t.Errorf("%+v", r)
	}
}

// Promise: a disk that runs full ends the run with that reason.
func TestDiskFull(t *testing.T) {
	s := newSeries(t)
	s.write("big", strings.Repeat("x", 4<<20))
	mount := t.TempDir()
	storetest.Mount(t, mount, 2<<20)
	_, err := s.take(func(o *media.SnapshotOptions) { o.Target = filepath.Join(mount, "tree") })
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "big") {
		t.Error(err)
	}
}

// Promise: a source that is unmounted in the middle is no empty tree.
func TestUnmounted(t *testing.T) {
	s := newSeries(t)
	disk := storetest.Mount(t, s.source, 4<<20)
	s.write("dir/a", "x")
	_, err := s.take(func(o *media.SnapshotOptions) {
		o.Step = func(step, path string) {
			if step == "file" && path == "dir/a" {
				disk.Unmount()
			}
		}
	})
	if !errors.Is(err, media.ErrGone) {
		t.Error(err)
	}
}

// Promise: what is mounted below the source is part of it.
func TestMountBelow(t *testing.T) {
	s := newSeries(t)
	s.write("dir/below", "x")
	must(t, os.Remove(s.path("dir/below")))
	storetest.Mount(t, s.path("dir"), 1<<20)
	s.write("dir/mounted", "x")
	s.must(nil)
	if _, ok := s.entries()["dir/mounted"]; !ok {
		t.Error("left out")
	}
}

// Promise: without hard links there is an error that says so, and with Copy a whole tree all the same.
func TestNoLinks(t *testing.T) {
	if !storetest.NoLinks(t) {
		return
	}
	s := newSeries(t)
	s.write("a", "x")
	if _, err := s.take(nil); !errors.Is(err, media.ErrNoLinks) {
		t.Error(err)
	}
	for range 2 {
		if r := s.must(func(o *media.SnapshotOptions) { o.Copy = true }); r.Copied != 1 {
			t.Errorf("%+v", r)
		}
		archivetest.Same(t, s.source, s.tree)
		s.settle()
	}
}
