package insight_test

import (
	"strings"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/postgres/insight"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
)

// Promise: a large table that is often read whole is a finding: with an index on
// the column that the costliest statements search it by, else with the statement
// that shows them. Both can be run as they stand, and the index taken back.
func TestScanned(t *testing.T) {
	admin := scratchtest.Connect(t, scratchtest.Major(t, 15), "postgres", "postgres")
	name := scratchtest.Name("scanned")
	scratchtest.Exec(t, admin, "CREATE DATABASE "+name)
	t.Cleanup(func() { drop(admin, name) })
	e := admin.WithDatabase(name)
	const often = "DO $$ BEGIN FOR i IN 1..120 LOOP "
	scratchtest.Exec(t, e, `CREATE TABLE "Visit" (id int, "Page" int, kind int, note text); INSERT INTO "Visit" SELECT i, i, i % 5, 'n' FROM generate_series(1, 12000) i`,
		"CREATE TABLE ride AS TABLE \"Visit\"", "ANALYZE")
	scratchtest.Exec(t, e, often+`PERFORM count(*) FROM "Visit" WHERE kind = 1; PERFORM count(*) FROM ride; END LOOP; END $$`)
	wait(t, e, "SELECT count(*) = 2 FROM pg_stat_user_tables WHERE seq_scan >= 100")
	l := look(t, e)
	scans := func() map[string]insight.IndexFinding {
		found := map[string]insight.IndexFinding{}
		r, err := l.session().Indexes(t.Context(), limits)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range r.Findings {
			if f.Kind == insight.Scanned {
				found[f.Table] = f
			}
		}
		return found
	}
	if f := scans()["public.ride"]; f.SQL != "" || !strings.Contains(f.Why, "read whole 1") || !strings.Contains(f.Why, "with the extension pg_stat_statements") {
		t.Errorf("without statements: %+v", f)
	}
	scratchtest.Exec(t, e, "CREATE EXTENSION pg_stat_statements", "SELECT pg_stat_statements_reset()",
		`SELECT "Visit"."id", "Visit"."note" FROM "Visit" WHERE ("Visit"."Page" = 7 AND "Visit"."kind" = 3)`, `SELECT count(*) FROM ride r JOIN "Visit" v ON v.id = r.id WHERE r.kind = 4`)
	found := scans()
	visit, ride := found[`public."Visit"`], found["public.ride"]
	if visit.SQL != `CREATE INDEX CONCURRENTLY "Visit_Page_idx" ON public."Visit" ("Page");` || visit.Back != `DROP INDEX CONCURRENTLY public."Visit_Page_idx";` {
		t.Errorf("%+v", visit)
	}
	if ride.Index != "" || !strings.HasPrefix(ride.SQL, "SELECT calls, rows, query FROM public.pg_stat_statements WHERE strpos(query, 'ride')") {
		t.Errorf("%+v", ride)
	}
	scratchtest.Exec(t, e, ride.SQL, visit.SQL)
	if again := scans()[`public."Visit"`]; strings.Contains(again.SQL, "CREATE INDEX") {
		t.Errorf("with the index: %+v", again)
	}
	scratchtest.Exec(t, e, visit.Back)
}
