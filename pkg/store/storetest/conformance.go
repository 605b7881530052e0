// Package storetest holds every store to the contract of package store, and breaks stores on purpose.
//
// Run is the conformance suite that each store's test calls. Faulty wraps a store and makes chosen calls fail.
// Memory is the simplest store that passes Run: it has none of the optional interfaces, as an object store has
// none.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/store"
)

// Run runs the suite. Each call of open gives an empty store, which open's t cleans up.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	for name, test := range map[string]func(*testing.T, store.Store){
		"RoundTrip":      testRoundTrip,
		"Replace":        testReplace,
		"NothingEarly":   testNothingEarly,
		"FailedWrite":    testFailedWrite,
		"Panic":          testPanic,
		"Cancelled":      testCancelled,
		"Names":          testNames,
		"Stat":           testStat,
		"List":           testList,
		"Delete":         testDelete,
		"Concurrent":     testConcurrent,
		"ConcurrentDirs": testConcurrentDirs,
		"Rename":         testRename,
		"Free":           testFree,
		"Path":           testPath,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

// A blob comes back byte for byte, whatever its size.
func testRoundTrip(t *testing.T, s store.Store) {
	for _, size := range []int{0, 1, 4095, 4096, 4097, 32<<10 - 1, 32 << 10, 32<<10 + 1, 1<<20 + 3} {
		name := fmt.Sprintf("dir/sub/%d", size)
		want := bytes.Repeat([]byte("0123456789abcdefg"), size/17+1)[:size]
		put(t, s, name, want)
		wantBlob(t, s, name, want)
		if e, err := s.Stat(t.Context(), name); err != nil || e.Size != int64(size) {
			t.Errorf("Stat %s: %+v, %v", name, e, err)
		}
	}
}

// A second Put of a name replaces the first whole.
func testReplace(t *testing.T, s store.Store) {
	put(t, s, "a", []byte("long content of the first"))
	put(t, s, "a", []byte("short"))
	wantBlob(t, s, "a", []byte("short"))
	wantNames(t, s, "", "a")
}

// While it is being written, a blob is not there, and an older one still is.
func testNothingEarly(t *testing.T, s store.Store) {
	put(t, s, "old", []byte("old"))
	for _, name := range []string{"new", "old"} {
		err := s.Put(t.Context(), name, func(w io.Writer) error {
			if _, err := w.Write(make([]byte, 100_000)); err != nil {
				return err
			}
			wantAbsent(t, s, "new")
			wantBlob(t, s, "old", []byte("old"))
			wantNames(t, s, "", "old")
			return errors.New("never mind")
		})
		if err == nil {
			t.Error("the error of write is lost")
		}
	}
}

// A Put that fails returns the cause and leaves what was there before, and nothing else.
func testFailedWrite(t *testing.T, s store.Store) {
	put(t, s, "kept", []byte("kept"))
	cause := errors.New("no more data")
	for _, name := range []string{"new", "dir/sub/new", "kept"} {
		err := s.Put(t.Context(), name, func(w io.Writer) error {
			io.WriteString(w, "half of it")
			return cause
		})
		if !errors.Is(err, cause) {
			t.Errorf("Put %s: %v", name, err)
		}
	}
	wantNames(t, s, "", "kept")
	wantBlob(t, s, "kept", []byte("kept"))
}

// A write that panics leaves nothing either.
func testPanic(t *testing.T, s store.Store) {
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		s.Put(t.Context(), "dir/new", func(w io.Writer) error {
			io.WriteString(w, "half of it")
			panic("out of luck")
		})
	}()
	wantNames(t, s, "")
}

// The end of the context ends every call with its cause; a Put also when write does not notice.
func testCancelled(t *testing.T, s store.Store) {
	put(t, s, "kept", []byte("kept"))
	cause := errors.New("terminated")
	ctx, cancel := context.WithCancelCause(t.Context())
	err := s.Put(ctx, "new", func(w io.Writer) error {
		cancel(cause)
		io.WriteString(w, "too late")
		return nil
	})
	if !errors.Is(err, cause) {
		t.Errorf("Put, cancelled while writing: %v", err)
	}
	calls := map[string]func() error{
		"Put":    func() error { return s.Put(ctx, "new", func(io.Writer) error { return nil }) },
		"Open":   func() error { _, err := s.Open(ctx, "kept"); return err },
		"Stat":   func() error { _, err := s.Stat(ctx, "kept"); return err },
		"List":   func() error { _, err := s.List(ctx, ""); return err },
		"Delete": func() error { return s.Delete(ctx, "kept") },
	}
	if r, ok := s.(store.Renamer); ok {
		calls["Rename"] = func() error { return r.Rename(ctx, "kept", "new") }
	}
	for name, call := range calls {
		if err := call(); !errors.Is(err, cause) {
			t.Errorf("%s, cancelled before: %v", name, err)
		}
	}
	wantNames(t, s, "", "kept")
}

// What is no name is ErrName for every method.
func testNames(t *testing.T, s store.Store) {
	for _, name := range []string{"", ".", "..", "../x", "/x", "x/", "x//y", "x/../y", "x\x00y", ".x.tmp-1"} {
		calls := map[string]func() error{
			"Put":    func() error { return s.Put(t.Context(), name, func(io.Writer) error { return nil }) },
			"Open":   func() error { _, err := s.Open(t.Context(), name); return err },
			"Stat":   func() error { _, err := s.Stat(t.Context(), name); return err },
			"Delete": func() error { return s.Delete(t.Context(), name) },
		}
		if name != "" {
			calls["List"] = func() error { _, err := s.List(t.Context(), name); return err }
		}
		if r, ok := s.(store.Renamer); ok {
			calls["Rename from"] = func() error { return r.Rename(t.Context(), name, "y") }
			calls["Rename to"] = func() error { return r.Rename(t.Context(), "y", name) }
		}
		for method, call := range calls {
			if err := call(); !errors.Is(err, store.ErrName) {
				t.Errorf("%s %q: %v", method, name, err)
			}
		}
	}
	wantNames(t, s, "")
}

// Stat and Open tell blobs, directories and nothing apart.
func testStat(t *testing.T, s store.Store) {
	put(t, s, "dir/blob", []byte("12345"))
	if e, err := s.Stat(t.Context(), "dir/blob"); err != nil || e.Name != "blob" || e.Dir || e.Irregular || e.Size != 5 || e.ModTime.IsZero() {
		t.Errorf("a blob: %+v, %v", e, err)
	}
	if e, err := s.Stat(t.Context(), "dir"); err != nil || e.Name != "dir" || !e.Dir || e.Irregular || e.Size != 0 {
		t.Errorf("a directory: %+v, %v", e, err)
	}
	if _, err := s.Open(t.Context(), "dir"); !errors.Is(err, store.ErrNotBlob) && !errors.Is(err, store.ErrNotExist) {
		t.Errorf("Open of a directory: %v", err)
	}
	for _, name := range []string{"absent", "dir/absent", "absent/dir", "dir/blob/below"} {
		wantAbsent(t, s, name)
	}
}

// List shows one level, sorted, and nothing of what does not exist.
func testList(t *testing.T, s store.Store) {
	wantNames(t, s, "")
	for _, name := range []string{"b", "a/2", "a/10", "a/x/deep", "ab", "a-", ".hidden/x"} {
		put(t, s, name, []byte(name))
	}
	wantNames(t, s, "", ".hidden/", "a/", "a-", "ab", "b")
	wantNames(t, s, "a", "10", "2", "x/")
	wantNames(t, s, "a/x", "deep")
	wantNames(t, s, "absent")
	wantNames(t, s, "b")
	entries, err := s.List(t.Context(), "a")
	if err != nil || entries[0].Size != int64(len("a/10")) || entries[0].ModTime.IsZero() {
		t.Errorf("List a: %+v, %v", entries, err)
	}
}

// Delete takes what is meant, no more, and is content when it is gone already.
func testDelete(t *testing.T, s store.Store) {
	for _, name := range []string{"a/b/1", "a/b/2/3", "a/bc", "a/b.x", "d"} {
		put(t, s, name, []byte(name))
	}
	for _, name := range []string{"a/b", "a/b", "absent", "absent/x", "d/below", "a/bc"} {
		if err := s.Delete(t.Context(), name); err != nil {
			t.Errorf("Delete %s: %v", name, err)
		}
	}
	wantNames(t, s, "", "a/", "d")
	wantNames(t, s, "a", "b.x")
	wantNames(t, s, "a/b")
}

// Rivals leave one whole blob, and readers see none that is torn.
func testConcurrent(t *testing.T, s store.Store) {
	contents := [][]byte{bytes.Repeat([]byte("a"), 50_000), bytes.Repeat([]byte("b"), 90_000)}
	put(t, s, "dir/x", contents[0])
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for range 5 {
				put(t, s, "dir/x", contents[i%2])
				got, err := get(t.Context(), s, "dir/x")
				if err != nil || !bytes.Equal(got, contents[0]) && !bytes.Equal(got, contents[1]) {
					t.Errorf("read %d bytes, %v", len(got), err)
				}
			}
		})
	}
	wg.Wait()
	wantNames(t, s, "dir", "x")
}

// A Put that fails does not take its directory away from one that succeeds.
func testConcurrentDirs(t *testing.T, s store.Store) {
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range 5 {
				dir := fmt.Sprintf("d%d", n)
				if i%2 == 0 {
					put(t, s, fmt.Sprintf("%s/sub/%d", dir, i), nil)
				} else if s.Put(t.Context(), dir+"/sub/fails", func(io.Writer) error { return io.ErrUnexpectedEOF }) == nil {
					t.Error("the error of write is lost")
				}
			}
		})
	}
	wg.Wait()
	for n := range 5 {
		wantNames(t, s, fmt.Sprintf("d%d/sub", n), "0", "2", "4", "6")
	}
}

// Rename moves everything at once and replaces nothing.
func testRename(t *testing.T, s store.Store) {
	r, ok := s.(store.Renamer)
	if !ok {
		return
	}
	for _, name := range []string{"from/a", "from/b/c", "taken/x", "blob"} {
		put(t, s, name, []byte(name))
	}
	for _, to := range []string{"taken", "blob", "taken/x"} {
		if err := r.Rename(t.Context(), "from", to); !errors.Is(err, store.ErrExist) {
			t.Errorf("Rename to %s: %v", to, err)
		}
	}
	if err := r.Rename(t.Context(), "absent", "new/dir"); !errors.Is(err, store.ErrNotExist) {
		t.Errorf("Rename of nothing: %v", err)
	}
	wantNames(t, s, "", "blob", "from/", "taken/")
	wantNames(t, s, "from", "a", "b/")
	for _, name := range []string{"moved", "new/dir"} {
		from := "from"
		if name != "moved" {
			from = "moved"
		}
		if err := r.Rename(t.Context(), from, name); err != nil {
			t.Fatal(err)
		}
		wantAbsent(t, s, from)
		wantBlob(t, s, name+"/a", []byte("from/a"))
		wantBlob(t, s, name+"/b/c", []byte("from/b/c"))
	}
	if err := r.Rename(t.Context(), "blob", "blob2"); err != nil {
		t.Fatal(err)
	}
	wantBlob(t, s, "blob2", []byte("blob"))
}

// Where space is known, there is some.
func testFree(t *testing.T, s store.Store) {
	if sp, ok := s.(store.Spacer); ok {
		if n, err := sp.Free(t.Context()); err != nil || n <= 0 {
			t.Errorf("Free: %d, %v", n, err)
		}
	}
}

// Where blobs are files, the path leads to the very bytes.
func testPath(t *testing.T, s store.Store) {
	l, ok := s.(store.Locator)
	if !ok {
		return
	}
	put(t, s, "dir/x", []byte("content"))
	path, err := l.Path("dir/x")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "content" {
		t.Errorf("%s: %q, %v", path, got, err)
	}
	if _, err := l.Path("../x"); !errors.Is(err, store.ErrName) {
		t.Errorf("Path of no name: %v", err)
	}
}
