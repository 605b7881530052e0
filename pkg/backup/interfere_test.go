package backup_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bmad-forge/forgectl/pkg/backup"
	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/pgdump"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
)

// patience bounds everything that must not wait for ever.
const patience = time.Minute

// steps are the named points of a backup, in their order.
var steps = []string{"begin", "locked", "exported", "before close", "compared", "dumped", "read back", "published"}

// at returns a Step that calls do at the first of the named ones, and a check
// that this has happened.
func at(t testing.TB, name string, do func()) (step func(string), happened func()) {
	var once sync.Once
	done := false
	return func(s string) {
			if s == name {
				once.Do(func() { done = true; do() })
			}
		}, func() {
			t.Helper()
			if !done {
				t.Errorf("there was no step %q", name)
			}
		}
}

// statement is one that runs in a session of its own.
type statement struct {
	sql  string
	pid  uint32
	done chan struct{}
	err  error
}

// begin runs sql in a new session and returns when it has ended or waits for a lock.
func begin(t testing.TB, e *postgres.Endpoint, sql string) *statement {
	t.Helper()
	conn, err := e.Connect(t.Context())
	must(t, err)
	s := &statement{sql: sql, pid: conn.PgConn().PID(), done: make(chan struct{})}
	go func() {
		defer close(s.done)
		defer conn.Close(context.Background())
		_, s.err = conn.Exec(context.Background(), sql)
	}()
	watch := scratchtest.Open(t, e)
	for deadline := time.Now().Add(patience); ; {
		select {
		case <-s.done:
			return s
		default:
		}
		if waits(t, watch, s.pid) {
			return s
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s neither ends nor waits", sql)
		}
	}
}

func waits(t testing.TB, conn *pgx.Conn, pid uint32) bool {
	t.Helper()
	var waiting bool
	must(t, conn.QueryRow(t.Context(), "SELECT EXISTS (SELECT FROM pg_locks WHERE pid = $1 AND NOT granted)", pid).Scan(&waiting))
	return waiting
}

const small = `
	CREATE TABLE a_emptied AS SELECT i, 'row ' || i AS note FROM generate_series(1, 1000) i;
	CREATE TABLE b_rewritten AS SELECT i, 'row ' || i AS note FROM generate_series(1, 1000) i;
	CREATE TABLE c_dropped AS SELECT i FROM generate_series(1, 1000) i;
	CREATE TABLE d_renamed AS SELECT i FROM generate_series(1, 1000) i;
	CREATE TABLE e_parent (i int, at date) PARTITION BY RANGE (at);
	CREATE TABLE e_part PARTITION OF e_parent FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
	INSERT INTO e_parent SELECT i, '2026-02-02' FROM generate_series(1, 1000) i;
	CREATE TABLE django_migrations AS SELECT 1 AS id, 'forge' AS app, '0001_initial' AS name`

var changes = []string{
	"TRUNCATE a_emptied",
	"ALTER TABLE b_rewritten ALTER COLUMN i TYPE bigint, ADD COLUMN more text DEFAULT md5(random()::text)",
	"CREATE TABLE a_new AS SELECT i FROM generate_series(1, 500) i",
	"DROP TABLE c_dropped",
	"ALTER TABLE d_renamed RENAME TO a_renamed",
	"ALTER TABLE e_parent DETACH PARTITION e_part",
	"CREATE SEQUENCE s_new",
	"DELETE FROM django_migrations",
}

// Promise: whatever other sessions do to tables, and whenever, a set that is
// published holds one database at one moment, and nobody waits for ever: not
// the backup, not the other sessions.
func TestChangesMeanwhile(t *testing.T) {
	t.Parallel()
	for _, name := range steps[:len(steps)-2] {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := scratchtest.Database(t, small)
			c, _ := repository(t)
			var others []*statement
			step, happened := at(t, name, func() {
				for _, sql := range changes {
					others = append(others, begin(t, e, sql))
				}
			})
			o := options(e, c)
			o.Step, o.Fingerprint = step, catalog.FingerprintFull
			ctx, cancel := context.WithTimeoutCause(t.Context(), patience, errors.New("the backup waits for ever"))
			defer cancel()
			r, err := backup.Database(ctx, o)
			happened()
			for _, s := range others {
				select {
				case <-s.done:
					if s.err != nil {
						t.Errorf("%s: %v", s.sql, s.err)
					}
				case <-time.After(patience):
					t.Errorf("%s still waits", s.sql)
				}
			}
			must(t, err) // after another start, if need be: nobody stands in the way for long
			// Either all of a change or nothing of it.
			rows := map[string]int64{}
			for _, table := range r.Set.Manifest.Fingerprint.Tables {
				rows[table.Name] = table.Rows
			}
			if n := rows["a_emptied"]; n != 0 && n != 1000 || rows["b_rewritten"] != 1000 || rows["e_part"] != 1000 {
				t.Errorf("rows %v", rows)
			}
			drill(t, c, r.Set, nil)
		})
	}
}

// Promise: a table that stays locked is named, with who holds it, when the
// patience is at its end, and nothing is left.
func TestLockedTable(t *testing.T) {
	t.Parallel()
	e := scratchtest.Database(t, small)
	c, dir := repository(t)
	conn := scratchtest.Open(t, e)
	_, err := conn.Exec(t.Context(), "BEGIN; LOCK TABLE c_dropped IN ACCESS EXCLUSIVE MODE")
	must(t, err)
	o := options(e, c)
	o.LockTimeout = 50 * time.Millisecond
	ctx, cancel := context.WithTimeoutCause(t.Context(), patience, errors.New("the backup waits for ever"))
	defer cancel()
	_, err = backup.Database(ctx, o)
	var busy *pgdump.BusyError
	if !errors.As(err, &busy) || !strings.Contains(err.Error(), `"c_dropped"`) || !strings.Contains(err.Error(), fmt.Sprintf("pid %d", conn.PgConn().PID())) {
		t.Errorf("got %v", err)
	}
	if left := files(t, dir); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}
