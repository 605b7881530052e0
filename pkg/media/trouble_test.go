package media_test

import (
	"context"
	"errors"
	"fmt"
	"os"
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

// Promise: a directory that a file takes the place of, after its first names were handed out and before the rest are looked at, has
// vanished as far as it was not looked at yet; nothing of the file is taken for it.
func TestDirectoryReplacedByFile(t *testing.T) {
	s := newSeries(t)
	const files = 600 // more than are handed out at once
	for i := range files {
		s.write(fmt.Sprintf("dir/%03d", i), "public")
	}
	s.write("dir/sub/x", "public")
	s.write("other", "x")
	var once sync.Once
	r := s.must(func(o *media.SnapshotOptions) {
		o.Jobs = 1
		o.Step = func(step, path string) {
			if step == "file" && strings.HasPrefix(path, "dir/") {
				once.Do(func() {
					must(t, os.Rename(s.path("dir"), filepath.Join(s.dir, "aside")))
					must(t, os.WriteFile(s.path("dir"), []byte("a file now"), 0o644))
				})
			}
		}
	})
	if r.Vanished < files-256-1 || r.Unreadable.Count > 0 {
		t.Errorf("%+v", r)
	}
	checkIndex(t, s)
	if fi, err := os.Lstat(filepath.Join(s.tree, "dir")); err != nil || !fi.IsDir() {
		t.Errorf("%v, %v", fi, err)
	}
	must(t, os.Remove(s.path("dir")))
	s.write("dir", "a file now")
	s.settle()
	s.must(nil)
	archivetest.Same(t, s.source, s.tree)
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
