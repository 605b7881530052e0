package pgdump

import (
	"strings"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
)

// Promise: every table has statistics after Analyze, partitions and their parents too, whatever the number of sessions;
// a foreign server is never asked, and the partitions beside a foreign one have theirs.
func TestAnalyze(t *testing.T) {
	t.Parallel()
	for _, jobs := range []int{0, 1, 3} {
		e := scratchtest.Database(t, `
			CREATE EXTENSION postgres_fdw;
			CREATE SERVER gone FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '/nowhere');
			CREATE USER MAPPING FOR CURRENT_USER SERVER gone;
			CREATE TABLE "Plain" AS SELECT generate_series(1, 100) AS n;
			CREATE MATERIALIZED VIEW seen AS SELECT n FROM "Plain";
			CREATE TABLE parent (n int);
			CREATE TABLE child () INHERITS (parent);
			INSERT INTO child SELECT generate_series(1, 100);
			CREATE TABLE near (n int) PARTITION BY RANGE (n);
			CREATE TABLE near_1 PARTITION OF near FOR VALUES FROM (0) TO (50);
			CREATE TABLE near_2 PARTITION OF near FOR VALUES FROM (50) TO (500) PARTITION BY RANGE (n);
			CREATE TABLE near_2_1 PARTITION OF near_2 FOR VALUES FROM (50) TO (500);
			INSERT INTO near SELECT generate_series(1, 100);
			CREATE TABLE mixed (n int) PARTITION BY RANGE (n);
			CREATE TABLE mixed_here PARTITION OF mixed FOR VALUES FROM (0) TO (500);
			CREATE FOREIGN TABLE mixed_there PARTITION OF mixed FOR VALUES FROM (500) TO (1000) SERVER gone;
			INSERT INTO mixed SELECT generate_series(1, 100)`)
		if err := (Candidate{Admin: e, Name: e.Database()}).Analyze(t.Context(), jobs); err != nil {
			t.Fatalf("%d jobs: %v", jobs, err)
		}
		got := scratchtest.Query(t, e, `SELECT string_agg(tablename || CASE WHEN inherited THEN '+' ELSE '' END, ' ' ORDER BY tablename COLLATE "C", inherited)
			FROM pg_stats WHERE schemaname = 'public'`)
		if want := "Plain child mixed_here near+ near_1 near_2+ near_2_1 parent+ seen"; got != want {
			t.Errorf("%d jobs: statistics of %s\nnot of %s", jobs, strings.ReplaceAll(got, "\n", " "), want)
		}
	}
}
