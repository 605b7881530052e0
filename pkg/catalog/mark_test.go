package catalog_test

import (
	"context"
	"errors"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/store"
)

// writeMarked writes a small set that is suspect from its first moment.
func writeMarked(ctx context.Context, c *catalog.Catalog) (catalog.Set, error) {
	d, err := c.Begin(ctx, forge)
	if err != nil {
		return catalog.Set{}, err
	}
	defer func() { _ = d.Discard(ctx) }()
	b, err := d.Put(ctx, "20-data.dump.zst", text("content"))
	if err == nil {
		err = d.Mark(ctx, event("suspect"))
	}
	if err != nil {
		return catalog.Set{}, err
	}
	return d.Publish(ctx, catalog.Manifest{Artifacts: []catalog.Artifact{{Name: b.Name}}})
}

// Promise: a mark is there when the set is, it can be taken back like any other, and a published set gets none.
func TestMark(t *testing.T) {
	stores(t, func(t *testing.T, s store.Store) {
		c := newCatalog(s)
		set, err := writeMarked(t.Context(), c)
		must(t, err)
		if ok, why := set.Good(); ok || why != "suspect: half the rows" || set.Suspicion() == nil {
			t.Errorf("good %v: %s", ok, why)
		}
		must(t, c.AddCheck(t.Context(), set.Ref, event("accept")))
		set, err = c.Get(t.Context(), set.Ref)
		must(t, err)
		if ok, why := set.Good(); !ok || set.Suspicion() != nil {
			t.Errorf("good %v: %s", ok, why)
		}
		d, err := c.Begin(t.Context(), forge)
		must(t, err)
		b, err := d.Put(t.Context(), "20-data.dump.zst", text("content"))
		must(t, err)
		_, err = d.Publish(t.Context(), catalog.Manifest{Artifacts: []catalog.Artifact{{Name: b.Name}}})
		must(t, err)
		if err := d.Mark(t.Context(), event("suspect")); err == nil {
			t.Error("a published set was marked as a draft")
		}
	})
}

// Promise: wherever the process dies, there is no set that should have the mark and has it not.
func TestMarkDies(t *testing.T) {
	stores(t, func(t *testing.T, s store.Store) {
		for _, late := range []bool{false, true} {
			for n := int64(1); ; n++ {
				counter := &countingStore{Store: s}
				die := func(i int64) error { // and nothing works from then on
					if i >= n {
						return errLuck
					}
					return nil
				}
				if late {
					counter.after = die
				} else {
					counter.before = die
				}
				_, err := writeMarked(t.Context(), newCatalog(around(counter)))
				if err != nil && !errors.Is(err, errLuck) {
					t.Errorf("call %d: %v", n, err)
				}
				for _, set := range listSets(t, newCatalog(s), forge) {
					if ok, _ := set.Good(); ok || !set.Suspect() {
						t.Errorf("call %d, late %v: %s is good", n, late, set.Ref)
					}
				}
				must(t, s.Delete(t.Context(), "database"))
				if counter.calls.Load() < n {
					if n < 6 {
						t.Errorf("only %d calls", n)
					}
					break
				}
			}
		}
	})
}
