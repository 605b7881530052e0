package prune_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/prune"
	"github.com/bmad-forge/forgectl/pkg/retention"
	"github.com/bmad-forge/forgectl/pkg/store/storetest"
)

// Promise: what is known of a set decides about it: damage lets it go, a pin, a doubt or ignorance does not.
func TestDecideAboutStates(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(t *testing.T, r *repository, ref catalog.Ref) // to the oldest of three nights, which no rule keeps
		keep bool
		why  string
	}{
		{"good", func(*testing.T, *repository, catalog.Ref) {}, false, "no rule keeps it"},
		{"failed", func(t *testing.T, r *repository, ref catalog.Ref) { r.check(t, ref, "failed") }, false, "not good and older than the newest good set: failed drill check"},
		{"failed and mended", func(t *testing.T, r *repository, ref catalog.Ref) {
			r.check(t, ref, "failed")
			r.check(t, ref, "passed")
		}, false, "no rule keeps it"},
		{"pinned", func(t *testing.T, r *repository, ref catalog.Ref) { r.check(t, ref, "pin") }, true, "pinned: somebody said so"},
		{"unpinned", func(t *testing.T, r *repository, ref catalog.Ref) { r.check(t, ref, "pin"); r.check(t, ref, "unpin") }, false, "no rule keeps it"},
		{"pinned and failed", func(t *testing.T, r *repository, ref catalog.Ref) { r.check(t, ref, "pin"); r.check(t, ref, "failed") }, true, "pinned: somebody said so"},
		{"suspect", func(t *testing.T, r *repository, ref catalog.Ref) { r.check(t, ref, "suspect") }, true, "not accepted yet: suspect: somebody said so"},
		{"suspect and failed", func(t *testing.T, r *repository, ref catalog.Ref) {
			r.check(t, ref, "suspect")
			r.check(t, ref, "failed")
		}, true, "not accepted yet: failed drill check"},
		{"accepted", func(t *testing.T, r *repository, ref catalog.Ref) {
			r.check(t, ref, "suspect")
			r.check(t, ref, "accept")
		}, false, "no rule keeps it"},
		{"artifact missing", func(t *testing.T, r *repository, ref catalog.Ref) {
			must(t, r.store.Delete(t.Context(), ref.Dir()+"/20-data.dump.zst"))
		}, false, "not good and older than the newest good set: 20-data.dump.zst is missing"},
		{"artifact cut", func(t *testing.T, r *repository, ref catalog.Ref) {
			must(t, r.store.Put(t.Context(), ref.Dir()+"/20-data.dump.zst", text("x")))
		}, false, "not good and older than the newest good set: size mismatch in 20-data.dump.zst"},
		{"manifest damaged, but pinned", func(t *testing.T, r *repository, ref catalog.Ref) {
			r.check(t, ref, "pin")
			must(t, r.store.Put(t.Context(), ref.Dir()+"/manifest.json", text("{}")))
		}, true, "pinned: somebody said so"},
		{"made by a newer forgectl", func(t *testing.T, r *repository, ref catalog.Ref) { r.newer(t, ref) }, true, "cannot be judged: made by a newer forgectl"},
		{"checked by a newer forgectl", func(t *testing.T, r *repository, ref catalog.Ref) {
			must(t, r.store.Put(t.Context(), ref.Dir()+"/checks/20261123T020000.000000Z-web1-verify.json", text(hashed(`{"schema": 99, "sha256": "%s"}`))))
		}, true, "cannot be judged: made by a newer forgectl"},
		{"a check that may be a pin is damaged", func(t *testing.T, r *repository, ref catalog.Ref) {
			must(t, r.store.Put(t.Context(), ref.Dir()+"/checks/20261123T020000.000000Z-web1-pin.json", text(`{`)))
		}, true, "cannot be judged: checks/20261123T020000.000000Z-web1-pin.json is malformed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRepository(&storetest.Memory{})
			sets := r.nights(t, forge, 3)
			c.do(t, r, sets[0])
			plan := decided(t, r.options(t, retention.Policy{Last: 2}, forge))
			if len(plan.Decisions) != 3 || plan.Decisions[0].Set.Ref != sets[2] {
				t.Fatalf("%+v", plan.Decisions)
			}
			got := plan.Decisions[2]
			if got.Set.Ref != sets[0] || got.Keep != c.keep || !strings.HasPrefix(strings.Join(got.Reasons, ", "), c.why) {
				t.Errorf("%s: keep %v: %q", got.Set.Ref, got.Keep, got.Reasons)
			}
			if len(plan.Warnings) > 0 {
				t.Errorf("%q", plan.Warnings)
			}
		})
	}
}

// hashed fills in the hash of a check file.
func hashed(format string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, format, strings.Repeat("0", 64)))
	return fmt.Sprintf(format, hex.EncodeToString(sum[:]))
}

// Promise: a clock that jumps costs no good set, neither while a set from the future is there nor after it: what is
// kept is what would have been kept without it, and the set itself.
func TestClockJumps(t *testing.T) {
	r := newRepository(&storetest.Memory{})
	policy := retention.Policy{Within: 10 * day, Daily: 7, Weekly: 3}
	before := r.nights(t, forge, 30)
	right := r.now
	r.now = right.AddDate(1, 0, 0) // for one night
	ahead := r.nights(t, forge, 1)
	r.now = right.Add(day)
	o := r.options(t, policy, forge)
	o.Now = r.now
	plan := decided(t, o)
	if kept := len(plan.Decisions) - len(plan.Remove()); kept < 11 || plan.Decisions[0].Set.Ref != ahead[0] || !plan.Decisions[0].Keep {
		t.Errorf("kept %d: %+v", kept, plan.Decisions[0])
	}
	for _, s := range plan.Remove() {
		if slices.Contains(before[20:], s.Ref) {
			t.Errorf("%s goes: it is no older than %s", s.Ref, policy.Within)
		}
	}
	// The ids of the nights after that go on from the future; their days are what they were.
	after := r.nights(t, forge, 12)
	if !strings.HasPrefix(string(after[0].ID), string(ahead[0].ID[:8])) || after[0].ID <= ahead[0].ID {
		t.Fatalf("%s after %s", after[0].ID, ahead[0].ID)
	}
	o.Now = r.now
	plan = decided(t, o)
	var gone int
	for _, d := range plan.Decisions {
		recent := slices.Contains(after[1:], d.Set.Ref)
		if !d.Keep {
			gone++
		}
		if (recent || d.Set.Ref == ahead[0]) && !d.Keep {
			t.Errorf("%s goes: %q", d.Set.Ref, d.Reasons)
		}
	}
	if gone < 25 {
		t.Errorf("only %d sets are old", gone)
	}
	// Behind by years, every set is one from the future: nothing goes.
	o.Now = start.AddDate(-3, 0, 0)
	if plan := decided(t, o); len(plan.Remove()) > 0 {
		t.Errorf("a clock that is behind removes %v", removal(plan))
	}
}

// Promise: a set that cannot be read for another reason than damage stays.
func TestUnreadableStays(t *testing.T) {
	for _, trouble := range []error{fs.ErrPermission, errors.New("input/output error")} {
		inner := &storetest.Memory{}
		sets := newRepository(inner).nights(t, forge, 3)
		for _, f := range []storetest.Fault{
			{Method: "List", Name: sets[0].Dir(), Err: trouble},
			{Method: "Open", Name: sets[0].Dir() + "/SHA256SUMS", Err: trouble},
			{Method: "Open", Name: sets[0].Dir() + "/manifest.json", Err: trouble, When: storetest.Mid, After: 10},
		} {
			r := newRepository(storetest.Faulty(t, inner, f))
			d := decided(t, r.options(t, retention.Policy{}, forge)).Decisions[2]
			if !d.Keep || !strings.HasPrefix(d.Reasons[0], "cannot be judged: ") {
				t.Errorf("%+v: keep %v, %q", f, d.Keep, d.Reasons)
			}
		}
	}
}

// Promise: a group that cannot be listed, or full sets that cannot, are an error and no plan.
func TestNoPlanWithoutSight(t *testing.T) {
	trouble := errors.New("input/output error")
	for _, dir := range []string{forge.Dir(), full.Dir()} {
		r := newRepository(storetest.Faulty(t, &storetest.Memory{}, storetest.Fault{Method: "List", Name: dir, Err: trouble}))
		if plan, err := prune.Decide(t.Context(), r.options(t, retention.Policy{}, forge)); !errors.Is(err, trouble) || len(plan.Decisions) > 0 {
			t.Errorf("%s: %+v, %v", dir, plan, err)
		}
	}
}

// fullRuns is so many runs of "backup full", each a set of the database and of the media.
func fullRuns(t *testing.T, r *repository, n int) (all [][3]catalog.Ref) {
	t.Helper()
	for range n {
		var run [3]catalog.Ref
		var err error
		run[0], err = r.write(t.Context(), forge)
		must(t, err)
		run[1], err = r.write(t.Context(), media)
		must(t, err)
		run[2], err = r.write(t.Context(), full, names(run[0], run[1])...)
		must(t, err)
		all = append(all, run)
		r.now = r.now.Add(day)
	}
	return all
}

// Promise: what a full set that stays refers to stays, and goes with it.
func TestFullSetsKeepWhatTheyNeed(t *testing.T) {
	r := newRepository(&storetest.Memory{})
	runs := fullRuns(t, r, 4)
	r.check(t, runs[0][2], "pin")
	newest := r.nights(t, forge, 1)

	// The full sets are pruned too: the first is pinned, the last is good.
	plan := decided(t, r.options(t, retention.Policy{}, media, forge, full))
	equal(t, "removal", sorted(removal(plan)), sorted(names(runs[1][0], runs[1][1], runs[1][2], runs[2][0], runs[2][1], runs[2][2])))
	for _, d := range plan.Decisions {
		var want string
		switch d.Set.Ref {
		case runs[0][0], runs[0][1]:
			want = "needed by " + runs[0][2].String()
		case runs[3][0]:
			want = "needed by " + runs[3][2].String()
		case newest[0]:
			want = "the last good set"
		default:
			continue
		}
		if !slices.Equal(d.Reasons, []string{want}) {
			t.Errorf("%s: %q, want %q", d.Set.Ref, d.Reasons, want)
		}
	}

	// They are not: all of them stay, and so does everything that they need.
	equal(t, "removal without full", removal(decided(t, r.options(t, retention.Policy{}, forge, media))), nil)
}

// Promise: as long as nobody knows what a full set needs, nothing else is removed, and somebody is told.
func TestFullSetThatCannotBeRead(t *testing.T) {
	for name, spoil := range map[string]func(r *repository, ref catalog.Ref){
		"newer":            func(r *repository, ref catalog.Ref) { r.newer(t, ref) },
		"damaged, pinned":  func(r *repository, ref catalog.Ref) { r.check(t, ref, "pin"); damageManifest(t, r, ref) },
		"damaged evidence": func(r *repository, ref catalog.Ref) { damageManifest(t, r, ref) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRepository(&storetest.Memory{})
			runs := fullRuns(t, r, 3)
			which := 0
			if name == "damaged evidence" {
				which = 2
			}
			spoil(r, runs[which][2])
			r.nights(t, forge, 3)
			plan := decided(t, r.options(t, retention.Policy{}, full, forge, media))
			for _, s := range plan.Remove() {
				if s.Group != full {
					t.Errorf("would remove %s", s.Ref)
				}
			}
			if len(plan.Warnings) != 1 || !strings.Contains(plan.Warnings[0], "they may be needed by "+runs[which][2].String()+", whose manifest cannot be read") {
				t.Errorf("%q", plan.Warnings)
			}
		})
	}
}

func damageManifest(t *testing.T, r *repository, ref catalog.Ref) {
	t.Helper()
	must(t, r.store.Put(t.Context(), ref.Dir()+"/manifest.json", text("{}")))
}

func sorted(list []string) []string {
	slices.Sort(list)
	return list
}

// Promise: a suspect set freezes its group and no other, is named, and lets go when it is accepted or gone.
func TestFrozen(t *testing.T) {
	r := newRepository(&storetest.Memory{})
	other := catalog.Group{Kind: catalog.KindDatabase, Database: "other"}
	sets, free := r.nights(t, forge, 4), r.nights(t, other, 2)
	r.check(t, sets[3], "suspect")
	r.check(t, sets[1], "suspect")
	o := r.options(t, retention.Policy{}, forge, other)
	plan := decided(t, o)
	equal(t, "removal", removal(plan), names(free[0]))
	if len(plan.Frozen) != 1 || plan.Frozen[0].Group != forge || len(plan.Warnings) > 0 {
		t.Fatalf("%+v, %q", plan.Frozen, plan.Warnings)
	}
	equal(t, "suspect", refs(plan.Frozen[0].Sets), names(sets[3], sets[1]))
	r.check(t, sets[3], "accept")
	if plan := decided(t, o); len(plan.Frozen) != 1 {
		t.Errorf("%+v", plan.Frozen)
	}
	must(t, r.Remove(t.Context(), sets[1]))
	plan = decided(t, o)
	equal(t, "removal", sorted(removal(plan)), sorted(names(sets[0], sets[2], free[0])))
	if len(plan.Frozen) > 0 {
		t.Errorf("%+v", plan.Frozen)
	}
}

// Promise: with evidence required a set goes only below a newer good one that has it, at that level or a higher one;
// groups that lack it are named; what cannot be verified at all needs none.
func TestRequires(t *testing.T) {
	verify := func(r *repository, ref catalog.Ref, level string, ok bool) {
		must(t, r.AddCheck(t.Context(), ref, catalog.Check{What: catalog.CheckVerify, Level: level, OK: ok}))
	}
	r := newRepository(&storetest.Memory{})
	sets, files := r.nights(t, forge, 4), r.nights(t, media, 2)
	o := r.options(t, retention.Policy{Requires: catalog.LevelDecode}, forge, media)
	lacks := func(what string, want ...catalog.Ref) prune.Plan {
		t.Helper()
		plan := decided(t, o)
		equal(t, what, sorted(removal(plan)), sorted(names(append(want, files[0])...)))
		return plan
	}
	if plan := lacks("nothing was verified"); !slices.Equal(plan.Unproven, []catalog.Group{forge}) {
		t.Errorf("%+v", plan.Unproven)
	}
	verify(r, sets[3], catalog.LevelChecksum, true)
	verify(r, sets[2], catalog.LevelDecode, false)
	lacks("not enough")
	verify(r, sets[1], catalog.LevelDrill, true)
	if plan := lacks("the second is proven", sets[0]); len(plan.Unproven) > 0 { // what is newer has none above it
		t.Errorf("%+v", plan.Unproven)
	}
}

// Promise: groups count each by itself.
func TestGroupsCountByThemselves(t *testing.T) {
	r := newRepository(&storetest.Memory{})
	other := catalog.Group{Kind: catalog.KindDatabase, Database: "other"}
	old := r.nights(t, other, 2)
	young := r.nights(t, forge, 40)
	plan := decided(t, r.options(t, retention.Policy{Within: 30 * day}, forge, other))
	equal(t, "removal", removal(plan), names(young[:9]...))
	for _, d := range plan.Decisions {
		if d.Set.Ref == old[0] && !d.Keep {
			t.Error("the age of one database was counted from another's newest set")
		}
	}
}

// Promise: a pin stands until it is taken back, with the reason that was given last.
func TestPin(t *testing.T) {
	for events, want := range map[string]string{"": "none", "pin": "a", "pin unpin": "none", "pin unpin pin": "c", "pin failed pin": "c", "unpin": "none"} {
		var s catalog.Set
		for i, what := range strings.Fields(events) {
			s.Checks = append(s.Checks, catalog.Check{What: what, Reason: string(rune('a' + i))})
		}
		got := "none"
		if k := prune.Pin(s); k != nil {
			got = k.Reason
		}
		if got != want || s.Pinned() != (got != "none") {
			t.Errorf("%q: %s, want %s", events, got, want)
		}
	}
}
