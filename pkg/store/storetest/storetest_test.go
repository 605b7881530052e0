package storetest_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/store"
	"github.com/bmad-forge/forgectl/pkg/store/storetest"
)

// The suite needs nothing that only a file system has.
func TestMemory(t *testing.T) {
	storetest.Run(t, func(*testing.T) store.Store { return &storetest.Memory{} })
}

// Each fault comes at its moment, once, and leaves the store as a real failure would.
func TestFaulty(t *testing.T) {
	boom := errors.New("boom")
	put := func(s store.Store) error {
		return s.Put(t.Context(), "a/b", func(w io.Writer) error {
			n, err := io.WriteString(w, "0123456789")
			if err == nil && n < 10 {
				err = io.ErrShortWrite
			}
			return err
		})
	}
	read := func(s store.Store) (string, error) {
		r, err := s.Open(t.Context(), "a/b")
		if err != nil {
			return "", err
		}
		defer r.Close()
		data, err := io.ReadAll(r)
		return string(data), err
	}
	for _, fault := range []storetest.Fault{
		{Method: "Put", Err: boom},
		{Method: "Put", Name: "a/*", When: storetest.Mid, After: 4, Err: boom},
		{Method: "Put", When: storetest.Mid, Err: boom},
		{Method: "Put", When: storetest.Short, After: 4, Err: io.ErrShortWrite},
		{Method: "Put", When: storetest.Commit, Err: boom},
	} {
		s := storetest.Faulty(t, &storetest.Memory{}, fault)
		if err := put(s); !errors.Is(err, fault.Err) {
			t.Errorf("%+v: %v", fault, err)
		}
		if _, err := s.Stat(t.Context(), "a/b"); !errors.Is(err, store.ErrNotExist) {
			t.Errorf("%+v left a blob", fault)
		}
		if err := put(s); err != nil {
			t.Errorf("%+v came twice: %v", fault, err)
		}
	}
	s := storetest.Faulty(t, &storetest.Memory{},
		storetest.Fault{Method: "Open", Nth: 2, Err: boom},
		storetest.Fault{Method: "Open", Nth: 3, When: storetest.Mid, After: 4, Err: boom},
		storetest.Fault{Method: "Open", Nth: 4, When: storetest.Short, After: 3},
		storetest.Fault{Method: "Stat", Err: boom},
		storetest.Fault{Method: "List", Err: boom},
		storetest.Fault{Method: "Delete", Err: boom})
	if err := put(s); err != nil {
		t.Fatal(err)
	}
	for i, want := range []struct {
		data string
		err  error
	}{{"0123456789", nil}, {"", boom}, {"0123", boom}, {"012", nil}, {"0123456789", nil}} {
		if got, err := read(s); got != want.data || !errors.Is(err, want.err) {
			t.Errorf("Open %d: %q, %v", i+1, got, err)
		}
	}
	_, errStat := s.Stat(t.Context(), "a/b")
	_, errList := s.List(t.Context(), "a")
	if err := errors.Join(errStat, errList, s.Delete(t.Context(), "a")); strings.Count(err.Error(), "boom") != 3 {
		t.Errorf("Stat, List, Delete: %v", err)
	}
}

// A planned fault that never comes fails the test that planned it.
func TestFaultThatNeverHappens(t *testing.T) {
	tb := &recorder{TB: t}
	storetest.Faulty(tb, &storetest.Memory{}, storetest.Fault{Method: "Put"})
	tb.cleanup()
	if !tb.failed {
		t.Error("nobody noticed")
	}
}

type recorder struct {
	testing.TB
	cleanup func()
	failed  bool
}

func (r *recorder) Cleanup(f func())      { r.cleanup = f }
func (r *recorder) Errorf(string, ...any) { r.failed = true }
