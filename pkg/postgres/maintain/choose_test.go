package maintain

import (
	"slices"
	"testing"
	"time"
)

// Promise: only what reaches a threshold is chosen, with its reason, and the
// largest comes first.
func TestChoose(t *testing.T) {
	now := time.Date(2026, 11, 24, 3, 0, 0, 0, time.UTC)
	table := func(name string, change func(*Table)) Table {
		t := Table{Table: name, Schema: "s", Kind: 'r', Heap: 1000, Live: 900, Analyzed: now.Add(-time.Hour), IndexCount: 1, Indexes: 100, mayVacuum: true, mayReindex: true}
		for _, r := range name {
			t.OID += uint32(r)
		}
		change(&t)
		return t
	}
	tables := []Table{
		table("fresh", func(*Table) {}),
		table("dead", func(t *Table) { t.Dead = 100 }),
		table("few dead", func(t *Table) { t.Live, t.Dead = 5, 5 }),
		table("old", func(t *Table) { t.XIDAge = 5000; t.Heap = 2000 }),
		table("unanalyzed", func(t *Table) { t.Analyzed = time.Time{} }),
		table("stale", func(t *Table) { t.Analyzed, t.Modified = now.Add(-100*time.Hour), 1 }),
		table("unchanged", func(t *Table) { t.Analyzed = now.Add(-100 * time.Hour) }),
		table("small", func(t *Table) { t.Heap, t.Indexes, t.Dead = 10, 0, 100000 }),
	}
	for _, c := range []struct {
		name string
		o    Options
		want []string
	}{
		{"all", Options{Action: Vacuum}, []string{"old vacuum", "dead vacuum", "few dead vacuum", "fresh vacuum", "stale vacuum", "unanalyzed vacuum", "unchanged vacuum", "small vacuum"}},
		{"ratio", Options{Action: Vacuum, Need: Need{DeadRatio: 0.1}}, []string{"dead vacuum", "few dead vacuum", "small vacuum"}},
		{"ratio and rows", Options{Action: Vacuum, Need: Need{DeadRatio: 0.1, DeadRows: 50}}, []string{"dead vacuum", "small vacuum"}},
		{"rows and size", Options{Action: Vacuum, Need: Need{DeadRows: 50, Size: 500}}, []string{"dead vacuum"}},
		{"age", Options{Action: Vacuum, Need: Need{XIDAge: 5000}}, []string{"old vacuum"}},
		{"stale", Options{Action: Vacuum, Need: Need{StaleAnalyze: 24 * time.Hour}}, []string{"stale analyze", "unanalyzed analyze"}},
		{"age or stale", Options{Action: Vacuum, Need: Need{XIDAge: 5000, StaleAnalyze: 24 * time.Hour}}, []string{"old vacuum", "stale analyze", "unanalyzed analyze"}},
		{"stale only", Options{Action: Analyze, Need: Need{StaleAnalyze: 24 * time.Hour}}, []string{"stale analyze", "unanalyzed analyze"}},
		{"size", Options{Action: Full, Need: Need{Size: 2000}}, []string{"old full"}},
	} {
		items, left := choose(tables, gains{}, c.o, scope{}, now)
		var got []string
		for _, i := range items {
			got = append(got, i.Table.Table+" "+string(i.Action))
			if len(i.Reasons) == 0 {
				t.Errorf("%s: no reason for %s", c.name, i.Name())
			}
		}
		if !slices.Equal(got, c.want) || len(left) > 0 {
			t.Errorf("%s:\n got %q\nwant %q\nleft %v", c.name, got, c.want, left)
		}
	}
	wasted := gains{indexes: map[uint32]Gain{tables[0].OID: {Bytes: 60, Known: true}}}
	items, _ := choose(tables, wasted, Options{Action: Reindex, Need: Need{DeadRatio: 0.5}}, scope{}, now)
	if got := names(items); !slices.Equal(got, []string{"s.fresh"}) || items[0].Reasons[0] != "60 % wasted" {
		t.Errorf("wasted: %q", got)
	}
}

// Promise: durations come from the same table's records, else from those of the
// same action, and a guess is told apart from both.
func TestEstimate(t *testing.T) {
	item := Item{Table: Table{Schema: "s", Table: "a", Heap: 100 << 20}, Action: Full, Locked: true}
	record := func(table string, action Action, seconds float64) Record {
		return Record{Table: table, Action: action, Bytes: 10 << 20, Seconds: seconds}
	}
	for _, c := range []struct {
		past []Record
		want Estimate
	}{
		{nil, Estimate{5 * time.Second, false}},
		{[]Record{record("s.b", Full, 1)}, Estimate{10 * time.Second, true}},
		{[]Record{record("s.b", Full, 1), record("s.a", Full, 3), record("s.a", Full, 2), record("s.a", Full, 200)}, Estimate{30 * time.Second, true}},
		{[]Record{record("s.a", Vacuum, 1)}, Estimate{5 * time.Second, false}},
		{[]Record{{Table: "s.a", Action: Full, Bytes: 1, Seconds: 1e18}}, Estimate{longest, true}},
	} {
		if got := estimate(item, c.past); got != c.want {
			t.Errorf("%v: %v, want %v", c.past, got, c.want)
		}
	}
	item.Locked = false
	if got := estimate(item, nil); got.Time != 0 {
		t.Errorf("what locks nothing is guessed to take %s", got.Time)
	}
}
