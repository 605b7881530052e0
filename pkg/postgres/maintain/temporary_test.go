package maintain

import (
	"fmt"
	"strings"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
)

// Promise: a temporary table of another session that holds the age of the
// database is named, from 16 on with the statement that ends the session; a young
// one is not, nor one when only a part of the database was asked for.
func TestTemporaryHoldsTheAge(t *testing.T) {
	scratchtest.EachMajor(t, func(t *testing.T, major int, e *postgres.Endpoint) {
		other := scratchtest.Open(t, e)
		for _, sql := range []string{"SET application_name = 'reports'", "CREATE TEMPORARY TABLE old_sums (n int, note text)"} {
			if _, err := other.Exec(t.Context(), sql); err != nil {
				t.Fatal(err)
			}
		}
		scratchtest.Exec(t, e, `CREATE PROCEDURE age(n int) LANGUAGE plpgsql AS $$
			BEGIN FOR i IN 1..n LOOP PERFORM txid_current(); COMMIT; END LOOP; END $$`, `CALL age(300)`)
		o := Options{Endpoint: e, Freeze: true, Need: Need{XIDAge: 200}}
		r := must(t, o)
		if r.Ages.XID < 300 {
			t.Errorf("the age is %d: the table does not hold it", r.Ages.XID)
		}
		want, remedy := "is left: it is a temporary table of a session of postgres, which alone can vacuum it; its oldest row is 3", "\nend the session that made it"
		if major >= 16 {
			pid := other.PgConn().PID()
			want = fmt.Sprintf("is left: it is a temporary table of process %d (postgres, reports), which alone can vacuum it; its oldest row is 3", pid)
			remedy = fmt.Sprintf("\nSELECT pg_terminate_backend(%d);", pid)
		}
		if w := r.Warnings(); len(w) != 1 || !strings.Contains(w[0], ".old_sums "+want) || !strings.HasSuffix(w[0], remedy) {
			t.Errorf("%q\nlack %q, %q", w, want, remedy)
		}
		o.Need.XIDAge = 1_000_000
		if l := planOf(t, o).Left; len(l) > 0 {
			t.Errorf("a young one: %v", l)
		}
		o.Need.XIDAge, o.Schemas = 200, []string{"public"}
		if l := planOf(t, o).Left; len(l) > 0 {
			t.Errorf("not asked for: %v", l)
		}
	})
}
