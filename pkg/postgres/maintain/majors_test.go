package maintain

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
)

// Promise: on every major version each action does all tables it is for, and what
// came of it is measured: dead rows are gone, statistics are new, indexes are
// valid and smaller.
func TestEachMajor(t *testing.T) {
	scratchtest.EachMajor(t, func(t *testing.T, _ int, e *postgres.Endpoint) {
		scratchtest.Exec(t, e, application)
		o := options(e)

		plan := planOf(t, o)
		if got, want := names(plan.Items), append(slices.Clone(ours), "public.event"); !sameSet(got, want) {
			t.Errorf("plan has %q, want %q", got, want)
		}
		r := must(t, o)
		for _, name := range append(slices.Clone(ours), "public.event") {
			wantOutcome(t, r, name, Done)
		}
		if w := r.Warnings(); len(w) > 0 {
			t.Errorf("warnings: %q", w)
		}
		analyzed := `SELECT count(*) = 8 FROM pg_class WHERE relname IN ('Order', 'counter', 'document', 'empty', 'event_1', 'event_2', 'summary', 'event')
			AND (pg_stat_get_last_analyze_time(oid) IS NOT NULL OR relkind = 'p')`
		await(t, scratchtest.Open(t, e), analyzed)
		if n := scratchtest.Query(t, e, `SELECT count(*) FROM pg_stats WHERE tablename = 'event' AND inherited`); n != "2" {
			t.Errorf("%s columns of the partitioned table have statistics", n)
		}

		o.Action, o.Force = Full, true
		r = must(t, o)
		if got := wantOutcome(t, r, "public.Order", Done); got.Reclaimed() <= 0 {
			t.Errorf("VACUUM FULL gave back %d bytes", got.Reclaimed())
		}
		for _, blocking := range []bool{false, true} {
			o.Action, o.Blocking = Reindex, blocking
			r = must(t, o)
			wantOutcome(t, r, "public.Order", Done)
			wantOutcome(t, r, "public.event_1", Done)
			if w := r.Warnings(); len(w) > 0 {
				t.Errorf("warnings: %q", w)
			}
		}
		if n := scratchtest.Query(t, e, `SELECT count(*) FROM pg_index WHERE NOT indisvalid`); n != "0" {
			t.Errorf("%s invalid indexes", n)
		}
		o.Action, o.Blocking = Analyze, false
		r = must(t, o)
		wantOutcome(t, r, "public.event", Done)
	})
}

// Promise: the whole database includes the catalog, where the role may; and with
// freezing the age of the database falls.
func TestEachMajorFreeze(t *testing.T) {
	scratchtest.EachMajor(t, func(t *testing.T, _ int, e *postgres.Endpoint) {
		scratchtest.Exec(t, e, application, `CREATE PROCEDURE age(n int) LANGUAGE plpgsql AS $$
			BEGIN FOR i IN 1..n LOOP PERFORM txid_current(); COMMIT; END LOOP; END $$`, `CALL age(2000)`)
		r := must(t, Options{Endpoint: e, Freeze: true, Jobs: 3, Need: Need{XIDAge: 1000}})
		if got := wantOutcome(t, r, "pg_catalog.pg_class", Done); got.After.XIDAge >= got.XIDAge {
			t.Errorf("pg_class: age %d, was %d", got.After.XIDAge, got.XIDAge)
		}
		wantOutcome(t, r, "public.Order", Done)
		if r.Ages.XID >= 1500 || r.Plan.Ages.XID < 2000 {
			t.Errorf("the database is %d transactions old, was %d", r.Ages.XID, r.Plan.Ages.XID)
		}
	})
}

// Promise: what the server says of its progress reaches the display on every
// major version, whatever the columns of its views are called.
func TestEachMajorProgress(t *testing.T) {
	scratchtest.EachMajor(t, func(t *testing.T, _ int, e *postgres.Endpoint) {
		scratchtest.Exec(t, e, application,
			`CREATE FUNCTION slowly(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.02); RETURN $1; END $$`,
			`CREATE TABLE slow AS SELECT g AS id FROM generate_series(1, 30) g`, `CREATE INDEX ON slow (slowly(id))`)
		for action, word := range map[Action]string{Full: "rebuilding index", Reindex: "building index"} {
			var mu sync.Mutex
			var seen []string
			o := options(e)
			o.Action, o.Tables, o.Schemas, o.Force = action, []string{"slow"}, nil, true
			o.every = time.Millisecond
			o.Progress = func(what string, _, total int64) {
				mu.Lock()
				defer mu.Unlock()
				if strings.HasSuffix(what, "rebuilding index") && total > 0 {
					t.Errorf("%s: %d bytes", what, total)
				}
				seen = append(seen, what)
			}
			must(t, o)
			mu.Lock()
			if !slices.ContainsFunc(seen, func(s string) bool { return strings.HasPrefix(s, string(action)+" 1 of 1, public.slow: "+word) }) {
				t.Errorf("%s: %q", action, seen)
			}
			mu.Unlock()
		}
	})
}

func sameSet(a, b []string) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(a, b)
}
