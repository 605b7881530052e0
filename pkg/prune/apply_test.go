package prune_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/lock"
	"github.com/bmad-forge/forgectl/pkg/prune"
	"github.com/bmad-forge/forgectl/pkg/retention"
	"github.com/bmad-forge/forgectl/pkg/store"
	"github.com/bmad-forge/forgectl/pkg/store/storetest"
)

// Promise: what the plan says is removed, and nothing else, least of all what forgectl did not write.
func TestApply(t *testing.T) {
	dir := t.TempDir()
	s := openLocal(t, dir)
	r := newRepository(s)
	sets := r.nights(t, forge, 5)
	other := r.nights(t, media, 3)
	strangers := []string{
		"20200101T000000Z/notes.txt",                          // named like a set, but no set
		"20200102T000000Z/manifest.json",                      // one that lost its sums
		"old/dump.sql", "dump-20200101.sql", "bmad_forge.tar", // whatever people put there
		".partial-notes/x",
	}
	for _, name := range strangers {
		path := filepath.Join(dir, forge.Dir(), name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o700))
		must(t, os.WriteFile(path, []byte("precious"), 0o600))
	}
	elsewhere := t.TempDir()
	must(t, os.WriteFile(filepath.Join(elsewhere, "SHA256SUMS"), []byte("precious"), 0o600))
	must(t, os.Symlink(elsewhere, filepath.Join(dir, forge.Dir(), "20200103T000000Z")))
	dead := string(catalog.NewID(start.AddDate(-1, 0, 0)))
	must(t, os.MkdirAll(filepath.Join(dir, forge.Dir(), ".partial-"+dead), 0o700))

	o := r.options(t, retention.Policy{Last: 2}, forge, media)
	o.Lock = in(dir)
	got, err := prune.Apply(t.Context(), o, forge, decided(t, o))
	must(t, err)
	equal(t, "removed", refs(got.Removed), names(sets[:3]...))
	equal(t, "left", r.left(t, forge), []string{"20200102T000000Z", string(sets[3].ID), string(sets[4].ID)})
	equal(t, "other group", r.left(t, media), []string{string(other[0].ID), string(other[1].ID), string(other[2].ID)})
	equal(t, "swept", got.Swept, []string{catalog.Ref{Group: forge, ID: catalog.ID(dead)}.String()})
	if got.Bytes() < 3000 || len(got.Skipped)+len(got.Failed)+len(got.Kept) > 0 {
		t.Errorf("%+v", got)
	}
	for _, name := range strangers {
		if data, err := os.ReadFile(filepath.Join(dir, forge.Dir(), name)); err != nil || string(data) != "precious" {
			t.Errorf("%s: %q, %v", name, data, err)
		}
	}
	if _, err := os.Stat(filepath.Join(elsewhere, "SHA256SUMS")); err != nil {
		t.Error(err)
	}
	for _, id := range sets[:3] {
		if _, err := os.Lstat(filepath.Join(dir, forge.Dir(), ".partial-"+string(id.ID))); err == nil {
			t.Errorf("%s was not removed to the end", id)
		}
	}
	plan := decided(t, o)
	equal(t, "still to be removed elsewhere", removal(plan), names(other[0]))
	again, err := prune.Apply(t.Context(), o, forge, plan)
	if err != nil || len(again.Removed)+len(again.Swept) > 0 {
		t.Errorf("again: %+v, %v", again, err)
	}
}

// Promise: what happened since the plan was made counts, and the last good set stays also when the one that was to
// stay turned out to be damaged a moment ago.
func TestDecidesAgain(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(t *testing.T, r *repository, sets []catalog.Ref)
		want []int // of five sets: which are left; the last one is newest
	}{
		{"nothing", func(*testing.T, *repository, []catalog.Ref) {}, []int{4}},
		{"the newest failed", func(t *testing.T, r *repository, sets []catalog.Ref) { r.check(t, sets[4], "failed") }, []int{3, 4}},
		{"the newest is damaged", func(t *testing.T, r *repository, sets []catalog.Ref) {
			must(t, r.store.Delete(t.Context(), sets[4].Dir()+"/20-data.dump.zst"))
		}, []int{3, 4}},
		{"two failed", func(t *testing.T, r *repository, sets []catalog.Ref) {
			r.check(t, sets[4], "failed")
			r.check(t, sets[3], "failed")
		}, []int{2, 3, 4}},
		{"all failed", func(t *testing.T, r *repository, sets []catalog.Ref) {
			for _, s := range sets {
				r.check(t, s, "failed")
			}
		}, []int{0, 1, 2, 3, 4}},
		{"pinned", func(t *testing.T, r *repository, sets []catalog.Ref) { r.check(t, sets[1], "pin") }, []int{1, 4}},
		{"suspect", func(t *testing.T, r *repository, sets []catalog.Ref) { r.check(t, sets[0], "suspect") }, []int{0, 1, 2, 3, 4}},
		{"the newest is suspect", func(t *testing.T, r *repository, sets []catalog.Ref) { r.check(t, sets[4], "suspect") }, []int{0, 1, 2, 3, 4}},
		{"referred to", func(t *testing.T, r *repository, sets []catalog.Ref) {
			_, err := r.write(t.Context(), full, names(sets[2])...)
			must(t, err)
		}, []int{2, 4}},
		{"removed by somebody else", func(t *testing.T, r *repository, sets []catalog.Ref) { must(t, r.Remove(t.Context(), sets[1])) }, []int{4}},
		{"the newest was removed", func(t *testing.T, r *repository, sets []catalog.Ref) { must(t, r.Remove(t.Context(), sets[4])) }, []int{3}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRepository(&storetest.Memory{})
			sets := r.nights(t, forge, 5)
			o := r.options(t, retention.Policy{}, forge)
			plan := decided(t, o)
			equal(t, "plan", removal(plan), names(sets[:4]...))
			c.do(t, r, sets)
			got, err := prune.Apply(t.Context(), o, forge, plan)
			must(t, err)
			var want []string
			for _, i := range c.want {
				want = append(want, string(sets[i].ID))
			}
			equal(t, "left", r.left(t, forge), want)
			for _, k := range got.Kept {
				if !k.Keep || len(k.Reasons) == 0 {
					t.Errorf("%+v", k)
				}
			}
		})
	}
}

// Promise: it looks again before each set, not once: a verdict that comes while it removes saves what is left.
func TestDecidesAgainBeforeEach(t *testing.T) {
	r := newRepository(&storetest.Memory{})
	sets := r.nights(t, forge, 5)
	o := r.options(t, retention.Policy{}, forge)
	plan := decided(t, o)
	locked := 0
	o.Lock = func(name string) (func() error, error) {
		if name != forge.UseLock() {
			t.Errorf("lock %s", name)
		}
		if locked++; locked == 3 { // sets 0 and 1 are gone by now
			r.check(t, sets[4], "failed")
			r.check(t, sets[3], "failed")
		}
		return func() error { return nil }, nil
	}
	got, err := prune.Apply(t.Context(), o, forge, plan)
	must(t, err)
	equal(t, "removed", refs(got.Removed), names(sets[:2]...))
	if len(got.Kept) != 2 || got.Kept[0].Reasons[0] != "the last good set" {
		t.Errorf("kept %+v", got.Kept)
	}
}

// Promise: looking again costs by what stays, not by what is there: thousands of sets can be removed in one go.
func TestLooksAtLittle(t *testing.T) {
	inner := &storetest.Memory{}
	newRepository(inner).nights(t, forge, 150)
	counter := &countingStore{Store: inner}
	r := newRepository(counter)
	o := r.options(t, retention.Policy{Last: 2}, forge)
	plan := decided(t, o)
	counter.reads.Store(0)
	got, err := prune.Apply(t.Context(), o, forge, plan)
	must(t, err)
	if reads, most := counter.reads.Load(), int64(15*len(got.Removed)); len(got.Removed) != 148 || reads > most {
		t.Errorf("%d reads for %d sets, want at most %d", reads, len(got.Removed), most)
	}
}

// countingStore counts what is read.
type countingStore struct {
	store.Store
	reads atomic.Int64
}

func (c *countingStore) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	c.reads.Add(1)
	return c.Store.Open(ctx, name)
}

func (c *countingStore) List(ctx context.Context, dir string) ([]store.Entry, error) {
	c.reads.Add(1)
	return c.Store.List(ctx, dir)
}

// Promise: a set that is newer than the plan is not removed by it, even when the rules want that by now.
func TestNothingBeyondThePlan(t *testing.T) {
	r := newRepository(&storetest.Memory{})
	sets := r.nights(t, forge, 2)
	o := r.options(t, retention.Policy{}, forge)
	plan := decided(t, o)
	more := r.nights(t, forge, 2)
	_, err := prune.Apply(t.Context(), o, forge, plan)
	must(t, err)
	equal(t, "left", r.left(t, forge), []string{string(sets[1].ID), string(more[0].ID), string(more[1].ID)})
}

// Promise: while somebody reads in the group nothing is removed from it, and that is no error.
func TestInUse(t *testing.T) {
	dir := t.TempDir()
	r := newRepository(openLocal(t, dir))
	sets := r.nights(t, forge, 3)
	o := r.options(t, retention.Policy{}, forge)
	o.Lock = in(dir)
	reader, err := lock.AcquireShared(filepath.Join(dir, forge.UseLock()), lock.Holder{Operation: "restore db"})
	must(t, err)
	plan := decided(t, o)
	got, err := prune.Apply(t.Context(), o, forge, plan)
	must(t, err)
	if len(got.Removed)+len(got.Failed) > 0 || len(got.Skipped) != 2 || !errors.Is(got.Skipped[0].Err, lock.ErrHeld) || got.Skipped[0].Set.Ref != sets[0] {
		t.Errorf("%+v", got)
	}
	must(t, reader.Release())
	got, err = prune.Apply(t.Context(), o, forge, plan)
	must(t, err)
	equal(t, "removed", refs(got.Removed), names(sets[:2]...))
	// It has let go of the lock.
	reader, err = lock.AcquireShared(filepath.Join(dir, forge.UseLock()), lock.Holder{})
	must(t, err)
	must(t, reader.Release())
}

// Promise: one set that cannot be removed does not keep the others, and is named.
func TestOneCannotBeRemoved(t *testing.T) {
	inner := &storetest.Memory{}
	sets := newRepository(inner).nights(t, forge, 4)
	trouble := errors.New("operation not permitted")
	r := newRepository(storetest.Faulty(t, inner, storetest.Fault{Method: "Delete", Name: sets[1].Dir() + "/*", Err: trouble}))
	o := r.options(t, retention.Policy{}, forge)
	got, err := prune.Apply(t.Context(), o, forge, decided(t, o))
	must(t, err)
	equal(t, "removed", refs(got.Removed), names(sets[0], sets[2]))
	if len(got.Failed) != 1 || got.Failed[0].Set.Ref != sets[1] || !errors.Is(got.Failed[0].Err, trouble) {
		t.Errorf("%+v", got.Failed)
	}
}

// Promise: the end of the context ends it between two sets, with the cause, and what was done is told.
func TestCancelled(t *testing.T) {
	r := newRepository(&storetest.Memory{})
	sets := r.nights(t, forge, 4)
	o := r.options(t, retention.Policy{}, forge)
	plan := decided(t, o)
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("terminated")
	o.Lock = func(string) (func() error, error) {
		return func() error { cancel(cause); return nil }, nil
	}
	got, err := prune.Apply(ctx, o, forge, plan)
	if !errors.Is(err, cause) {
		t.Errorf("%v", err)
	}
	equal(t, "removed", refs(got.Removed), names(sets[0]))
	equal(t, "left", r.left(t, forge), []string{string(sets[1].ID), string(sets[2].ID), string(sets[3].ID)})
}
