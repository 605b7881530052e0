package bloat_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/bloat"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
)

func TestMain(m *testing.M) { os.Exit(scratchtest.Run(m)) }

func tables(t *testing.T, e *postgres.Endpoint, f bloat.Filter) map[string]bloat.Table {
	t.Helper()
	list, err := bloat.Tables(t.Context(), scratchtest.Open(t, e), f)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bloat.Table{}
	for _, x := range list {
		found[x.Name] = x
	}
	return found
}

func indexes(t *testing.T, e *postgres.Endpoint, f bloat.Filter) map[string]bloat.Index {
	t.Helper()
	list, err := bloat.Indexes(t.Context(), scratchtest.Open(t, e), f)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bloat.Index{}
	for _, x := range list {
		found[x.Name] = x
	}
	return found
}

// close checks a figure against what a rewrite gave back: within a tenth of the
// size before.
func near(t *testing.T, what string, s bloat.Space, gained int64) {
	t.Helper()
	if diff := s.Dead - gained; diff > s.Bytes/10 || diff < -s.Bytes/10 {
		t.Errorf("%s: %d dead of %d by %s, but %d were gained", what, s.Dead, s.Bytes, s.How, gained)
	}
}

// worn is tables and indexes of which most is dead, and some of which nothing is.
const worn = `
CREATE TABLE plain (id bigint PRIMARY KEY, name text, note text, made timestamptz DEFAULT now(), flag boolean);
CREATE INDEX plain_name ON plain (name);
CREATE INDEX plain_note_name ON plain (note, name);
CREATE INDEX plain_lower ON plain (lower(name));
CREATE INDEX plain_flag ON plain (flag);
CREATE INDEX plain_hash ON plain USING hash (name);
CREATE INDEX plain_name80 ON plain (name) WITH (fillfactor = 70);
ALTER TABLE plain SET (autovacuum_enabled = false);
INSERT INTO plain SELECT i, 'name of ' || i, CASE WHEN i % 3 > 0 THEN 'note ' || i % 50 END, now(), i % 2 = 0 FROM generate_series(1, 60000) i;
DELETE FROM plain WHERE id % 5 > 0;
CREATE TABLE fresh (id bigint PRIMARY KEY, name text, amount numeric);
INSERT INTO fresh SELECT i, 'name of ' || i, i / 7.0 FROM generate_series(1, 30000) i;
CREATE INDEX fresh_name ON fresh (name);
CREATE INDEX fresh_amount ON fresh (amount);
CREATE TABLE large (id bigint PRIMARY KEY, body text);
ALTER TABLE large ALTER body SET STORAGE EXTERNAL;
ALTER TABLE large SET (autovacuum_enabled = false);
INSERT INTO large SELECT i, repeat('x', 20000) FROM generate_series(1, 400) i;
DELETE FROM large WHERE id > 100;
CREATE TABLE words (id bigint PRIMARY KEY, tags int[]);
ALTER TABLE words SET (autovacuum_enabled = false);
CREATE INDEX words_tags ON words USING gin (tags) WITH (fastupdate = off);
INSERT INTO words SELECT i, ARRAY[i % 3, 3 + i % 2] FROM generate_series(1, 90000) i;
DELETE FROM words WHERE id > 6000;
CREATE TABLE pieces (id bigint, at date) PARTITION BY RANGE (at);
CREATE TABLE pieces_2026 PARTITION OF pieces FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE INDEX pieces_id ON pieces (id);
INSERT INTO pieces SELECT i, '2026-05-05' FROM generate_series(1, 1000) i;
CREATE TABLE nothing (id bigint PRIMARY KEY);
CREATE MATERIALIZED VIEW summary AS SELECT name FROM fresh;
`

// Promise: what an estimate says is what VACUUM FULL and REINDEX then give back,
// within a tenth, for tables, TOAST and btrees with long, equal, missing and
// computed keys; what nothing is known of is said; the exact way comes to the
// same, and says how it was found.
func TestFiguresAgainstRewrites(t *testing.T) {
	// The counters of a session reach the others when it likes, and would be added to what VACUUM has counted. A page
	// of GIN that a VACUUM has emptied is free for the next one.
	e := scratchtest.Database(t, worn, "SELECT pg_stat_force_next_flush()", "VACUUM ANALYZE", "VACUUM words", "CREATE SCHEMA odd CREATE TABLE odd.t (id int)", `CREATE SCHEMA "Ext ra"`,
		`CREATE EXTENSION pgstattuple SCHEMA "Ext ra"`)
	guessed, exact := tables(t, e, bloat.Filter{}), tables(t, e, bloat.Filter{Exact: true})
	guessedIndexes, exactIndexes := indexes(t, e, bloat.Filter{}), indexes(t, e, bloat.Filter{Exact: true})
	if x := guessedIndexes["words_tags"].Space; x.How != bloat.Unknown || !strings.Contains(x.Why, "pg_freespacemap") {
		t.Errorf("GIN without a free space map: %+v", x)
	}
	scratchtest.Exec(t, e, `CREATE EXTENSION pg_freespacemap SCHEMA "Ext ra"`)
	gin := indexes(t, e, bloat.Filter{})["words_tags"].Space
	if gin.How != bloat.FreeMap || gin.Dead == 0 {
		t.Errorf("GIN: %+v", gin)
	}
	if x := guessedIndexes["plain_hash"].Space; x.How != bloat.Unknown || x.Why != "no estimate for hash indexes" || x.Bytes == 0 {
		t.Errorf("hash: %+v", x)
	}
	if _, found := guessed["pieces"]; found {
		t.Error("a partitioned table has no space")
	}
	if x := guessed["nothing"].Heap; x.Bytes != 0 || x.Dead != 0 {
		t.Errorf("empty: %+v", x)
	}

	for name := range guessedIndexes {
		scratchtest.Exec(t, e, "REINDEX INDEX "+name)
	}
	reindexed := indexes(t, e, bloat.Filter{})
	for name, x := range guessedIndexes {
		gained := x.Space.Bytes - reindexed[name].Space.Bytes
		if x.Method == "btree" {
			near(t, name, x.Space, gained)
			near(t, name, exactIndexes[name].Space, gained)
			if how := exactIndexes[name].Space.How; how != bloat.Exact && x.Space.Bytes > 0 {
				t.Errorf("%s: %s", name, how)
			}
		}
	}
	if gained := guessedIndexes["words_tags"].Space.Bytes - reindexed["words_tags"].Space.Bytes; gin.Dead > gained || gin.Dead < gained/4 {
		t.Errorf("GIN: at least %d dead of %d, but %d were gained", gin.Dead, gin.Bytes, gained)
	}

	for _, name := range []string{"plain", "fresh", "large", "words", "pieces_2026"} {
		scratchtest.Exec(t, e, "VACUUM FULL "+name)
	}
	rewritten := tables(t, e, bloat.Filter{})
	for _, name := range []string{"plain", "fresh", "large", "words", "pieces_2026"} {
		near(t, name, guessed[name].Heap, guessed[name].Heap.Bytes-rewritten[name].Heap.Bytes)
		near(t, name, exact[name].Heap, guessed[name].Heap.Bytes-rewritten[name].Heap.Bytes)
		near(t, name+" toast", guessed[name].Toast, guessed[name].Toast.Bytes-rewritten[name].Toast.Bytes)
		near(t, name+" toast", exact[name].Toast, guessed[name].Toast.Bytes-rewritten[name].Toast.Bytes)
		if exact[name].Heap.How != bloat.Exact || guessed[name].Heap.How != bloat.Estimate {
			t.Errorf("%s: %s, %s", name, exact[name].Heap.How, guessed[name].Heap.How)
		}
	}
	if guessed["plain"].Heap.Ratio() < 0.7 || guessed["fresh"].Heap.Ratio() > 0.05 {
		t.Errorf("plain %.2f, fresh %.2f", guessed["plain"].Heap.Ratio(), guessed["fresh"].Heap.Ratio())
	}

	one := tables(t, e, bloat.Filter{Tables: []uint32{guessed["fresh"].OID}})
	if len(one) != 1 || one["fresh"].OID == 0 {
		t.Errorf("a filter for one table: %v", one)
	}
	if few := tables(t, e, bloat.Filter{Tables: []uint32{}}); len(few) != 0 {
		t.Errorf("a filter for none: %v", few)
	}
	if x := tables(t, e, bloat.Filter{Exact: true, Most: 1}); x["fresh"].Heap.How != bloat.Estimate {
		t.Errorf("larger than what may be read: %+v", x["fresh"])
	}
}

// Promise: what the server does not show is unknown, with what mends it, and
// never 0; a role that may not read pages gets the estimate, and is told.
func TestRights(t *testing.T) {
	e := scratchtest.Database(t, "CREATE TABLE secret (id int PRIMARY KEY, v text); INSERT INTO secret SELECT i, i FROM generate_series(1, 5000) i",
		"CREATE TABLE fresh (id int PRIMARY KEY); INSERT INTO fresh SELECT generate_series(1, 5000)", "ANALYZE secret", "CREATE EXTENSION pgstattuple")
	role := scratchtest.Role(t, e, "LOGIN")
	as := scratchtest.Connect(t, scratchtest.Server(t), e.Database(), role)
	if x := tables(t, as, bloat.Filter{})["secret"].Heap; x.How != bloat.Unknown || !strings.Contains(x.Why, "GRANT pg_read_all_data") || x.Bytes == 0 {
		t.Errorf("table of others: %+v", x)
	}
	if x := indexes(t, as, bloat.Filter{})["secret_pkey"].Space; x.How != bloat.Unknown || !strings.Contains(x.Why, "GRANT pg_read_all_data") {
		t.Errorf("index of others: %+v", x)
	}
	if x := tables(t, e, bloat.Filter{})["fresh"].Heap; x.How != bloat.Unknown || !strings.Contains(x.Why, "ANALYZE") {
		t.Errorf("never analyzed: %+v", x)
	}
	if x := indexes(t, e, bloat.Filter{})["fresh_pkey"].Space; x.How != bloat.Unknown || !strings.Contains(x.Why, "ANALYZE") {
		t.Errorf("index of one that was never analyzed: %+v", x)
	}
	scratchtest.Exec(t, e, "GRANT SELECT ON secret TO "+role)
	if x := tables(t, as, bloat.Filter{Exact: true})["secret"].Heap; x.How != bloat.Estimate || !strings.Contains(x.Why, "pg_stat_scan_tables") {
		t.Errorf("pages are refused: %+v", x)
	}
	scratchtest.Exec(t, e, "GRANT pg_monitor TO "+role)
	if x := tables(t, as, bloat.Filter{Exact: true})["secret"].Heap; x.How != bloat.Exact {
		t.Errorf("pages are read: %+v", x)
	}
}

// Promise: no lock of another session is waited for, whichever it is.
func TestLocks(t *testing.T) {
	e := scratchtest.Database(t, "CREATE TABLE busy (id int PRIMARY KEY, v text); INSERT INTO busy SELECT i, i FROM generate_series(1, 5000) i", "VACUUM ANALYZE busy")
	for _, mode := range []string{"ROW EXCLUSIVE", "SHARE UPDATE EXCLUSIVE", "SHARE", "EXCLUSIVE", "ACCESS EXCLUSIVE"} {
		holder := scratchtest.Open(t, e)
		if _, err := holder.Exec(t.Context(), "BEGIN; LOCK TABLE busy IN "+mode+" MODE"); err != nil {
			t.Fatal(err)
		}
		if mode == "ACCESS EXCLUSIVE" {
			if _, err := holder.Exec(t.Context(), "REINDEX TABLE busy"); err != nil {
				t.Fatal(err)
			}
		}
		conn := scratchtest.Open(t, e)
		if _, err := conn.Exec(t.Context(), "SET lock_timeout = '1ms'"); err != nil {
			t.Fatal(err)
		}
		list, err := bloat.Tables(t.Context(), conn, bloat.Filter{})
		if err != nil || len(list) != 1 || list[0].Heap.Bytes == 0 {
			t.Errorf("%s: %v %v", mode, list, err)
		}
		of, err := bloat.Indexes(t.Context(), conn, bloat.Filter{})
		if err != nil || len(of) != 1 || of[0].Space.Bytes == 0 {
			t.Errorf("%s: %v %v", mode, of, err)
		}
		if _, err := holder.Exec(t.Context(), "ROLLBACK"); err != nil {
			t.Fatal(err)
		}
	}
	if got := fmt.Sprint(bloat.Space{}.Ratio()); got != "0" {
		t.Error(got)
	}
}
