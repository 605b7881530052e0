package main

import (
	"testing"
	"time"

	"github.com/bmad-forge/forgectl/pkg/postgres/maintain"
)

// Promise: the plan and the result of forgectl vacuum look as they always did, with
// every outcome that a table can have, on a terminal of 80 columns, in a pipe and as
// JSON. UPDATE_GOLDEN=1 writes testdata/golden anew; read the difference.
func TestGoldenVacuum(t *testing.T) {
	now := time.Date(2026, 5, 4, 2, 30, 0, 0, time.UTC)
	for name, report := range goldenVacuums(now) {
		golden(t, "vacuum-"+name, now, report)
	}
}

// shelfTable is a table with so many MiB of data and as many rows a MiB.
func shelfTable(oid uint32, name string, size, dead, age int64) maintain.Table {
	return maintain.Table{OID: oid, Schema: "public", Table: name, Kind: 'r', Owner: "forge", Heap: size << 20, Indexes: size << 18, IndexCount: 1, Live: 1000 * size, Dead: dead, XIDAge: age}
}

func goldenVacuums(now time.Time) map[string]func(*App) result {
	plan := maintain.Plan{Database: "forge", Ages: maintain.Ages{XID: 150_000_000, Max: 200_000_000}, Items: []maintain.Item{
		{Table: shelfTable(1, "shelf", 800, 400_000, 150_000_000), Action: maintain.Vacuum, Reasons: []string{"33 % dead", "xid age 150 000 000"},
			Gain: maintain.Gain{Bytes: 260 << 20, Known: true, Reusable: true}, Estimate: maintain.Estimate{Time: 95 * time.Second, FromRecords: true}},
		{Table: shelfTable(2, "odd\x1b[2J", 3, 7, 10), Action: maintain.Analyze, Reasons: []string{"never analyzed"}, Gain: maintain.Gain{Known: true, Reusable: true}},
	}, Left: []maintain.Left{{Table: shelfTable(3, "ledger", 1, 0, 5), Why: "forge may not vacuum it: it belongs to audit", Remedy: `GRANT "audit" TO "forge";`}},
		Leftovers: []maintain.Leftover{{OID: 9, Schema: "public", Index: "shelf_label_ccnew", Of: "public.shelf", Bytes: 8192}}}
	full := maintain.Plan{Database: "forge", Ages: plan.Ages, Locks: true, Until: now.Add(90 * time.Minute), Space: maintain.Space{Unknown: "the server is on another host"}, Items: []maintain.Item{
		{Table: shelfTable(1, "shelf", 800, 400_000, 150_000_000), Action: maintain.Full, Reasons: []string{"all are wanted"}, Locked: true,
			Gain: maintain.Gain{Bytes: 300 << 20, Known: true}, Estimate: maintain.Estimate{Time: 3 * time.Minute, FromRecords: true}},
		{Table: shelfTable(4, "word", 40, 10, 900), Action: maintain.Full, Reasons: []string{"all are wanted"}, Locked: true,
			Gain: maintain.Gain{Bytes: 5 << 20, Why: "its free pages only: at least so much"}, Estimate: maintain.Estimate{Time: 2500 * time.Millisecond}},
		{Table: shelfTable(5, "place", 1, 0, 900), Action: maintain.Full, Reasons: []string{"all are wanted"}, Locked: true, Gain: maintain.Gain{Why: "no estimate for gist indexes"}, Estimate: maintain.Estimate{Time: 60 * time.Millisecond}},
	}}
	nothing := maintain.Plan{Database: "forge", Ages: plan.Ages, Leftovers: plan.Leftovers}
	done := goldenOutcome(full)
	return map[string]func(*App) result{
		"plan":    func(*App) result { return planned(plan, maintain.Vacuum) },
		"full":    func(*App) result { return planned(full, maintain.Full) },
		"nothing": func(*App) result { return planned(nothing, maintain.Reindex) },
		"done":    func(*App) result { return vacuumed(done, maintain.Full) },
	}
}

// goldenOutcome is a run that was stopped, with one table of each outcome.
func goldenOutcome(p maintain.Plan) maintain.Result {
	r := maintain.Result{Plan: p, Ages: maintain.Ages{XID: 900, Max: 200_000_000}, Seconds: 200.25, Reclaimed: 301 << 20, Measured: true,
		Dropped: []maintain.Leftover{{Schema: "public", Index: "word_ccold", Of: "public.word"}}}
	add := func(oid uint32, name string, outcome maintain.Outcome, why, remedy string, after *maintain.Table, seconds float64, warnings ...string) {
		item := maintain.Item{Table: shelfTable(oid, name, 40, 5000, 150_000_000), Action: maintain.Full, Reasons: []string{"all are wanted"}, Locked: true, Gain: maintain.Gain{Bytes: 20 << 20, Known: true}}
		r.Tables = append(r.Tables, maintain.TableResult{Item: item, Outcome: outcome, Why: why, Remedy: remedy, After: after, Seconds: seconds, Warnings: warnings})
	}
	smaller, same := shelfTable(1, "shelf", 10, 0, 900), shelfTable(2, "busy", 40, 5000, 150_000_000)
	add(1, "shelf", maintain.Done, "", "", &smaller, 2.5, "a warning of the server")
	add(2, "busy", maintain.Skipped, "somebody holds a lock on it: process 77 (web, gunicorn)", "", &same, 2)
	add(3, "ledger", maintain.Skipped, "forge may not vacuum it: it belongs to audit", `GRANT "audit" TO "forge";`, &same, 0)
	add(4, "gone", maintain.Gone, "it was dropped meanwhile", "", nil, 0.01)
	add(5, "broken", maintain.Failed, "ERROR: could not read block 7", "", &same, 1)
	add(6, "half", maintain.Interrupted, "rolled back, it is as before", "", &same, 61)
	add(7, "later", maintain.NotStarted, "it was not its turn yet", "", &same, 0)
	return r
}
