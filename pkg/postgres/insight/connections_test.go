package insight_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/insight"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
)

// Promise: who waits for whom is a tree below the one that waits for nobody, with
// its statement; old and idle transactions and prepared ones are named.
func TestConnections(t *testing.T) {
	e := scratchtest.Database(t, "CREATE TABLE t (a int PRIMARY KEY, secret text); INSERT INTO t VALUES (1, 'x')")
	holder, second, third := scratchtest.Open(t, e), scratchtest.Open(t, e), scratchtest.Open(t, e)
	exec := func(sql string) {
		if _, err := holder.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	exec("BEGIN")
	exec("UPDATE t SET secret = 'topsecret'")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{}, 2)
	go func() { _, _ = second.Exec(ctx, "ALTER TABLE t ADD COLUMN more int"); done <- struct{}{} }()
	wait(t, e, fmt.Sprintf("SELECT cardinality(pg_blocking_pids(%d)) = 1", second.PgConn().PID()))
	go func() { _, _ = third.Exec(ctx, "SELECT * FROM t"); done <- struct{}{} }()
	wait(t, e, fmt.Sprintf("SELECT cardinality(pg_blocking_pids(%d)) = 1", third.PgConn().PID()))
	l := look(t, e)
	l.now = l.now.Add(time.Hour)
	r, err := l.session().Connections(t.Context(), insight.ConnectionLimits{Warning: 2, Critical: 0, Transaction: 30 * time.Minute, Idle: 30 * time.Minute})
	cancel()
	<-done
	<-done
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(r.Blocking, func(w insight.Waiting) bool { return w.PID == int32(holder.PgConn().PID()) })
	if at < 0 {
		t.Fatalf("%+v", r.Blocking)
	}
	w := r.Blocking[at]
	if w.Query != "UPDATE t SET secret = '***'" || len(w.Waiters) != 1 || len(w.Waiters[0].Waiters) != 1 || w.Waiters[0].Waiters[0].PID != int32(third.PgConn().PID()) {
		t.Errorf("%+v", w)
	}
	texts := fmt.Sprint(r.Findings)
	for _, want := range []string{"is critical", "keeps 2 waiting"} {
		if !strings.Contains(texts, want) {
			t.Errorf("no %q in %s", want, texts)
		}
	}
	if r.Level != insight.Critical || !strings.Contains(r.Advice, "CONN_MAX_AGE") || !strings.Contains(r.Advice, "statement_timeout") {
		t.Errorf("%s %s", r.Level, r.Advice)
	}
	exec("ROLLBACK")
	exec("BEGIN")
	exec("INSERT INTO t VALUES (2, 'y')")
	exec("PREPARE TRANSACTION 'left over'")
	t.Cleanup(func() {
		_, _ = scratchtest.Open(cleanup{t}, e).Exec(context.Background(), "ROLLBACK PREPARED 'left over'")
	})
	r, err = l.session().Connections(t.Context(), insight.ConnectionLimits{Warning: 2, Critical: 2, Transaction: 30 * time.Minute, Idle: time.Hour})
	if err != nil || !strings.Contains(fmt.Sprint(r.Findings), "ROLLBACK PREPARED 'left over'; in the database") {
		t.Errorf("%+v %v", r.Findings, err)
	}
}

type cleanup struct{ testing.TB }

func (cleanup) Context() context.Context { return context.Background() }

// Promise: what was idle for long enough ends, unless it did something since the
// plan; superusers and forgectl are spared, and a role without the right is told.
func TestTerminate(t *testing.T) {
	e := scratchtest.Database(t, "CREATE TABLE t (a int)")
	app := scratchtest.Role(t, e, "LOGIN")
	ops := scratchtest.Role(t, e, "LOGIN")
	scratchtest.Exec(t, e, "GRANT pg_monitor TO "+ops)
	as := func(role, application string) *postgres.Endpoint {
		server := scratchtest.Server(t)
		target, err := postgres.Resolve(t.Context(), postgres.Target{
			URL: fmt.Sprintf("host='%s' port=%d user='%s' application_name='%s'", server.SocketDir, server.Port, role, application), Database: e.Database(),
		})
		if err != nil {
			t.Fatal(err)
		}
		return target
	}
	idle, busy, own, super := scratchtest.Open(t, as(app, "web")), scratchtest.Open(t, as(app, "web")), scratchtest.Open(t, as(app, "forgectl")), scratchtest.Open(t, as("postgres", "psql"))
	for _, conn := range []interface {
		Ping(context.Context) error
	}{idle, busy, own, super} {
		if err := conn.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	l := look(t, as(ops, "forgectl"))
	s := l.session()
	r, err := s.Connections(t.Context(), insight.ConnectionLimits{Warning: 2, Critical: 2})
	if err != nil {
		t.Fatal(err)
	}
	plan, spared := r.Idle(l.now.Add(time.Hour), 30*time.Minute)
	if len(plan) != 2 || len(spared) < 2 || !strings.Contains(strings.Join(spared, "\n"), "superuser postgres") {
		t.Fatalf("%+v %q", plan, spared)
	}
	if early, _ := r.Idle(l.now, time.Hour); len(early) != 0 {
		t.Errorf("too early: %+v", early)
	}
	if _, err := s.Terminate(t.Context(), plan[0]); !errors.Is(err, insight.ErrMayNotEnd) {
		t.Errorf("without the right: %v", err)
	}
	scratchtest.Exec(t, e, "GRANT pg_signal_backend TO "+ops)
	if _, err := busy.Exec(t.Context(), "SELECT 1"); err != nil {
		t.Fatal(err)
	}
	wait(t, e, fmt.Sprintf("SELECT state = 'idle' FROM pg_stat_activity WHERE pid = %d", busy.PgConn().PID()))
	for _, c := range plan {
		ended, err := s.Terminate(t.Context(), c)
		if err != nil || ended != (c.PID == int32(idle.PgConn().PID())) {
			t.Errorf("%d: %v %v", c.PID, ended, err)
		}
	}
	if err := busy.Ping(t.Context()); err != nil {
		t.Errorf("it was busy: %v", err)
	}
}
