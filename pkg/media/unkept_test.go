package media_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/bmad-forge/forgectl/pkg/media"
	"github.com/bmad-forge/forgectl/pkg/store/storetest"
)

// Promise: attributes that the file system of the tree cannot hold are counted with the first path that has one, the index
// has them all the same and says that the tree has not, also in the next snapshot; a tree that lacks others is damaged; and
// where they can be held, they come back.
func TestUnkept(t *testing.T) {
	s := newSeries(t)
	storetest.Mount(t, s.source, 4<<20) // a tmpfs, where attributes may be larger than on most disks
	s.write("a", "x")
	s.write("dir/z", "x")
	s.write("dir/plain", "x")
	large := bytes.Repeat([]byte("v"), 60_000)
	if err := unix.Setxattr(s.dir, "user.large", large, 0); !errors.Is(err, unix.ENOSPC) {
		if os.Getenv("CI") != "" {
			t.Fatalf("cannot be left out in CI: %s holds large attributes (%v)", s.dir, err)
		}
		t.Skipf("the file system of %s holds large attributes (%v): nothing to see", s.dir, err)
	}
	for _, name := range []string{"dir", "dir/z", "a"} {
		must(t, unix.Setxattr(s.path(name), "user.large", large, 0))
		must(t, unix.Setxattr(s.path(name), "user.small", []byte("v"), 0))
	}
	s.settle()
	if r := s.must(nil); r.Unkept != (media.Unkept{Xattrs: media.Some{Count: 3, First: "a"}}) {
		t.Errorf("%+v", r.Unkept)
	}
	if r := s.must(nil); r.Linked != 3 || r.Unkept.Xattrs.Count != 1 { // of what is new: the directory
		t.Errorf("%+v", r)
	}
	entries := s.entries()
	for _, name := range []string{"dir", "dir/z", "a"} {
		if e := entries[name]; !slices.Equal(e.Unkept, []string{"user.large"}) || len(e.Xattrs["user.large"]) != 60_000 {
			t.Errorf("%s: %q", name, e.Unkept)
		}
	}
	index := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(s.index)), nil }
	differences := func(dir string) (found []string) {
		c := media.Comparison{Dir: dir, Index: index, Privileged: true, Found: func(d media.Difference) { found = append(found, d.String()) }}
		if dir == s.tree {
			c.Unmarked = func(e *media.Entry, name string) bool { return slices.Contains(e.Unkept, name) }
		}
		_, err := c.Run(t.Context())
		must(t, err)
		return found
	}
	if found := differences(s.tree); found != nil {
		t.Errorf("%q", found)
	}
	must(t, unix.Removexattr(filepath.Join(s.tree, "a"), "user.small"))
	if found := differences(s.tree); !slices.Equal(found, []string{"a: extended attribute user.small is missing"}) {
		t.Errorf("%q", found)
	}

	to := filepath.Join(s.source, "restored")
	b := media.Building{From: s.tree, Index: index, To: to}
	built, err := b.Run(t.Context())
	must(t, err)
	if found := differences(to); found != nil || built.Unmarked.Count != 0 {
		t.Errorf("%q, %+v", found, built)
	}
	b.To = filepath.Join(s.dir, "restored")
	if built, err = b.Run(t.Context()); err != nil || built.Unmarked != (media.Some{Count: 3, First: "a"}) {
		t.Errorf("%+v, %v", built, err)
	}
}

// Promise: a file that others never stop appending to ends the snapshot after a bounded number of copies, none of them
// longer than the file was when it was opened; it is named, and what is in the tree is what the index says.
func TestGrowingForEver(t *testing.T) {
	s := newSeries(t)
	s.write("calm", "x")
	s.write("growing", strings.Repeat("line\n", 200_000))
	stop := make(chan struct{})
	ended := make(chan struct{})
	defer func() { close(stop); <-ended }()
	go func() {
		defer close(ended)
		f, err := os.OpenFile(s.path("growing"), os.O_WRONLY|os.O_APPEND, 0)
		for err == nil {
			select {
			case <-stop:
				_ = f.Close()
				return
			default:
				_, err = f.WriteString("line\n")
			}
		}
		t.Error(err)
	}()
	size := func() int64 {
		fi, err := os.Stat(s.path("growing"))
		must(t, err)
		return fi.Size()
	}
	n := 0
	r := s.must(func(o *media.SnapshotOptions) {
		o.Step = func(step, path string) {
			if step != "copied" || path != "growing" {
				return
			}
			n++
			for at := size(); size() == at; { // however few moments the other one gets
				select {
				case <-ended:
					return
				default:
				}
			}
		}
	})
	if !slices.Equal(r.Unstable.First, []string{"growing"}) || n != 3 {
		t.Errorf("copied %d times: %+v", n, r)
	}
	checkIndex(t, s)
	data, err := os.ReadFile(filepath.Join(s.tree, "growing"))
	must(t, err)
	live, err := os.ReadFile(s.path("growing"))
	must(t, err)
	if len(data) < 1_000_000 || !bytes.HasPrefix(live, data) {
		t.Errorf("%d bytes, of %d", len(data), len(live))
	}
}
