package maintain

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
)

// phases are those in which REINDEX CONCURRENTLY waits for a transaction, in
// their order, with what another session has to do so that it comes to wait for
// it: at first for writers, at last for readers of the table.
var phases = []struct{ name, hold string }{
	{"waiting for writers before build", `INSERT INTO thing VALUES (-1)`},
	{"waiting for writers before validation", `INSERT INTO thing VALUES (-2)`},
	{"waiting for old snapshots", `SELECT 1`},
	{"waiting for readers before marking dead", `SELECT count(*) FROM thing`},
	{"waiting for readers before dropping", `SELECT count(*) FROM thing`},
}

// Promise: in whichever phase a rebuilding dies, with its session or by a
// signal, no invalid index stays, and the good one is there and valid.
func TestReindexDiesInEachPhase(t *testing.T) {
	e := scratchtest.Database(t, `CREATE TABLE thing (id int)`, `INSERT INTO thing SELECT generate_series(1, 1000)`, `CREATE INDEX thing_id ON thing (id)`)
	watcher := scratchtest.Open(t, e)
	for last := range phases {
		for _, killed := range []bool{true, false} {
			o := options(e)
			o.Action, o.LockTimeout = Reindex, 10*time.Second
			stop := errors.New("stopped")
			ctx, cancel := withCause(t)
			type outcome struct {
				r   Result
				err error
			}
			done := make(chan outcome, 1)
			release := holding(t, e, phases[0].hold)
			go func() {
				r, err := Run(ctx, o)
				done <- outcome{r, err}
			}()
			var pid string
			for i := 0; ; i++ {
				pid = waitsIn(t, watcher, phases[i].name)
				if i == last {
					break
				}
				next := holding(t, e, phases[i+1].hold)
				release()
				release = next
			}
			if killed {
				scratchtest.Exec(t, e, "SELECT pg_terminate_backend("+pid+")")
			} else {
				cancel(stop)
			}
			await(t, watcher, `SELECT NOT EXISTS (SELECT FROM pg_stat_progress_create_index)`)
			release()
			got := <-done
			name := phases[last].name
			switch {
			case killed && !errors.Is(got.err, ErrFailed):
				t.Errorf("%s: killed: %v", name, got.err)
			case !killed && !errors.Is(got.err, stop):
				t.Errorf("%s: stopped: %v", name, got.err)
			case !killed:
				wantOutcome(t, got.r, "public.thing", Interrupted)
			}
			if len(got.r.Remain)+len(got.r.Doubts) > 0 {
				t.Errorf("%s: %v %v", name, got.r.Remain, got.r.Doubts)
			}
			if list := indexes(t, watcher); !slices.Equal(list, []string{"thing_id true"}) {
				t.Errorf("%s: %q", name, list)
			}
		}
	}
}

// waitsIn returns the process that waits in a phase, when it does.
func waitsIn(t *testing.T, conn *pgx.Conn, phase string) string {
	t.Helper()
	await(t, conn, `SELECT EXISTS (SELECT FROM pg_stat_progress_create_index p JOIN pg_locks l ON l.pid = p.pid AND NOT l.granted WHERE phase = $1)`, phase)
	var pid string
	if err := conn.QueryRow(t.Context(), `SELECT pid::text FROM pg_stat_progress_create_index`).Scan(&pid); err != nil {
		t.Fatal(err)
	}
	return pid
}

func indexes(t *testing.T, conn *pgx.Conn) []string {
	t.Helper()
	rows, err := conn.Query(t.Context(), `SELECT relname || ' ' || indisvalid::text FROM pg_index JOIN pg_class c ON c.oid = indexrelid WHERE indrelid = 'thing'::regclass ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// Promise: what an earlier run left is found and offered, removed only where that
// was asked for, and an index that somebody is building is none.
func TestLeftovers(t *testing.T) {
	e := scratchtest.Database(t, `CREATE TABLE thing (id int)`, `INSERT INTO thing SELECT generate_series(1, 1000)`, `CREATE INDEX thing_id ON thing (id)`)
	builder := scratchtest.Open(t, e)
	release := holding(t, e, `INSERT INTO thing VALUES (-1)`)
	building := make(chan error, 1)
	go func() {
		_, err := builder.Exec(t.Context(), "REINDEX TABLE CONCURRENTLY thing")
		building <- err
	}()
	watcher := scratchtest.Open(t, e)
	pid := waitsIn(t, watcher, phases[0].name)
	o := options(e)
	if found := planOf(t, o).Leftovers; len(found) != 0 {
		t.Errorf("what is being built is offered: %v", found)
	}
	scratchtest.Exec(t, e, "SELECT pg_cancel_backend("+pid+")")
	if err := <-building; err == nil {
		t.Fatal("it was not cancelled")
	}
	release()
	p := planOf(t, o)
	if len(p.Leftovers) != 1 || p.Leftovers[0].SQL() != `DROP INDEX CONCURRENTLY IF EXISTS "public"."thing_id_ccnew"` || p.Leftovers[0].Of != "public.thing" {
		t.Fatalf("%+v", p.Leftovers)
	}
	must(t, o)
	if list := indexes(t, watcher); !slices.Equal(list, []string{"thing_id true", "thing_id_ccnew false"}) {
		t.Errorf("a plain run: %q", list)
	}
	o.Action, o.DropLeftovers = Reindex, true
	r := must(t, o)
	if list := indexes(t, watcher); len(r.Dropped) != 1 || !slices.Equal(list, []string{"thing_id true"}) {
		t.Errorf("%v %q", r.Dropped, list)
	}
}

// Promise: a leftover that cannot be removed is named with its statement.
func TestLeftoverThatStays(t *testing.T) {
	e := scratchtest.Database(t, `CREATE TABLE thing (id int)`, `CREATE INDEX thing_id ON thing (id)`)
	defer holding(t, e, `INSERT INTO thing VALUES (-1)`)()
	o := options(e)
	o.Action, o.TransactionWait = Reindex, time.Second
	r := must(t, o)
	if all := strings.Join(r.Warnings(), "\n"); !strings.Contains(all, `thing_id_ccnew of public.thing is an invalid index that could not be removed`+"\n"+`DROP INDEX CONCURRENTLY IF EXISTS "public"."thing_id_ccnew";`) {
		t.Errorf("%q", all)
	}
}
