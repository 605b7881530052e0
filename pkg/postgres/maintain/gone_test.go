package maintain

import (
	"testing"

	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
)

// Promise: a table that is dropped between the plan and its turn, alone or with
// its schema, is told as gone, and is neither a warning nor a failure; all others
// are done.
func TestDroppedMeanwhile(t *testing.T) {
	e := scratchtest.Database(t, application)
	for _, drop := range []string{"DROP TABLE shop.passing", "DROP SCHEMA shop CASCADE"} {
		for _, c := range []struct {
			action   Action
			blocking bool
		}{{Vacuum, false}, {Full, false}, {Analyze, false}, {Reindex, false}, {Reindex, true}} {
			scratchtest.Exec(t, e, "CREATE SCHEMA IF NOT EXISTS shop", "CREATE TABLE shop.passing (id int PRIMARY KEY)")
			o := options(e)
			o.Action, o.Blocking, o.Force, o.Schemas = c.action, c.blocking, true, []string{"public", "shop"}
			dropped := false
			o.step = func(string) {
				if !dropped { // the first is a larger one
					scratchtest.Exec(t, e, drop)
				}
				dropped = true
			}
			r := must(t, o)
			if got := wantOutcome(t, r, "shop.passing", Gone); got.Why == "" || got.After != nil {
				t.Errorf("%s after %s: %+v", c.action, drop, got)
			}
			wantOutcome(t, r, "public.document", Done)
			if w := r.Warnings(); len(w) > 0 {
				t.Errorf("%s after %s: %q", c.action, drop, w)
			}
		}
	}
}

// Promise: a table is not taken for gone because something that it needs is.
func TestMissedIsNotGone(t *testing.T) {
	e := scratchtest.Database(t, `CREATE TABLE rates (n int)`,
		`CREATE FUNCTION rated(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RETURN $1 + (SELECT count(*) FROM public.rates); END $$`,
		`CREATE TABLE priced (id int)`, `CREATE INDEX ON priced (rated(id))`, `INSERT INTO priced VALUES (1)`, `DROP TABLE rates`)
	o := options(e)
	o.Action, o.Force = Full, true
	r, err := Run(t.Context(), o)
	if err == nil || find(t, r, "public.priced").Outcome != Failed {
		t.Errorf("%v: %+v", err, r.Tables)
	}
}
