package maintain

import (
	"context"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
)

func TestMain(m *testing.M) { os.Exit(scratchtest.Run(m)) }

// application is a table that is half dead, one with TOAST, a partitioned one, a
// materialized view, and what is not to be touched.
const application = `
CREATE TABLE "Order" (id int PRIMARY KEY, note text);
INSERT INTO "Order" SELECT g, repeat('x', 100) FROM generate_series(1, 2000) g;
CREATE INDEX order_note ON "Order" (note);
DELETE FROM "Order" WHERE id % 2 = 0;
CREATE TABLE document (id int PRIMARY KEY, body text);
ALTER TABLE document ALTER body SET STORAGE EXTERNAL;
INSERT INTO document SELECT g, repeat('y', 5000) FROM generate_series(1, 20) g;
CREATE TABLE event (id int, day int) PARTITION BY RANGE (day);
CREATE TABLE event_1 PARTITION OF event FOR VALUES FROM (1) TO (2);
CREATE TABLE event_2 PARTITION OF event FOR VALUES FROM (2) TO (3);
CREATE INDEX event_id ON event (id);
INSERT INTO event SELECT g, 1 + g % 2 FROM generate_series(1, 200) g;
CREATE MATERIALIZED VIEW summary AS SELECT day, count(*) FROM event GROUP BY day;
CREATE UNLOGGED TABLE counter (n int);
CREATE TABLE empty ();
CREATE VIEW latest AS SELECT * FROM document`

// ours are the tables of application that have rows of their own.
var ours = []string{"public.Order", "public.counter", "public.document", "public.empty", "public.event_1", "public.event_2", "public.summary"}

func options(e *postgres.Endpoint) Options {
	return Options{Endpoint: e, Schemas: []string{"public"}, LockTimeout: 100 * time.Millisecond, TransactionWait: time.Minute}
}

// must runs and wants no error.
func must(t *testing.T, o Options) Result {
	t.Helper()
	r, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func planOf(t *testing.T, o Options) Plan {
	t.Helper()
	p, err := MakePlan(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func names(items []Item) (list []string) {
	for _, i := range items {
		list = append(list, i.Name())
	}
	slices.Sort(list)
	return list
}

// find is the result of a table, which must be there.
func find(t *testing.T, r Result, name string) TableResult {
	t.Helper()
	for _, table := range r.Tables {
		if table.Name() == name {
			return table
		}
	}
	t.Fatalf("nothing about %s in %+v", name, r.Tables)
	return TableResult{}
}

func wantOutcome(t *testing.T, r Result, name string, want Outcome) TableResult {
	t.Helper()
	got := find(t, r, name)
	if got.Outcome != want {
		t.Fatalf("%s: %s (%s), want %s", name, got.Outcome, got.Why, want)
	}
	return got
}

// holding begins a transaction that runs sql and stays open until release, or
// until the test ends.
func holding(t *testing.T, e *postgres.Endpoint, sql string) (release func()) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	conn := scratchtest.Open(t, e)
	for _, s := range []string{"BEGIN ISOLATION LEVEL REPEATABLE READ", sql} {
		if _, err := conn.Exec(ctx, s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
	return func() {
		if _, err := conn.Exec(ctx, "ROLLBACK"); err != nil {
			t.Error(err)
		}
	}
}

// await polls until sql selects true.
func await(t *testing.T, conn *pgx.Conn, sql string, args ...any) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		var yes bool
		if err := conn.QueryRow(t.Context(), sql, args...).Scan(&yes); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
		if yes {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s", sql)
		}
	}
}
