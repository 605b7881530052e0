package pgdump

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
)

// Promise: pg_dump gives up behind a session that waits for the guard, and the
// error names the table; afterwards that session goes on.
func TestDumpBehindWaiter(t *testing.T) {
	t.Parallel()
	e := tablesOnly(t, subject)
	g, ctx := openGuard(t, e, GuardOptions{})
	o := interfere(t, e, "TRUNCATE z")
	_, err := dumper(t, e).Part(ctx, Data, g.Snapshot, nil)
	var busy *BusyError
	if !errors.As(err, &busy) || !strings.Contains(err.Error(), "z") || !errors.Is(err, ErrBusy) {
		t.Errorf("got %v", err)
	}
	if !o.waits() {
		t.Error("it did not wait")
	}
	g.Abort()
	o.finish(t)
}

// Promise: a table that somebody holds locked is named with who holds it: pid,
// role, program and statement. A lock on another database's table of the same
// number is not taken for it.
func TestBusy(t *testing.T) {
	t.Parallel()
	e := tablesOnly(t, subject, `CREATE TABLE "Held, by ""x""" (id int)`)
	holder := scratchtest.Open(t, e)
	role := scratchtest.Role(t, e, "LOGIN")
	mustExec(t, holder, `GRANT ALL ON "Held, by ""x""" TO `+role+"; SET application_name = 'migrate'; SET ROLE "+role)
	mustExec(t, holder, `BEGIN; LOCK TABLE "Held, by ""x""" IN ACCESS EXCLUSIVE MODE`)
	err := openError(t.Context(), e, GuardOptions{LockTimeout: 100 * time.Millisecond})
	var busy *BusyError
	if !errors.As(err, &busy) || !errors.Is(err, ErrBusy) {
		t.Fatalf("got %v", err)
	}
	if want := `"public"."Held, by ""x"""`; len(busy.Tables) != 1 || busy.Tables[0] != want {
		t.Errorf("tables %q, not %s", busy.Tables, want)
	}
	want := fmt.Sprintf("pid %d (postgres, migrate): BEGIN; LOCK TABLE", holder.PgConn().PID())
	if len(busy.Holders) != 1 || !strings.HasPrefix(busy.Holders[0], want) || !strings.Contains(err.Error(), want) {
		t.Errorf("holders %q, not %s", busy.Holders, want)
	}
}

// Promise: a prepared transaction that holds a table is named too; it has no pid.
func TestBusyPrepared(t *testing.T) {
	t.Parallel()
	e := tablesOnly(t, subject)
	holder := scratchtest.Open(t, e)
	name := scratchtest.Name("prepared")
	mustExec(t, holder, "BEGIN; LOCK TABLE m; PREPARE TRANSACTION '"+name+"'")
	defer mustExec(t, holder, "ROLLBACK PREPARED '"+name+"'")
	err := openError(t.Context(), e, GuardOptions{LockTimeout: 100 * time.Millisecond})
	if !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), "prepared transaction") {
		t.Errorf("got %v", err)
	}
}

// Promise: a guard that the server ends because it and another session wait for
// each other reports a busy table, so that the run can start over.
func TestDeadlock(t *testing.T) {
	t.Parallel()
	e := tablesOnly(t, subject)
	patient, err := postgres.Resolve(t.Context(), postgres.Target{URL: e.Conninfo() + " options='-c deadlock_timeout=3s'"})
	if err != nil {
		t.Fatal(err)
	}
	holder := scratchtest.Open(t, e)
	mustExec(t, holder, "SET deadlock_timeout = '1h'; BEGIN; LOCK TABLE z")
	failed := make(chan error, 1)
	go func() {
		err := openError(context.Background(), patient, GuardOptions{})
		failed <- err
	}()
	await(t, e, "EXISTS (SELECT FROM pg_locks WHERE relation = 'z'::regclass AND NOT granted)")
	mustExec(t, holder, "LOCK TABLE a; COMMIT") // waits for the guard, which waits for it
	if err := <-failed; !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), `"public"."z"`) {
		t.Errorf("got %v", err)
	}
}

// Promise: timeouts that a role carries do not end an idle guard, nor the
// statements of its sessions. Sessions of the same role without the guard's
// settings show that each timeout has struck meanwhile.
func TestRoleTimeouts(t *testing.T) {
	t.Parallel()
	e := tablesOnly(t, subject)
	role := scratchtest.Role(t, e, "LOGIN")
	for _, name := range []string{"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "idle_session_timeout"} {
		scratchtest.Exec(t, e, "ALTER ROLE "+role+" SET "+name+" = '500ms'")
	}
	scratchtest.Exec(t, e, "GRANT pg_read_all_data TO "+role)
	as := scratchtest.Connect(t, scratchtest.Server(t), e.Database(), role)
	g, ctx := openGuard(t, as, GuardOptions{Ping: time.Hour}) // not kept awake
	session, err := g.Session(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close(context.Background())

	inTransaction, idle, busy := scratchtest.Open(t, as), scratchtest.Open(t, as), scratchtest.Open(t, as)
	mustExec(t, inTransaction, "BEGIN")
	if _, err := busy.Exec(t.Context(), "SELECT pg_sleep(60)"); errorCode(err) != "57014" {
		t.Fatalf("no statement_timeout: %v", err)
	}
	for _, conn := range []*pgx.Conn{inTransaction, idle} {
		await(t, e, fmt.Sprintf("NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = %d)", conn.PgConn().PID()))
	}
	if _, err := session.Exec(ctx, "SELECT pg_sleep(0.7)"); err != nil {
		t.Errorf("a session of the guard: %v", err)
	}
	if err := g.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// Promise: when the guard's session dies, the context of the run ends with
// ErrGuardLost, and Close fails.
func TestGuardLost(t *testing.T) {
	t.Parallel()
	e := tablesOnly(t, subject)
	g, ctx := openGuard(t, e, GuardOptions{Ping: 20 * time.Millisecond})
	scratchtest.Exec(t, e, fmt.Sprintf("SELECT pg_terminate_backend(%d)", g.conn.PgConn().PID()))
	select {
	case <-ctx.Done():
	case <-time.After(patience):
		t.Fatal("nobody noticed")
	}
	if cause := context.Cause(ctx); !errors.Is(cause, ErrGuardLost) {
		t.Errorf("cause %v", cause)
	}
	if _, err := dumper(t, e).Part(ctx, Data, g.Snapshot, nil); !errors.Is(err, ErrGuardLost) {
		t.Errorf("a dump under that context: %v", err)
	}
	if err := g.Close(t.Context()); !errors.Is(err, ErrGuardLost) {
		t.Errorf("close: %v", err)
	}
}

// Promise: a session that dies at the very end, when it is no longer asked, fails Close as well.
func TestGuardLostAtClose(t *testing.T) {
	t.Parallel()
	e := tablesOnly(t, subject)
	var g *Guard
	g, _ = openGuard(t, e, GuardOptions{Ping: time.Hour, Step: func(name string) {
		if name == "compared" {
			scratchtest.Exec(t, e, fmt.Sprintf("SELECT pg_terminate_backend(%d, 10000)", g.conn.PgConn().PID()))
		}
	}})
	if err := g.Close(t.Context()); !errors.Is(err, ErrGuardLost) {
		t.Errorf("got %v", err)
	}
}

// Promise: Close names a table that is not what it was. Only a schema can be
// renamed under the locks; for the rest the locks are taken away here.
func TestChanged(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, sql, says string
		unlock          bool
	}{
		{"schemas swapped", "ALTER SCHEMA one RENAME TO three; ALTER SCHEMA two RENAME TO one; ALTER SCHEMA three RENAME TO two", `"one"."t": it is "two"."t" now`, false},
		{"truncated", "TRUNCATE one.t", `"one"."t": it was rewritten`, true},
		{"dropped", "DROP TABLE one.t", `"one"."t": it is gone`, true},
		{"column added", "ALTER TABLE one.t ADD c int", `"one"."t": its columns are others`, true},
		{"column renamed", "ALTER TABLE one.t RENAME id TO key", `"one"."t": its columns are others`, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := scratchtest.Database(t, "CREATE SCHEMA one CREATE TABLE t (id int); CREATE SCHEMA two CREATE TABLE t (id int)")
			g, _ := openGuard(t, e, GuardOptions{Ping: time.Hour})
			if c.unlock {
				mustExec(t, g.conn, "ROLLBACK")
			}
			scratchtest.Exec(t, e, c.sql)
			if err := g.Close(t.Context()); !errors.Is(err, ErrChanged) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// Promise: a guard lists tables with their sizes, and locks exactly what pg_dump dumps.
func TestRelations(t *testing.T) {
	t.Parallel()
	e := scratchtest.Database(t, scratchtest.Middling, "CREATE UNLOGGED TABLE unlogged (id int)")
	g, _ := openGuard(t, e, GuardOptions{})
	var parents int
	for _, r := range g.Relations {
		if r.Partitioned {
			parents++
		}
		if r.Name == "forge_template" && r.Bytes < 100_000 {
			t.Errorf("forge_template has %d bytes", r.Bytes)
		}
		if r.HasData(true) != (!r.Partitioned && !r.Unlogged) || r.HasData(false) != !r.Partitioned {
			t.Errorf("%s has data: %v, on a standby %v", r.Name, r.HasData(false), r.HasData(true))
		}
	}
	if len(g.Relations) != 11 || parents != 1 {
		t.Errorf("%d tables, %d parents", len(g.Relations), parents)
	}
	if held := scratchtest.Query(t, e, fmt.Sprintf("SELECT count(*) FROM pg_locks WHERE pid = %d AND mode = 'AccessShareLock' AND relation IN (SELECT oid FROM pg_class WHERE relkind IN ('r', 'p') AND oid >= 16384)", g.conn.PgConn().PID())); held != "11" {
		t.Errorf("%s locks", held)
	}
	// Abort may follow Close.
	if err := g.Close(t.Context()); err != nil {
		t.Error(err)
	}
	g.Abort()
}

// Promise: endless new tables end the attempt, as busy.
func TestNeverSettles(t *testing.T) {
	t.Parallel()
	e := tablesOnly(t, subject)
	made := 0
	err := openError(t.Context(), e, GuardOptions{Step: func(name string) {
		if name == "locked" {
			made++
			scratchtest.Exec(t, e, fmt.Sprintf("CREATE TABLE fresh_%d ()", made))
		}
	}})
	if !errors.Is(err, ErrBusy) || made != maxRounds {
		t.Errorf("after %d tables: %v", made, err)
	}
}
