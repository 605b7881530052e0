package maintain

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
)

// many makes n small tables that are half dead.
func many(n int) string {
	return fmt.Sprintf(`DO $$ BEGIN FOR i IN 1..%d LOOP
		EXECUTE format('CREATE TABLE t%%s (id int PRIMARY KEY)', i);
		EXECUTE format('INSERT INTO t%%s SELECT generate_series(1, 100)', i);
		EXECUTE format('DELETE FROM t%%s WHERE id %%%% 2 = 0', i);
	END LOOP; END $$`, n)
}

// Promise: a run that nothing stands in the way of asks the server no more than
// one statement for each table, and a fixed number besides.
func TestStatements(t *testing.T) {
	const tables, besides = 60, 45
	scratchtest.EachMajor(t, func(t *testing.T, _ int, e *postgres.Endpoint) {
		role := scratchtest.Role(t, e, "LOGIN SUPERUSER")
		scratchtest.Exec(t, e, many(tables), "CREATE EXTENSION pg_stat_statements")
		for action, like := range map[Action]string{Vacuum: "VACUUM%t%", Analyze: "ANALYZE%t%", Full: "VACUUM%FULL%t%", Reindex: "REINDEX TABLE%t%"} {
			scratchtest.Exec(t, e, "SELECT pg_stat_statements_reset()")
			o := options(as(t, e, role))
			o.Action, o.Force, o.Jobs = action, true, 2
			r := must(t, o)
			if n := r.Count(Done); n != tables {
				t.Errorf("%s: %d tables were done", action, n)
			}
			mine := ` FROM pg_stat_statements WHERE userid = '` + role + `'::regrole`
			if n := number(t, e, `SELECT coalesce(sum(calls), 0)`+mine+` AND query LIKE '`+like+`'`); n < 1 || n > tables {
				t.Errorf("%s: %d statements on tables", action, n)
			}
			if n := number(t, e, `SELECT coalesce(sum(calls), 0)`+mine); n > tables+besides {
				t.Errorf("%s: %d statements in all: %s", action, n, scratchtest.Query(t, e, `SELECT string_agg(calls || ' ' || left(query, 60), E'\n' ORDER BY calls DESC)`+mine+` AND calls > 1`))
			}
		}
	})
}

func number(t *testing.T, e *postgres.Endpoint, sql string) int {
	t.Helper()
	n, err := strconv.Atoi(scratchtest.Query(t, e, sql))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Promise: tables that share a statement are told apart: one that is locked, one
// that is gone and one that the role may not vacuum are named, all others are done,
// and each has its part of the time.
func TestBatch(t *testing.T) {
	e := scratchtest.Database(t, many(24))
	role := scratchtest.Role(t, e, "LOGIN")
	for i := range 24 {
		scratchtest.Exec(t, e, fmt.Sprintf("ALTER TABLE t%d OWNER TO %s", i+1, role))
	}
	defer holding(t, e, "LOCK TABLE t3 IN SHARE MODE")()
	o := options(as(t, e, role))
	first := true
	o.step = func(string) {
		if first {
			scratchtest.Exec(t, e, "DROP TABLE t12", "ALTER TABLE t20 OWNER TO postgres")
		}
		first = false
	}
	r := must(t, o)
	for i := range 24 {
		name := fmt.Sprintf("public.t%d", i+1)
		want := map[string]Outcome{"public.t3": Skipped, "public.t12": Gone, "public.t20": Skipped}[name]
		if want == "" {
			want = Done
		}
		if got := wantOutcome(t, r, name, want); want == Done && (got.After.Dead != 0 || got.Seconds <= 0) {
			t.Errorf("%s: %d dead, %g seconds", name, got.After.Dead, got.Seconds)
		}
	}
	if w := r.Warnings(); len(w) != 2 {
		t.Errorf("%q", w)
	}
}

// Promise: when a statement for several tables is stopped, those that it had done
// are told as done, and only the others as interrupted.
func TestBatchStopped(t *testing.T) {
	e := scratchtest.Database(t, many(7), "INSERT INTO t1 SELECT generate_series(1000, 9000)", "INSERT INTO t2 SELECT generate_series(1000, 9000)", `CREATE FUNCTION slowly(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RETURN $1; END $$`,
		`CREATE INDEX ON t6 (slowly(id))`, `CREATE OR REPLACE FUNCTION slowly(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(60); RETURN $1; END $$`)
	ctx, cancel := withCause(t)
	stop := errors.New("stopped")
	watcher := scratchtest.Open(t, e)
	done := make(chan struct{})
	var r Result
	var err error
	go func() {
		defer close(done)
		r, err = Run(ctx, options(e))
	}()
	await(t, watcher, `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep')`)
	cancel(stop)
	<-done
	if !errors.Is(err, stop) {
		t.Errorf("%v", err)
	}
	// Its index is computed when it is analyzed, as the third after the two larger ones.
	wantOutcome(t, r, "public.t1", Done)
	wantOutcome(t, r, "public.t2", Done)
	if got := wantOutcome(t, r, "public.t6", Interrupted); got.Why != stopped(Vacuum, false) || r.Count(Interrupted) != 5 {
		t.Errorf("%d interrupted: %s", r.Count(Interrupted), got.Why)
	}
	table := func(before, after time.Time, analyze bool) Outcome {
		r := TableResult{Item: Item{Table: Table{Vacuumed: before, Analyzed: before}, Action: Vacuum, analyze: analyze}, Outcome: Interrupted, After: &Table{Vacuumed: after, Analyzed: before}}
		r.recognize()
		return r.Outcome
	}
	now := time.Now()
	got := []Outcome{table(now, now.Add(time.Second), false), table(now, now.Add(time.Second), true), table(now, now, false)}
	if want := []Outcome{Done, Interrupted, Interrupted}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// Promise: what small tables share is bounded, sessions are not left without work
// for it, and what differs in what is done does not share.
func TestBatches(t *testing.T) {
	item := func(action Action, analyze bool, bytes int64) Item {
		return Item{Table: Table{Heap: bytes}, Action: action, analyze: analyze}
	}
	repeat := func(n int, i Item) []Item { return slices.Repeat([]Item{i}, n) }
	small := item(Vacuum, true, 1000)
	for _, c := range []struct {
		name  string
		major int
		jobs  int
		items []Item
		want  []int
	}{
		{"small", 15, 1, repeat(20, small), []int{8, 8, 4}},
		{"all sessions", 15, 4, repeat(8, small), []int{2, 2, 2, 2}},
		{"large", 15, 1, append([]Item{item(Vacuum, true, batchBytes+1), item(Vacuum, true, batchBytes)}, small), []int{1, 1, 1}},
		{"other", 15, 1, []Item{small, item(Vacuum, false, 1000), item(Analyze, false, 1000), item(Analyze, false, 1000)}, []int{1, 1, 1, 1}},
		{"full", 15, 1, repeat(2, item(Full, true, 1000)), []int{1, 1}},
		{"newer", 16, 1, repeat(2, small), []int{1, 1}},
	} {
		r := &run{o: Options{Jobs: c.jobs, major: c.major}}
		var got []int
		for _, b := range r.batches(c.items) {
			got = append(got, len(b))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// Promise: what is called done is on the server's disk, also where the role may
// not make a transaction that waits for it.
func TestFlush(t *testing.T) {
	e := scratchtest.Database(t, "CREATE TABLE t (n int)", "GRANT ALL ON t TO PUBLIC")
	role := scratchtest.Role(t, e, "LOGIN")
	for _, revoked := range []bool{false, true} {
		if revoked {
			scratchtest.Exec(t, e, "REVOKE EXECUTE ON FUNCTION lo_create(oid) FROM PUBLIC")
		}
		s, err := openSession(t.Context(), as(t, e, role), time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.run(t.Context(), "INSERT INTO public.t VALUES (1)"); err != nil {
			t.Fatal(err)
		}
		end := scratchtest.Query(t, e, "SELECT pg_current_wal_insert_lsn()")
		if err := s.flush(t.Context()); err != nil {
			t.Errorf("revoked %t: %v", revoked, err)
		}
		if on := scratchtest.Query(t, e, "SELECT pg_current_wal_flush_lsn() >= '"+end+"'::pg_lsn"); on != "true" {
			t.Errorf("revoked %t: it is not on the disk", revoked)
		}
		s.close(t.Context())
	}
}
