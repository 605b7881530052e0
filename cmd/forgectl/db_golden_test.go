package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/bmad-forge/forgectl/pkg/postgres/bloat"
	"github.com/bmad-forge/forgectl/pkg/postgres/insight"
	"github.com/bmad-forge/forgectl/pkg/ui"
)

// Promise: each report of the database looks as it always did, on a terminal of 80
// columns, in a pipe and as JSON: people read the first, cron and scripts the others.
// UPDATE_GOLDEN=1 writes testdata/golden anew; read the difference.
func TestGoldenReports(t *testing.T) {
	now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	for name, report := range goldenReports(now) {
		golden(t, "db-"+name, now, report)
	}
}

// golden compares a result with testdata/golden/NAME.FORM, 80 columns wide.
func golden(t *testing.T, name string, now time.Time, report func(a *App) result) {
	t.Helper()
	for _, form := range []string{"terminal", "pipe", "json"} {
		t.Run(name+"/"+form, func(t *testing.T) {
			var out bytes.Buffer
			app := &App{Streams: &ui.Streams{Out: &out, Err: new(bytes.Buffer)}, Now: func() time.Time { return now }}
			switch form {
			case "terminal":
				app.Streams.OutTTY, app.Streams.Width = true, 80
			case "json":
				app.flags.output.value = outputJSON
			}
			if err := app.show(report(app)); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join("testdata", "golden", name+"."+form)
			if os.Getenv("UPDATE_GOLDEN") != "" {
				if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(out.Bytes(), want) {
				t.Errorf("%s is now\n%s\nand was\n%s", file, out.Bytes(), want)
			}
		})
	}
}

// goldenReports are reports with something of everything in them.
func goldenReports(now time.Time) map[string]func(a *App) result {
	utc := func(ago time.Duration) *time.Time { at := now.Add(-ago).UTC(); return &at }
	const today = 24 * time.Hour
	head := insight.Head{Database: "forge", Server: "15.4", Notes: []string{}}
	indexes := insight.IndexReport{Head: head, Indexes: 3, Bytes: 5 << 20, StatisticsSince: utc(40 * today), Findings: []insight.IndexFinding{
		{Kind: insight.Duplicate, Index: "public.label_2", Table: "public.shelf", Why: "the same as public.label_1", Bytes: 1 << 20, Scans: 7, WatchedSince: utc(35 * today), LastScan: utc(2 * today),
			SQL: "DROP INDEX CONCURRENTLY public.label_2;", Back: "CREATE INDEX CONCURRENTLY label_2 ON public.shelf USING btree (label);"},
		{Kind: insight.Unused, Index: "public.young", Table: "public.shelf", Why: "no scan since it is watched, which is not long enough to tell", Bytes: 8192, WatchedSince: utc(time.Hour), Early: true,
			SQL: "DROP INDEX CONCURRENTLY public.young;", Back: "CREATE INDEX CONCURRENTLY young ON public.shelf USING btree (a);"},
		{Kind: insight.Bloated, Index: "public.shelf_pkey", Table: "public.shelf", Why: "60 % of it is dead (estimate)", Bytes: 4 << 20, Scans: 90210, Constraint: true,
			SQL: "REINDEX INDEX CONCURRENTLY public.shelf_pkey;", Back: "-- nothing to take back: the index is the same afterwards"},
		{Kind: insight.Scanned, Table: "public.\"odd\x1b[2J\"", Why: "read whole 120 times, about 12000 rows each: an index on what those queries search may help", Bytes: 2 << 20},
	}}
	slow := insight.SlowReport{Head: head, Since: utc(3 * today), Extension: "1.10", TotalMS: 4000, Statements: []insight.Statement{
		{ID: 7, Query: "SELECT * FROM shelf WHERE label = $1", Figures: insight.Figures{Calls: 1500, TotalMS: 3000, Rows: 1500, Temp: 3, Reads: 12000, WAL: 4096}, MeanMS: 2, Share: 0.75},
		{ID: -8, Query: "SELECT * FROM seen", Figures: insight.Figures{Calls: 1, TotalMS: 1000, Rows: 1}, MeanMS: 1000, Share: 0.25},
	}, Plan: &insight.Plan{Number: 2, Lines: []string{"Seq Scan on \"odd\x1b[2J\"  (cost=0.00..1.01 rows=1 width=4)", "  Filter: (note = '***'::text)"}}}
	connections := insight.ConnectionReport{Head: head, Max: 100, Reserved: 3, Usable: 97, Used: 3, Part: 3.0 / 97, Level: insight.Warning,
		Groups:  []insight.Group{{By: "state", Name: "idle in transaction", Count: 1}, {By: "state", Name: "active", Count: 2}, {By: "user", Name: "forge", Count: 3}, {By: "application", Name: "web", Count: 3}, {By: "address", Count: 3}},
		Clients: []insight.Client{{PID: 11, Database: "forge", User: "forge", Application: "web", State: "idle in transaction", Started: utc(time.Hour), Transaction: utc(10 * time.Minute), Changed: utc(9 * time.Minute), Query: "UPDATE shelf SET label = '***'", BlockedBy: []int32{}}},
		Blocking: []insight.Waiting{{PID: 11, Query: "UPDATE shelf SET label = '***'", State: "idle in transaction", User: "forge", Waiters: []insight.Waiting{
			{PID: 12, Query: "ALTER TABLE shelf ADD COLUMN more int", State: "active", User: "forge", Waiters: []insight.Waiting{{PID: 13, Query: "SELECT * FROM shelf", State: "active", User: "forge", Waiters: []insight.Waiting{}}}},
		}}},
		Prepared: []insight.Prepared{{Name: "left over", Database: "forge", Owner: "forge", Since: *utc(5 * time.Hour)}},
		Slots:    []insight.Slot{{Name: "standby_1", Bytes: 3 << 30, State: "extended"}},
		Findings: []insight.Finding{{Level: insight.Warning, Text: "session 11 of forge keeps 2 waiting", Remedy: "SELECT pg_terminate_backend(11);"}},
		Advice:   "Of 97 usable connections 3 are taken, 0 of them idle, 0 for more than 10 minutes. There is room for CONN_MAX_AGE = 600, which saves a login for each request.",
	}
	size := goldenSize(head, now)
	return map[string]func(a *App) result{
		"indexes": func(a *App) result {
			return result{JSON: indexes, Text: func(s *ui.Streams) error { return a.indexTable(s, indexes) }}
		},
		"slow": func(a *App) result {
			return result{JSON: slow, Text: func(s *ui.Streams) error { return a.slowTable(s, slow) }}
		},
		"connections": func(a *App) result {
			return result{JSON: connections, Text: func(s *ui.Streams) error { return a.connectionTables(s, connections) }}
		},
		"size": func(a *App) result {
			return result{JSON: size, Text: func(s *ui.Streams) error { return a.sizeTable(s, size) }}
		},
	}
}

// goldenSize has grown for 20 days, with a gap.
func goldenSize(head insight.Head, now time.Time) insight.SizeReport {
	grown, rate, free, days := int64(3<<20), float64(1<<20), int64(50<<20), 50.0
	space := func(bytes, dead int64, how bloat.How) bloat.Space {
		return bloat.Space{Bytes: bytes, Dead: dead, How: how}
	}
	r := insight.SizeReport{Head: head, Bytes: 30 << 20, Omitted: 2, PerDay: &rate, Free: &free, FullDays: &days, History: []insight.SizePoint{},
		Tables: []insight.TableSize{
			{Table: "public.shelf", Rows: 12000, Total: 20 << 20, Heap: space(10<<20, 2<<20, bloat.Estimate), Indexes: space(8<<20, 1<<20, bloat.FreeMap), Toast: space(2<<20, 0, bloat.Unknown), Growth: &grown},
			{Table: "public.book", Rows: -1, Total: 1 << 20, Heap: space(1<<20, 1<<19, bloat.Exact)},
		},
		Sum: insight.TableSize{Table: "all tables", Rows: 12000, Total: 21 << 20, Heap: space(11<<20, 5<<19, bloat.Estimate), Indexes: space(8<<20, 1<<20, bloat.FreeMap), Toast: space(2<<20, 0, bloat.Unknown)},
	}
	for _, ago := range []int{20, 19, 15, 14, 9, 3, 0} {
		r.History = append(r.History, insight.SizePoint{At: now.AddDate(0, 0, -ago).UTC(), Bytes: int64(30-ago) << 20})
	}
	return r
}
