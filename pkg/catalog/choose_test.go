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

// Promise: clocks may jump, between runs and during one, and zones may change: ids ascend, who looks for a set by its
// time finds the one of that time, and a set says when its clock was behind.
func TestClockJumps(t *testing.T) {
	stores(t, func(t *testing.T, s store.Store) {
		var now time.Time
		c := catalog.New(s, catalog.Options{Now: func() time.Time { return now }, Host: "web1"})
		var sets []catalog.Set
		for _, run := range []struct {
			begun, ended string
			warned       bool
		}{
			{"2026-11-01T02:00:00Z", "2026-11-01T02:01:00Z", false},
			{"2026-11-02T02:00:00Z", "2025-11-02T02:01:00Z", false}, // back during the run
			{"2027-11-03T02:00:00Z", "2027-11-03T02:01:00Z", false}, // a year ahead
			{"2026-11-04T02:00:00Z", "2026-11-04T02:01:00Z", true},  // and right again
			{"2026-11-05T02:00:00Z", "2028-11-05T02:01:00Z", true},  // ahead during the run
			{"2026-11-06T14:00:00+12:00", "2026-11-05T15:01:00-11:00", true},
			{"2027-12-01T02:00:00Z", "2027-12-01T02:01:00Z", false},
		} {
			var err error
			now, err = time.Parse(time.RFC3339, run.begun)
			must(t, err)
			d, err := c.Begin(t.Context(), forge)
			must(t, err)
			begun := now
			now, err = time.Parse(time.RFC3339, run.ended)
			must(t, err)
			set, err := d.Publish(t.Context(), catalog.Manifest{})
			must(t, err)
			if n := len(sets); n > 0 && set.ID <= sets[n-1].ID {
				t.Errorf("%s comes after %s", set.ID, sets[n-1].ID)
			}
			if warned := len(set.Manifest.Warnings) > 0; warned != run.warned || !set.Manifest.Started.Equal(begun) {
				t.Errorf("%s: begun %s, %q", begun, set.Manifest.Started, set.Manifest.Warnings)
			}
			if good, why := set.Good(); !good {
				t.Errorf("%s: %s", set, why)
			}
			sets = append(sets, set)
		}
		for i, want := range listSets(t, c, forge) {
			if sets[i].ID != want.ID {
				t.Errorf("listed %d: %s", i, want.ID)
			}
		}
		// Whoever asks for the state of a night gets it, now that the clock is right.
		now = time.Date(2026, 11, 10, 0, 0, 0, 0, time.UTC)
		for _, i := range []int{0, 1, 3, 4, 5} {
			at := sets[i].Manifest.Started.Add(time.Hour)
			if got, _, err := c.Newest(t.Context(), forge, at); err != nil || got.ID != sets[i].ID || !got.Began(now).Equal(sets[i].Manifest.Started) {
				t.Errorf("after run %d: %s, %v", i, got.Ref, err)
			}
		}
	})
}
