package pgdump

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
)

// subject is a database whose tables the actions below change.
const subject = `
	CREATE TABLE a (id int); INSERT INTO a SELECT generate_series(1, 3);
	CREATE TABLE journal (id int);
	CREATE TABLE m (id int); INSERT INTO m SELECT generate_series(1, 3);
	CREATE TABLE z (id int); INSERT INTO z SELECT generate_series(1, 3);`

// action is something that another session does to the table @. It writes
// into the journal in the same transaction, so whoever sees one of the two must
// see the other: a snapshot that was taken before a lock would not.
type action struct {
	name  string
	sql   string // @ is the table
	whole string // SQL that is true in a database that is of one moment; journaled() tells which
	waits bool   // for a lock on an existing table
}

const journaled = "EXISTS (SELECT FROM journal)"

var actions = []action{
	{"truncate", "TRUNCATE @", "(SELECT count(*) FROM @) = CASE WHEN " + journaled + " THEN 0 ELSE 3 END", true},
	{"rewrite", "ALTER TABLE @ ALTER id TYPE bigint", "(SELECT count(*) FROM @) = 3 AND " + journaled +
		" = (SELECT atttypid = 'bigint'::regtype FROM pg_attribute WHERE attrelid = '@'::regclass AND attname = 'id')", true},
	{"drop", "DROP TABLE @", "to_regclass('@') IS NULL = " + journaled, true},
	{"rename", "ALTER TABLE @ RENAME TO renamed", "to_regclass('@') IS NULL = " + journaled + " AND to_regclass('renamed') IS NOT NULL = " + journaled, true},
	{"replace", "ALTER TABLE @ RENAME TO renamed; CREATE TABLE @ (id int)",
		"to_regclass('renamed') IS NOT NULL = " + journaled + " AND (SELECT count(*) FROM @) = CASE WHEN " + journaled + " THEN 0 ELSE 3 END", true},
	{"create", "CREATE TABLE fresh AS SELECT generate_series(1, 7) AS id", "to_regclass('fresh') IS NOT NULL = " + journaled, false},
}

// other is a session of somebody else in which one transaction runs.
type other struct {
	conn *pgx.Conn
	done chan error
}

// interfere starts sql in another session and returns when it has been done or
// waits for a lock.
func interfere(t testing.TB, e *postgres.Endpoint, sql string) *other {
	t.Helper()
	o := &other{conn: scratchtest.Open(t, e), done: make(chan error, 1)}
	ended := make(chan struct{})
	go func() {
		_, err := o.conn.PgConn().Exec(context.Background(), sql).ReadAll()
		close(ended)
		o.done <- err
	}()
	watch := scratchtest.Open(t, e)
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		select {
		case <-ended:
			return o
		default:
		}
		var waits bool
		if err := watch.QueryRow(t.Context(), "SELECT EXISTS (SELECT FROM pg_locks WHERE pid = $1 AND NOT granted)", int32(o.conn.PgConn().PID())).Scan(&waits); err != nil {
			t.Fatal(err)
		}
		if waits {
			return o
		}
		if time.Now().After(end) {
			t.Fatalf("neither done nor waiting: %s", sql)
		}
	}
}

func (o *other) waits() bool { return len(o.done) == 0 }

// finish waits for the end of what was started.
func (o *other) finish(t testing.TB) {
	t.Helper()
	select {
	case err := <-o.done:
		if err != nil {
			t.Errorf("the other session: %v", err)
		}
	case <-time.After(patience):
		t.Error("the other session still waits")
	}
}

func (a action) transaction(table string) string {
	return "BEGIN; INSERT INTO journal VALUES (1); " + strings.ReplaceAll(a.sql, "@", table) + "; COMMIT"
}

// checkMoment loads what was dumped and asks whether it is of one moment and what was counted.
func checkMoment(t testing.TB, d dumped, a action, table string) {
	t.Helper()
	toc, err := Inspect(strings.NewReader(string(d.parts[Data])))
	if err != nil {
		t.Fatal(err)
	}
	if err := CheckEntries(toc, d.fingerprint); err != nil {
		t.Error(err)
	}
	loaded := tablesOnly(t)
	d.loadInto(t, loaded)
	if err := Compare(t.Context(), loaded, d.fingerprint, nil); err != nil {
		t.Error(err)
	}
	if sql := strings.ReplaceAll(a.whole, "@", table); scratchtest.Query(t, loaded, sql) != "true" {
		t.Errorf("two moments in one dump: not %s", sql)
	}
}

// Promise: whatever another session does to tables, at whichever point of the
// guard, what is dumped is of one moment and is what was counted; who would
// change it waits until the guard ends, or the run fails and names the table.
func TestInterference(t *testing.T) {
	t.Parallel()
	for _, step := range []string{"begin", "locked", "exported", "dumped", "compared"} {
		for _, a := range actions {
			t.Run(step+"/"+a.name, func(t *testing.T) {
				t.Parallel()
				e := tablesOnly(t, subject)
				var o *other
				at := func(name string) {
					if name == step && o == nil {
						o = interfere(t, e, a.transaction("z"))
					}
				}
				g, ctx := openGuard(t, e, GuardOptions{LockTimeout: 300 * time.Millisecond, Step: at})
				if waits := a.waits && step != "begin"; o != nil && o.waits() != waits {
					t.Fatalf("waits: %v", o.waits())
				}
				if o != nil && o.waits() {
					// Counting would wait behind who waits for us.
					var busy *BusyError
					if _, err := Measure(ctx, g, catalog.FingerprintCounts, nil); !errors.As(err, &busy) || !strings.Contains(err.Error(), `"public"."z"`) {
						t.Errorf("got %v", err)
					} else if len(busy.Holders) != 1 || !strings.Contains(busy.Holders[0], fmt.Sprint("pid ", o.conn.PgConn().PID())) {
						t.Errorf("holders %q", busy.Holders)
					}
					if !o.waits() {
						t.Error("it did not wait for the end of the guard")
					}
					g.Abort()
					o.finish(t)
					return
				}
				d, err := take(t, ctx, g, catalog.FingerprintFull)
				if err != nil {
					t.Fatal(err)
				}
				at("dumped")
				closed := make(chan error, 1)
				go func() { closed <- g.Close(context.Background()) }()
				select {
				case err := <-closed:
					if err != nil {
						t.Fatal(err)
					}
				case <-time.After(patience):
					t.Fatal("Close hangs behind a session that waits for it")
				}
				if o == nil {
					t.Fatalf("no step %q", step)
				}
				o.finish(t)
				checkMoment(t, d, a, "z")
			})
		}
	}
}

// Promise: the same between one lock and the next, for a table that is locked
// already and for one that is not yet.
func TestInterferenceBetweenLocks(t *testing.T) {
	t.Parallel()
	for _, table := range []string{"a", "z"} {
		for _, a := range actions {
			t.Run(table+"/"+a.name, func(t *testing.T) {
				t.Parallel()
				e := tablesOnly(t, subject)
				blocker := scratchtest.Open(t, e)
				mustExec(t, blocker, "BEGIN; LOCK TABLE m")
				var opened struct {
					g   *Guard
					ctx context.Context
					err error
				}
				done := make(chan struct{})
				go func() {
					defer close(done)
					opened.g, opened.ctx, opened.err = OpenGuard(context.Background(), e, GuardOptions{})
				}()
				await(t, e, "EXISTS (SELECT FROM pg_locks WHERE relation = 'm'::regclass AND NOT granted)")
				o := interfere(t, e, a.transaction(table))
				if waits := a.waits && table == "a"; o.waits() != waits {
					t.Errorf("waits: %v", o.waits())
				}
				mustExec(t, blocker, "COMMIT")
				<-done
				if opened.err != nil {
					t.Fatal(opened.err)
				}
				defer opened.g.Abort()
				opened.g.options.LockTimeout = 300 * time.Millisecond
				if o.waits() {
					if _, err := Measure(opened.ctx, opened.g, catalog.FingerprintCounts, nil); !errors.Is(err, ErrBusy) {
						t.Errorf("got %v", err)
					}
					opened.g.Abort()
					o.finish(t)
					return
				}
				o.finish(t)
				d, err := take(t, opened.ctx, opened.g, catalog.FingerprintFull)
				if err != nil {
					t.Fatal(err)
				}
				if err := opened.g.Close(t.Context()); err != nil {
					t.Fatal(err)
				}
				checkMoment(t, d, a, table)
			})
		}
	}
}

func mustExec(t testing.TB, conn *pgx.Conn, sql string) {
	t.Helper()
	if _, err := conn.PgConn().Exec(context.Background(), sql).ReadAll(); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}
