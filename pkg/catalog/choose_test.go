package catalog_test

import (
	"errors"
	"testing"
	"time"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/store"
	"github.com/bmad-forge/forgectl/pkg/store/storetest"
)

// Promise: an id alone means the group at hand; a longer name means what it says.
func TestParseRefIn(t *testing.T) {
	here := catalog.Group{Kind: catalog.KindDatabase, Database: "bmad_forge"}
	for _, c := range []struct{ in, want string }{
		{"20261123T020000Z", "bmad_forge/20261123T020000Z"},
		{"other/20261123T020000Z", "other/20261123T020000Z"},
		{"media/20261123T020000Z", "media/20261123T020000Z"},
	} {
		ref, err := catalog.ParseRefIn(here, c.in)
		if err != nil || ref.String() != c.want {
			t.Errorf("%s: %s, %v", c.in, ref, err)
		}
	}
	for _, bad := range []string{"", "latest", "20261323T020000Z", "../20261123T020000Z", "/etc/passwd"} {
		if ref, err := catalog.ParseRefIn(here, bad); !errors.Is(err, catalog.ErrInvalid) {
			t.Errorf("%q: %s, %v", bad, ref, err)
		}
	}
}

// Promise: what is relied on is the newest set that is good, and what is newer but not good is named.
func TestNewest(t *testing.T) {
	now := time.Date(2026, 11, 1, 2, 0, 0, 0, time.UTC)
	group := forge
	c := catalog.New(&storetest.Memory{}, catalog.Options{Now: func() time.Time { return now }, Host: "web1"})
	var ids []catalog.ID
	for range 4 {
		ids = append(ids, mustWrite(t, c, group).ID)
		now = now.Add(24 * time.Hour)
	}
	suspect := func(id catalog.ID) {
		t.Helper()
		if err := c.AddCheck(t.Context(), catalog.Ref{Group: group, ID: id}, catalog.Check{What: catalog.CheckSuspect, Reason: "half the rows"}); err != nil {
			t.Fatal(err)
		}
	}
	suspect(ids[3])
	suspect(ids[1])
	day := func(n int) time.Time { return time.Date(2026, 11, n, 12, 0, 0, 0, time.UTC) }
	for _, tc := range []struct {
		name   string
		at     time.Time
		want   catalog.ID
		passed int
	}{
		{"no limit", time.Time{}, ids[2], 1},
		{"after all", day(20), ids[2], 1},
		{"third", day(3), ids[2], 0},
		{"second is not good", day(2), ids[0], 1},
		{"to the second", ids[2].Time(), ids[2], 0},
		{"a second too early", ids[2].Time().Add(-time.Second), ids[0], 1},
	} {
		got, passed, err := c.Newest(t.Context(), group, tc.at)
		if err != nil || got.ID != tc.want || len(passed) != tc.passed {
			t.Errorf("%s: %s with %d passed, %v; want %s with %d", tc.name, got.ID, len(passed), err, tc.want, tc.passed)
		}
	}
	if _, passed, err := c.Newest(t.Context(), group, ids[0].Time().Add(-time.Hour)); !errors.Is(err, catalog.ErrNotFound) || len(passed) != 0 {
		t.Errorf("before the first: %d passed, %v", len(passed), err)
	}
}

// Promise: a set that lost its sums does not vanish in silence, where it can be told from one that never was.
func TestLostSums(t *testing.T) {
	stores(t, func(t *testing.T, s store.Store) {
		c := newCatalog(s)
		set := mustWrite(t, c, forge)
		must(t, s.Delete(t.Context(), set.Dir()+"/"+catalog.SumsName))
		list := listSets(t, c, forge)
		if _, renames := s.(store.Renamer); !renames {
			if len(list) > 0 {
				t.Errorf("%+v", list)
			}
			return
		}
		var damage *catalog.DamageError
		if len(list) != 1 || !errors.As(list[0].Problem, &damage) || damage.Artifact != catalog.SumsName || damage.Kind != catalog.DamageMissing {
			t.Errorf("%+v", list)
		}
	})
}
