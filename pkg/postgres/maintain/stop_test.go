package maintain

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
	"github.com/bmad-forge/forgectl/pkg/window"
)

func withCause(t *testing.T) (context.Context, context.CancelCauseFunc) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	t.Cleanup(func() { cancel(nil) })
	return ctx, cancel
}

// slow is a table whose indexes take long to build and that takes long to analyze.
var slow = []string{
	`CREATE FUNCTION slowly(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.1); RETURN $1; END $$`,
	`CREATE TABLE slow (id int)`, `CREATE INDEX ON slow (slowly(id)) WHERE id > 0`, `INSERT INTO slow SELECT -g FROM generate_series(1, 1000) g`,
	`UPDATE slow SET id = id`,
	`INSERT INTO slow SELECT g FROM generate_series(1, 3) g`,
	`CREATE TABLE other (id int PRIMARY KEY)`,
}

// Promise: stopped in the middle, each action ends at the server too, says what is
// done, what was interrupted and what not begun, and changes nothing by halves: a
// VACUUM FULL that was cancelled leaves the table with its file and its rows.
func TestStopped(t *testing.T) {
	e := scratchtest.Database(t, slow...)
	file := func() string {
		return scratchtest.Query(t, e, `SELECT pg_relation_filenode('slow') || ' ' || count(*) || ' ' || sum(id) FROM slow`)
	}
	scratchtest.Exec(t, e, `CREATE OR REPLACE FUNCTION slowly(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(60); RETURN $1; END $$`)
	stop := errors.New("stopped")
	for _, action := range []Action{Full, Reindex, Analyze} {
		for _, blocking := range []bool{false, true} {
			if blocking && action != Reindex {
				continue
			}
			before := file()
			ctx, cancel := withCause(t)
			o := options(e)
			o.Action, o.Blocking, o.Force = action, blocking, true
			watcher := scratchtest.Open(t, e)
			done := make(chan struct{})
			var r Result
			var err error
			go func() {
				defer close(done)
				r, err = Run(ctx, o)
			}()
			await(t, watcher, `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep')`)
			cancel(stop)
			<-done
			if !errors.Is(err, stop) {
				t.Errorf("%s: %v", action, err)
			}
			got := wantOutcome(t, r, "public.slow", Interrupted)
			if got.Why != stopped(action, blocking) {
				t.Errorf("%s: %s", action, got.Why)
			}
			if n := r.Count(NotStarted); n != 1 {
				t.Errorf("%s: %d tables were not begun", action, n)
			}
			if !r.Measured {
				t.Errorf("%s: nothing was measured", action)
			}
			if n := scratchtest.Query(t, e, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'`); n != "0" {
				t.Errorf("%s: it goes on at the server", action)
			}
			if n := scratchtest.Query(t, e, `SELECT count(*) FROM pg_index WHERE NOT indisvalid`); n != "0" {
				t.Errorf("%s: %s invalid indexes", action, n)
			}
			if after := file(); after != before {
				t.Errorf("%s: %s, was %s", action, after, before)
			}
		}
	}
}

// Promise: a plain VACUUM that is stopped ends too.
func TestVacuumStopped(t *testing.T) {
	e := scratchtest.Database(t, application)
	role := scratchtest.Role(t, e, "LOGIN SUPERUSER")
	// Of each page it sleeps.
	scratchtest.Exec(t, e, "ALTER ROLE "+role+" SET vacuum_cost_delay = 100", "ALTER ROLE "+role+" SET vacuum_cost_limit = 1")
	ctx, cancel := withCause(t)
	stop := errors.New("stopped")
	watcher := scratchtest.Open(t, e)
	done := make(chan struct{})
	var r Result
	var err error
	go func() {
		defer close(done)
		r, err = Run(ctx, options(as(t, e, role)))
	}()
	await(t, watcher, `SELECT EXISTS (SELECT FROM pg_stat_progress_vacuum)`)
	cancel(stop)
	<-done
	if !errors.Is(err, stop) {
		t.Errorf("%v", err)
	}
	wantOutcome(t, r, "public.Order", Interrupted)
	if n := scratchtest.Query(t, e, `SELECT count(*) FROM pg_stat_progress_vacuum`); n != "0" {
		t.Error("it goes on at the server")
	}
}

// Promise: tables are locked within the window only, or by force; what runs at its
// end is stopped, and that is told as such.
func TestWindow(t *testing.T) {
	e := scratchtest.Database(t, slow...)
	daily, err := window.Parse("0 2 * * * 1h")
	if err != nil {
		t.Fatal(err)
	}
	o := options(e)
	o.Action, o.Schemas, o.Tables = Full, nil, []string{"other"}
	asked := 0
	o.Confirm = func(context.Context, Plan) error { asked++; return nil }
	outside := time.Date(2026, 11, 24, 3, 0, 0, 0, time.UTC)
	o.Now = func() time.Time { return outside }
	var refused *WindowError
	if _, err := Run(t.Context(), o); !errors.As(err, &refused) || refused.Window != "" {
		t.Errorf("without a window: %v", err)
	}
	o.Window = daily
	if _, err := Run(t.Context(), o); !errors.As(err, &refused) || !refused.Next.Equal(outside.Add(23*time.Hour)) || asked != 0 {
		t.Errorf("outside of it: %v", err)
	}
	o.Now = func() time.Time { return outside.Add(-30 * time.Minute) }
	wantOutcome(t, must(t, o), "public.other", Done)
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
	// Two seconds before its end, with something that takes longer.
	scratchtest.Exec(t, e, `CREATE OR REPLACE FUNCTION slowly(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(60); RETURN $1; END $$`)
	o.Tables = []string{"slow"}
	o.Now = func() time.Time { return outside.Add(-2 * time.Second) }
	got := wantOutcome(t, must(t, o), "public.slow", Interrupted)
	if got.Why != "the window is over; "+stopped(Full, false) {
		t.Error(got.Why)
	}
	// It was not asked by what locks nothing.
	o.Action, o.Tables = Vacuum, []string{"other"}
	o.Now = func() time.Time { return outside }
	asked = 0
	wantOutcome(t, must(t, o), "public.other", Done)
	if asked != 0 {
		t.Error("asked for a plain vacuum")
	}
	o.Action, o.Confirm = Full, func(context.Context, Plan) error { return errors.New("no") }
	o.Force = true
	if _, err := Run(t.Context(), o); err == nil || err.Error() != "no" {
		t.Errorf("not confirmed: %v", err)
	}
}
