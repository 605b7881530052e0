package maintain

import (
	"strconv"
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
		`INSERT INTO words SELECT g, ARRAY[g % 3] FROM generate_series(1, 60000) g`, `DELETE FROM words WHERE id > 4000`,
		`VACUUM ANALYZE`, `VACUUM words`) // a page of GIN that a VACUUM has emptied is free for the next one
	for _, c := range []struct {
		table  string
		action Action
	}{{"tree", Reindex}, {"papers", Full}, {"words", Reindex}} {
		o := Options{Endpoint: e, Action: c.action, Tables: []string{c.table}, Force: true}
		got := wantOutcome(t, must(t, o), "public."+c.table, Done)
		gained := got.Reclaimed()
		if c.table == "words" {
			if got.Gain.Known || got.Gain.Why == "" || got.Gain.Bytes <= 0 || got.Gain.Bytes > gained || got.Gain.Bytes < gained/4 {
				t.Errorf("%s: at least %d bytes (known: %t, %q), gained %d", c.table, got.Gain.Bytes, got.Gain.Known, got.Gain.Why, gained)
			}
			continue
		}
		if !got.Gain.Known || gained <= 0 || got.Gain.Bytes < gained/2 || got.Gain.Bytes > gained*3/2 {
			t.Errorf("%s: estimated %d (known: %t), gained %d", c.table, got.Gain.Bytes, got.Gain.Known, gained)
		}
	}
}

// Promise: the gain that the plan of a plain vacuum names is about the space that
// rows to come then find, and the rows that it called dead are gone.
func TestReusableGain(t *testing.T) {
	e := scratchtest.Database(t, `CREATE EXTENSION pg_freespacemap`, `CREATE TABLE visit (id int, note text) WITH (autovacuum_enabled = off)`,
		`INSERT INTO visit SELECT g, repeat('x', 200) FROM generate_series(1, 20000) g`, `DELETE FROM visit WHERE id % 3 <> 0`, `ANALYZE visit`)
	o := options(e)
	o.Tables, o.Schemas = []string{"visit"}, nil
	await(t, scratchtest.Open(t, e), `SELECT pg_stat_get_dead_tuples('visit'::regclass) > 0`)
	got := wantOutcome(t, must(t, o), "public.visit", Done)
	if got.Dead < 13000 || got.Dead > 14000 || got.After.Dead != 0 {
		t.Errorf("%d dead rows, then %d", got.Dead, got.After.Dead)
	}
	free, err := strconv.ParseInt(scratchtest.Query(t, e, `SELECT sum(avail) FROM pg_freespace('visit')`), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	if gain := got.Gain; !gain.Known || !gain.Reusable || gain.Bytes < free*3/4 || gain.Bytes > free*5/4 {
		t.Errorf("estimated %+v, free are %d", gain, free)
	}
}

// Promise: the rows of a default partition are taken care of as those of every other.
func TestDefaultPartition(t *testing.T) {
	e := scratchtest.Database(t, `CREATE TABLE log (id int, day int) PARTITION BY RANGE (day)`, `CREATE TABLE log_1 PARTITION OF log FOR VALUES FROM (1) TO (2)`,
		`CREATE TABLE log_rest PARTITION OF log DEFAULT`, `CREATE INDEX ON log (id)`, `INSERT INTO log SELECT g, 1 + g % 10 FROM generate_series(1, 2000) g`, `DELETE FROM log WHERE id % 4 <> 0`)
	for _, action := range []Action{Vacuum, Full, Reindex} {
		o := options(e)
		o.Action, o.Force, o.Schemas, o.Tables = action, true, nil, []string{"log"}
		r := must(t, o)
		wantOutcome(t, r, "public.log_rest", Done)
		wantOutcome(t, r, "public.log_1", Done)
		if w := r.Warnings(); len(w) > 0 {
			t.Errorf("%s: %q", action, w)
		}
		if action == Vacuum {
			wantOutcome(t, r, "public.log", Done)
			if got := find(t, r, "public.log_rest"); got.After.Dead != 0 || got.After.Analyzed.IsZero() {
				t.Errorf("%+v", got.After)
			}
		}
	}
}
