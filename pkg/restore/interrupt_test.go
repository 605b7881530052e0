package restore_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/pgdump"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
	"github.com/bmad-forge/forgectl/pkg/restore"
)

// patience bounds everything that must not wait for ever.
const patience = time.Minute

// Promise: a statement that the server has begun is seen through although the
// run is told to stop meanwhile. So no database appears after the run has said
// that it failed, and none has its name although it said so.
func TestStoppedWithinStatement(t *testing.T) {
	why := errors.New("told to stop")
	for _, tt := range []struct {
		step, statement string
		there           bool
	}{
		{"", "CREATE DATABASE%", false},
		{"analyze", "ALTER DATABASE%OWNER%", true},
	} {
		t.Run(tt.statement, func(t *testing.T) {
			s := copySet(t, false)
			o := options(t, s.Catalog, s.Set(), scratchtest.Name("within"))
			plan, err := restore.PlanInto(t.Context(), o)
			must(t, err)
			// Whoever changes the list of databases waits for this session.
			holder, watch := scratchtest.Open(t, o.Admin), scratchtest.Open(t, o.Admin)
			hold := func() {
				_, err := holder.Exec(t.Context(), "BEGIN; LOCK TABLE pg_database IN SHARE MODE")
				must(t, err)
			}
			waits := func() bool {
				var waiting bool
				must(t, watch.QueryRow(t.Context(), "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE query LIKE $1 AND strpos(query, $2) > 0 AND wait_event_type = 'Lock')", tt.statement, plan.Working).Scan(&waiting))
				return waiting
			}
			if tt.step == "" {
				hold()
			}
			o.Step = func(name string) {
				if name == tt.step {
					hold()
				}
			}
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			done := make(chan error, 1)
			go func() {
				_, err := restore.Into(ctx, o)
				done <- err
			}()
			for deadline := time.Now().Add(patience); !waits(); {
				if time.Now().After(deadline) {
					t.Fatal("the statement does not wait")
				}
			}
			cancel(why)
			_, err = holder.Exec(t.Context(), "COMMIT")
			must(t, err)
			if err := <-done; !tt.there && !errors.Is(err, why) || tt.there && err != nil {
				t.Errorf("got %v", err)
			}
			there, err := pgdump.Exists(t.Context(), o.Admin, o.Into)
			must(t, err)
			working, err := pgdump.Exists(t.Context(), o.Admin, plan.Working)
			must(t, err)
			if there != tt.there || working {
				t.Errorf("there: %v; working database: %v", there, working)
			}
			if tt.there && scratchtest.Dump(t, o.Into) != original.dump {
				t.Error("the restored database is dumped differently from the original")
			}
			scratchtest.Exec(t, o.Admin, "DROP DATABASE IF EXISTS "+postgres.QuoteIdent(o.Into))
		})
	}
}
