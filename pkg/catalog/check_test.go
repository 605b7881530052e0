package catalog_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/store"
	"github.com/bmad-forge/forgectl/pkg/store/storetest"
)

// event is a check in short: "verify drill ok", "verify checksum failed", "pin", "suspect".
func event(s string) catalog.Check {
	f := strings.Fields(s)
	k := catalog.Check{What: f[0]}
	if len(f) == 3 {
		k.Level, k.OK = f[1], f[2] == "ok"
		if !k.OK {
			k.Problems = []string{"it broke", "more"}
		}
	}
	if k.What == catalog.CheckSuspect {
		k.Reason = "half the rows"
	}
	return k
}

// What has happened to a set decides whether it is good, pinned, suspect, and as what it is verified.
func TestVerdicts(t *testing.T) {
	for _, c := range []struct {
		events   string
		bad      string // why it is not good
		pinned   bool
		verified map[string]int // index of the check that LastCheck finds, by level
	}{
		{events: ""},
		{events: "verify checksum ok", verified: map[string]int{"checksum": 0}},
		{events: "verify drill ok; verify checksum ok", verified: map[string]int{"checksum": 1, "decode": 0, "drill": 0}},
		{events: "verify decode ok; verify decode ok", verified: map[string]int{"checksum": 1, "decode": 1}},
		{events: "verify decode failed", bad: "failed decode check of 2026-11-23T02:00:01Z: it broke"},
		{events: "verify checksum failed; verify checksum ok", verified: map[string]int{"checksum": 1}},
		{events: "verify checksum failed; verify drill ok", verified: map[string]int{"checksum": 1, "decode": 1, "drill": 1}},
		{events: "verify drill failed; verify decode ok", bad: "failed drill", verified: map[string]int{"checksum": 1, "decode": 1}},
		{events: "verify drill ok; verify checksum failed", bad: "failed checksum", verified: map[string]int{"checksum": 0, "decode": 0, "drill": 0}},
		{events: "verify drill failed; verify drill ok; verify checksum ok", verified: map[string]int{"checksum": 2, "decode": 1, "drill": 1}},
		{events: "verify other failed; verify drill ok", bad: "failed other", verified: map[string]int{"checksum": 1, "decode": 1, "drill": 1}},
		{events: "verify other failed; verify other ok", verified: map[string]int{"other": 1}},
		{events: "pin", pinned: true},
		{events: "pin; verify checksum ok; unpin", verified: map[string]int{"checksum": 1}},
		{events: "unpin; pin", pinned: true},
		{events: "suspect", bad: "suspect: half the rows"},
		{events: "suspect; verify drill ok", bad: "suspect", verified: map[string]int{"checksum": 1, "decode": 1, "drill": 1}},
		{events: "suspect; accept"},
		{events: "accept; suspect", bad: "suspect"},
		{events: "verify checksum failed; accept", bad: "failed checksum"},
		{events: "rubbish; pin; whatever", pinned: true},
	} {
		s := &storetest.Memory{}
		cat := newCatalog(s)
		set := mustWrite(t, cat, forge)
		for i, e := range strings.Split(c.events, ";") {
			if strings.TrimSpace(e) != "" {
				k := event(e)
				k.Time = start.Add(time.Duration(i+1) * time.Second)
				must(t, cat.AddCheck(t.Context(), set.Ref, k))
			}
		}
		got := listSets(t, cat, forge)[0]
		must(t, got.Problem)
		ok, why := got.Good()
		if ok != (c.bad == "") || !strings.HasPrefix(why, c.bad) || got.Pinned() != c.pinned || got.Suspect() != strings.HasPrefix(c.bad, "suspect") {
			t.Errorf("%q: good %v (%s), pinned %v, suspect %v", c.events, ok, why, got.Pinned(), got.Suspect())
		}
		for _, level := range []string{catalog.LevelChecksum, catalog.LevelDecode, catalog.LevelDrill, "other"} {
			want, found := c.verified[level]
			k := got.LastCheck(level)
			if (k != nil) != found || found && !k.Time.Equal(got.Checks[want].Time) {
				t.Errorf("%q: LastCheck(%s) = %+v", c.events, level, k)
			}
		}
	}
}

// Order by time is order of writing, also when the clock stands still or goes back; nothing is overwritten.
func TestCheckOrder(t *testing.T) {
	stores(t, func(t *testing.T, s store.Store) {
		set := mustWrite(t, newCatalog(s), forge)
		now := start
		c := catalog.New(s, catalog.Options{Now: func() time.Time { return now }, Host: "Größe.example", Version: "1.2.3"})
		var want []string
		for i := range 6 {
			reason := fmt.Sprint(i)
			want = append(want, reason)
			must(t, c.AddCheck(t.Context(), set.Ref, catalog.Check{What: catalog.CheckPin, Reason: reason}))
			if i == 3 {
				now = now.Add(-time.Hour)
			}
		}
		set, err := c.Get(t.Context(), set.Ref)
		must(t, err)
		var got []string
		for _, k := range set.Checks {
			got = append(got, k.Reason)
			if k.Host != "Größe.example" || k.Forgectl != "1.2.3" || k.Schema != 1 {
				t.Errorf("%+v", k)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%v", got)
		}
		if name := names(t, s, set.Dir()+"/checks")[0]; filepath.Base(name) != "20261123T020000.000000Z-Gr%C3%B6%C3%9Fe.example-pin.json" {
			t.Errorf("%s", name)
		}
	})
}

// A check that could not be read again is not written.
func TestAddCheckRefuses(t *testing.T) {
	s := &storetest.Memory{}
	c := newCatalog(s)
	set := mustWrite(t, c, forge)
	for _, k := range []catalog.Check{{}, {What: "PIN"}, {What: "../x"}, {What: "a-b"}, {What: "pin", Time: time.Date(12026, 1, 1, 0, 0, 0, 0, time.UTC)},
		{What: "pin", Stages: []catalog.Stage{{Seconds: nan()}}}} {
		if err := c.AddCheck(t.Context(), set.Ref, k); err == nil || !strings.HasPrefix(err.Error(), "add check: ") {
			t.Errorf("%+v: %v", k, err)
		}
	}
	if left := names(t, s, set.Dir()+"/checks"); len(left) != 0 {
		t.Errorf("written: %v", left)
	}
}

// Text that looks like a hash member does not confuse a check with its own hash.
func TestCheckQuotesItself(t *testing.T) {
	c := newCatalog(&storetest.Memory{})
	set := mustWrite(t, c, forge)
	zeros := `"sha256": "` + strings.Repeat("0", 64)
	must(t, c.AddCheck(t.Context(), set.Ref, catalog.Check{What: catalog.CheckPin, Reason: zeros, Problems: []string{zeros}, Tools: map[string]string{"sha256": strings.Repeat("0", 64)}}))
	got, err := c.Get(t.Context(), set.Ref)
	must(t, err)
	must(t, got.Problem)
	if !got.Pinned() {
		t.Error("not pinned")
	}
}

// A check of a newer schema is said to be so, and damaged only if its hash is wrong.
func TestNewerCheck(t *testing.T) {
	c := newCatalog(openLocal(t, t.TempDir()))
	set := mustWrite(t, c, forge)
	must(t, c.AddCheck(t.Context(), set.Ref, event("pin")))
	path, _ := c.Location(set.Ref)
	files, err := filepath.Glob(filepath.Join(path, "checks", "*.json"))
	must(t, err)
	whole, err := os.ReadFile(files[0])
	must(t, err)
	newer := bytes.Replace(whole, []byte(`"schema": 1`), []byte(`"schema": 2, "what": 7`), 1)
	at := bytes.LastIndex(newer, []byte(`"sha256": "`)) + len(`"sha256": "`)
	rehash := func(data []byte) []byte {
		data = bytes.Clone(data)
		copy(data[at:], strings.Repeat("0", 64))
		copy(data[at:], fmt.Sprintf("%x", sha256.Sum256(data)))
		return data
	}
	for what, data := range map[string][]byte{"right": rehash(newer), "wrong": newer} {
		must(t, os.WriteFile(files[0], data, 0o600))
		got, err := c.Get(t.Context(), set.Ref)
		must(t, err)
		ok, why := got.Good()
		if ok || errors.Is(got.Problem, catalog.ErrNewer) != (what == "right") || errors.Is(got.Problem, catalog.ErrDamaged) != (what == "wrong") {
			t.Errorf("%s hash: %v, %s", what, got.Problem, why)
		}
	}
}

// Files that are not ours do no harm in checks/.
func TestForeignChecks(t *testing.T) {
	c := newCatalog(openLocal(t, t.TempDir()))
	set := mustWrite(t, c, forge)
	must(t, c.AddCheck(t.Context(), set.Ref, event("pin")))
	path, _ := c.Location(set.Ref)
	for _, name := range []string{"README", "x.json~", ".x.json", ".x.json.tmp-1"} {
		must(t, os.WriteFile(filepath.Join(path, "checks", name), []byte("?"), 0o600))
	}
	got, err := c.Get(t.Context(), set.Ref)
	must(t, err)
	if ok, why := got.Good(); !ok || !got.Pinned() {
		t.Errorf("%v, %s", ok, why)
	}
}

// A removed set is gone, with its checks; its neighbours are not.
func TestRemove(t *testing.T) {
	stores(t, func(t *testing.T, s store.Store) {
		c := newCatalog(s)
		set, kept := mustWrite(t, c, forge), mustWrite(t, c, forge)
		must(t, c.AddCheck(t.Context(), set.Ref, event("pin")))
		must(t, s.Put(t.Context(), forge.Dir()+"/.partial-"+string(set.ID)+"/old", text("a leftover is no obstacle")))
		if _, ok := s.(store.Renamer); !ok {
			must(t, s.Delete(t.Context(), forge.Dir()+"/.partial-"+string(set.ID)))
		}
		must(t, c.Remove(t.Context(), set.Ref))
		if sets := listSets(t, c, forge); len(sets) != 1 || sets[0].Ref != kept.Ref {
			t.Errorf("%v", sets)
		}
		for _, name := range names(t, s, "") {
			if !strings.HasPrefix(name, kept.Dir()+"/") {
				t.Errorf("left: %s", name)
			}
		}
	})
}

// Whichever call fails while a set is being removed, it is there whole or not at all, and the rest can be swept.
func TestRemoveFailure(t *testing.T) {
	stores(t, func(t *testing.T, s store.Store) {
		for n := int64(1); ; n++ {
			set := mustWrite(t, newCatalog(s), forge)
			counter := &countingStore{Store: s, before: func(i int64) error {
				if i == n {
					return errLuck
				}
				return nil
			}}
			err := newCatalog(around(counter)).Remove(t.Context(), set.Ref)
			if counter.calls.Load() < n {
				must(t, err)
				return
			}
			if !errors.Is(err, errLuck) {
				t.Errorf("call %d: %v", n, err)
			}
			sets := listSets(t, newCatalog(s), forge)
			if len(sets) == 1 {
				if ok, why := sets[0].Good(); !ok {
					t.Errorf("call %d: %s", n, why)
				}
			}
			removed, err := newCatalog(s).Sweep(t.Context(), forge)
			must(t, err)
			if len(sets)+len(removed) != 1 {
				t.Errorf("call %d: %d sets, swept %v", n, len(sets), removed)
			}
			if len(sets) == 0 && len(names(t, s, "")) != 0 {
				t.Errorf("call %d left %v", n, names(t, s, ""))
			}
			must(t, s.Delete(t.Context(), "database"))
		}
	})
}

// Sweep takes leftovers, and neither a set that lost its sums nor what is not ours.
func TestSweep(t *testing.T) {
	stores(t, func(t *testing.T, s store.Store) {
		c := newCatalog(s)
		lost := mustWrite(t, c, forge)
		must(t, s.Delete(t.Context(), lost.Dir()+"/SHA256SUMS"))
		whole := mustWrite(t, c, forge)
		dead, err := c.Begin(t.Context(), forge)
		must(t, err)
		_, err = dead.Put(t.Context(), "x", text("x"))
		must(t, err)
		must(t, s.Put(t.Context(), forge.Dir()+"/.partial-notes/x", text("mine")))
		before := len(names(t, s, ""))

		removed, err := c.Sweep(t.Context(), forge)
		if err != nil || !slices.Equal(removed, []string{dead.Ref().String()}) {
			t.Errorf("removed %v, %v", removed, err)
		}
		left := names(t, s, "")
		if strings.Contains(strings.Join(left, " "), string(dead.ID())) || before-len(left) > 2 {
			t.Errorf("left %v", left)
		}
		if _, err := c.Get(t.Context(), whole.Ref); err != nil {
			t.Error(err)
		}
		if again, err := c.Sweep(t.Context(), forge); err != nil || len(again) != 0 {
			t.Errorf("again: %v, %v", again, err)
		}
		if none, err := c.Sweep(t.Context(), catalog.Group{Kind: catalog.KindMedia}); err != nil || len(none) != 0 {
			t.Errorf("a group that does not exist: %v, %v", none, err)
		}
	})
}

// When Sweep cannot find out whether a set is whole, it leaves it alone.
func TestSweepInDoubt(t *testing.T) {
	inner := &storetest.Memory{}
	set := mustWrite(t, newCatalog(inner), forge)
	must(t, inner.Put(t.Context(), forge.Dir()+"/.partial-"+string(set.ID), text("")))
	s := storetest.Faulty(t, inner, storetest.Fault{Method: "Stat", Name: set.Dir() + "/SHA256SUMS", Err: errLuck})
	if removed, err := newCatalog(s).Sweep(t.Context(), forge); !errors.Is(err, errLuck) || len(removed) != 0 {
		t.Errorf("%v, %v", removed, err)
	}
	if removed, err := newCatalog(s).Sweep(t.Context(), forge); err != nil || len(removed) != 0 {
		t.Errorf("%v, %v", removed, err)
	}
	if ok, why := listSets(t, newCatalog(inner), forge)[0].Good(); !ok {
		t.Error(why)
	}
}

func nan() float64 {
	var zero float64
	return zero / zero
}
