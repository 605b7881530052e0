package maintain

import (
	"testing"

	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
)

// Promise: the gain that the plan names is about what then happens, for a bloated
// btree, a table that is mostly TOAST, and for a GIN index as far as its free
// pages tell, which is named as a part.
func TestGain(t *testing.T) {
	e := scratchtest.Database(t, `CREATE EXTENSION pg_freespacemap`,
		`CREATE TABLE tree (id int)`, `CREATE INDEX ON tree (id)`, `INSERT INTO tree SELECT generate_series(1, 50000)`, `DELETE FROM tree WHERE id % 10 <> 0`,
		`CREATE TABLE papers (id int PRIMARY KEY, body text)`, `ALTER TABLE papers ALTER body SET STORAGE EXTERNAL`,
		`INSERT INTO papers SELECT g, repeat('x', 8000) FROM generate_series(1, 500) g`, `DELETE FROM papers WHERE id % 5 <> 0`,
		`CREATE TABLE words (id int, list int[])`, `CREATE INDEX ON words USING gin (list)`,
		`INSERT INTO words SELECT g, ARRAY[g, g % 100] FROM generate_series(1, 20000) g`, `DELETE FROM words WHERE id % 10 <> 0`,
		`VACUUM ANALYZE`)
	for _, c := range []struct {
		table  string
		action Action
	}{{"tree", Reindex}, {"papers", Full}, {"words", Reindex}} {
		o := Options{Endpoint: e, Action: c.action, Tables: []string{c.table}, Force: true}
		got := wantOutcome(t, must(t, o), "public."+c.table, Done)
		gained := got.Reclaimed()
		if c.table == "words" {
			if got.Gain.Known || got.Gain.Why == "" || got.Gain.Bytes > gained {
				t.Errorf("%s: at least %d bytes (known: %t, %q), gained %d", c.table, got.Gain.Bytes, got.Gain.Known, got.Gain.Why, gained)
			}
			continue
		}
		if !got.Gain.Known || gained <= 0 || got.Gain.Bytes < gained/2 || got.Gain.Bytes > gained*3/2 {
			t.Errorf("%s: estimated %d (known: %t), gained %d", c.table, got.Gain.Bytes, got.Gain.Known, gained)
		}
	}
}
