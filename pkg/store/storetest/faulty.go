package storetest

import (
	"context"
	"fmt"
	"io"
	"path"
	"sync"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/store"
)

// Fault is one failure that is planned for one call.
type Fault struct {
	// Method is "Put", "Open", "Stat", "List", "Delete", "Rename" or "Free".
	Method string
	// Name limits the fault to names that this pattern matches (path.Match; "*" does not cross a "/"). Empty:
	// every name. Of a Rename it is the old name.
	Name string
	// Nth counts the calls of Method that Name matches, the first is 1. 0 means 1.
	Nth int
	// Err is what the call fails with.
	Err error
	// When says at which moment. Only Put and Open know others than the first.
	When When
	// After is the bytes that get through before a fault of Mid or Short.
	After int64
}

// When is a moment of a call.
type When int

const (
	// Before the call does anything.
	Before When = iota
	// Mid is in the middle of the data: Put's Write, or the Read of what Open returned, gives Err after After
	// bytes.
	Mid
	// Short is a Put's Write that takes too few bytes and says so only in its count, or an Open whose data
	// ends after After bytes without an error. Err is not used.
	Short
	// Commit is after all data of a Put was written, when it is to get its name.
	Commit
)

// Faulty is inner with faults. When the test ends every planned fault must have happened, else the test fails:
// a fault that never came has tested nothing. What Faulty returns has all optional interfaces of package store
// if inner has all of them, otherwise none.
func Faulty(t testing.TB, inner store.Store, faults ...Fault) store.Store {
	f := &faulty{inner: inner}
	for _, fault := range faults {
		f.plans = append(f.plans, &plan{Fault: fault})
	}
	t.Cleanup(func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		for _, p := range f.plans {
			if !p.happened {
				t.Errorf("storetest: planned fault never happened: %+v", p.Fault)
			}
		}
	})
	all, ok := inner.(allInterfaces)
	if !ok {
		return f
	}
	return &faultyAll{faulty: f, all: all}
}

type allInterfaces interface {
	store.Renamer
	store.Spacer
	store.Locator
}

type plan struct {
	Fault
	seen     int
	happened bool
}

type faulty struct {
	inner store.Store
	mu    sync.Mutex
	plans []*plan
}

// due finds the fault that is planned for this call.
func (f *faulty) due(method, name string) (*plan, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var found *plan
	for _, p := range f.plans {
		if p.Method != method {
			continue
		}
		if ok, err := path.Match(p.Name, name); p.Name != "" && (!ok || err != nil) {
			continue
		}
		p.seen++
		if found == nil && !p.happened && p.seen == max(p.Nth, 1) {
			found = p
		}
	}
	return found, found != nil
}

func (f *faulty) happened(p *plan) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p.happened = true
}

// fail is the error of a fault that comes at once.
func (f *faulty) fail(method, name string) error {
	p, ok := f.due(method, name)
	if !ok {
		return nil
	}
	f.happened(p)
	return fmt.Errorf("%s %s: %w", method, name, p.Err)
}

func (f *faulty) Put(ctx context.Context, name string, write func(io.Writer) error) error {
	p, ok := f.due("Put", name)
	if !ok {
		return f.inner.Put(ctx, name, write)
	}
	if p.When == Before {
		f.happened(p)
		return fmt.Errorf("Put %s: %w", name, p.Err)
	}
	return f.inner.Put(ctx, name, func(w io.Writer) error {
		fw := &faultyWriter{w: w, f: f, p: p, left: p.After}
		if err := write(fw); err != nil {
			return err
		}
		if p.When == Commit {
			f.happened(p)
			return p.Err
		}
		return fw.err // a write that failed fails the Put, as in a real store
	})
}

func (f *faulty) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	p, ok := f.due("Open", name)
	if ok && p.When == Before {
		f.happened(p)
		return nil, fmt.Errorf("Open %s: %w", name, p.Err)
	}
	r, err := f.inner.Open(ctx, name)
	if err != nil || !ok {
		return r, err
	}
	return &faultyReader{ReadCloser: r, f: f, p: p, left: p.After}, nil
}

func (f *faulty) Stat(ctx context.Context, name string) (store.Entry, error) {
	if err := f.fail("Stat", name); err != nil {
		return store.Entry{}, err
	}
	return f.inner.Stat(ctx, name)
}

func (f *faulty) List(ctx context.Context, dir string) ([]store.Entry, error) {
	if err := f.fail("List", dir); err != nil {
		return nil, err
	}
	return f.inner.List(ctx, dir)
}

func (f *faulty) Delete(ctx context.Context, name string) error {
	if err := f.fail("Delete", name); err != nil {
		return err
	}
	return f.inner.Delete(ctx, name)
}

type faultyAll struct {
	*faulty
	all allInterfaces
}

func (f *faultyAll) Rename(ctx context.Context, from, to string) error {
	if err := f.fail("Rename", from); err != nil {
		return err
	}
	return f.all.Rename(ctx, from, to)
}

func (f *faultyAll) Free(ctx context.Context) (int64, error) {
	if err := f.fail("Free", ""); err != nil {
		return 0, err
	}
	return f.all.Free(ctx)
}

func (f *faultyAll) Path(name string) (string, error) { return f.all.Path(name) }

type faultyWriter struct {
	w    io.Writer
	f    *faulty
	p    *plan
	left int64
	err  error
}

func (w *faultyWriter) Write(b []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	if w.p.When == Commit || int64(len(b)) <= w.left {
		w.left -= int64(len(b))
		return w.w.Write(b)
	}
	w.f.happened(w.p)
	n, err := w.w.Write(b[:w.left])
	w.left -= int64(n)
	if err != nil {
		return n, err
	}
	if w.p.When == Short {
		w.err = io.ErrShortWrite
		return n, nil
	}
	w.err = w.p.Err
	return n, w.err
}

type faultyReader struct {
	io.ReadCloser
	f    *faulty
	p    *plan
	left int64
}

func (r *faultyReader) Read(b []byte) (int, error) {
	if r.left == 0 {
		r.f.happened(r.p)
		if r.p.When == Short {
			return 0, io.EOF
		}
		return 0, r.p.Err
	}
	n, err := r.ReadCloser.Read(b[:min(int64(len(b)), r.left)])
	r.left -= int64(n)
	return n, err
}
