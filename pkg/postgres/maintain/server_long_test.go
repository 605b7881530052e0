//go:build long

package maintain

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/bmad-forge/forgectl/pkg/postgres/scratch"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
)

// Promise: 5,000 tables are planned in one go. How long that takes is logged and
// not asserted: it should be below two seconds on an idle machine.
func TestManyTables(t *testing.T) {
	e := scratchtest.Database(t)
	for range 10 {
		scratchtest.Exec(t, e, `DO $$ DECLARE n int := (SELECT count(*) FROM pg_tables WHERE schemaname = 'public');
			BEGIN FOR i IN n + 1..n + 500 LOOP EXECUTE format('CREATE TABLE t%s (id int PRIMARY KEY, note text)', i); END LOOP; END $$`)
	}
	for _, action := range []Action{Vacuum, Reindex, Full} {
		start := time.Now()
		p := planOf(t, Options{Endpoint: e, Action: action, Schemas: []string{"public"}})
		t.Logf("%s: %d tables planned in %s", action, len(p.Items), time.Since(start))
		if len(p.Items) != 5000 {
			t.Errorf("%s: %d tables", action, len(p.Items))
		}
	}
}

// Promise: close to the age at which the server would force an autovacuum, a
// freezing run takes every table, and the database, far away from it.
func TestCloseToWraparound(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	cluster, err := scratch.Start(t.Context(), scratch.Options{Dir: dir, Runner: scratchtest.Runner(), Settings: map[string]string{
		"autovacuum_freeze_max_age": "100000", "vacuum_freeze_min_age": "1000", "vacuum_freeze_table_age": "5000",
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	e := scratchtest.Connect(t, cluster, "postgres", scratch.Superuser)
	scratchtest.Exec(t, e, application, `CREATE PROCEDURE age(n int) LANGUAGE plpgsql AS $$
		BEGIN FOR i IN 1..n LOOP PERFORM txid_current(); COMMIT; END LOOP; END $$`, `CALL age(90000)`)
	r := must(t, Options{Endpoint: e, Freeze: true, Need: Need{XIDAge: 50000}, Jobs: 2})
	if r.Plan.Ages.Max != 100000 || r.Plan.Ages.XID < 90000 || r.Ages.XID > 5000 {
		t.Errorf("%+v, was %+v", r.Ages, r.Plan.Ages)
	}
	for _, table := range r.Tables {
		if table.Outcome != Done || table.After.XIDAge > 5000 {
			t.Errorf("%s: %s %s", table.Name(), table.Outcome, table.Why)
		}
	}
	if w := r.Warnings(); len(w) > 0 {
		t.Errorf("%q", w)
	}
}
