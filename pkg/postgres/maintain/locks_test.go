package maintain

import (
	"strings"
	"testing"
	"time"

	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
)

// Promise: whatever lock another session holds, a run ends, works on all other
// tables, and names the one that was in the way with who holds it. Locks that are
// not in the way are no reason.
func TestLocks(t *testing.T) {
	e := scratchtest.Database(t, application)
	// Of the eight, those that each action can share a table with.
	shared := map[Action]string{Vacuum: "ACCESS SHARE|ROW SHARE|ROW EXCLUSIVE", Analyze: "ACCESS SHARE|ROW SHARE|ROW EXCLUSIVE", Full: "", Reindex: "ACCESS SHARE|ROW SHARE|ROW EXCLUSIVE"}
	for _, mode := range []string{"ACCESS SHARE", "ROW SHARE", "ROW EXCLUSIVE", "SHARE UPDATE EXCLUSIVE", "SHARE", "SHARE ROW EXCLUSIVE", "EXCLUSIVE", "ACCESS EXCLUSIVE"} {
		for action, fine := range shared {
			t.Run(mode+" "+string(action), func(t *testing.T) {
				release := holding(t, e, `LOCK TABLE "Order" IN `+mode+` MODE`)
				defer release()
				o := options(e)
				o.Action, o.Force, o.TransactionWait = action, true, 300*time.Millisecond
				r := must(t, o)
				wantOutcome(t, r, "public.document", Done)
				free := fine != "" && contains(fine, mode)
				got := find(t, r, "public.Order")
				switch {
				case action == Reindex && free: // the lock is no hindrance, the transaction is
					if got.Outcome != Skipped || !strings.HasPrefix(got.Why, "an older transaction does not end: process ") {
						t.Errorf("%s: %s", got.Outcome, got.Why)
					}
				case free:
					wantOutcome(t, r, "public.Order", Done)
				default:
					if got.Outcome != Skipped || !strings.HasPrefix(got.Why, "somebody holds a lock on it") {
						t.Errorf("%s: %s", got.Outcome, got.Why)
					}
					if len(r.Warnings()) == 0 {
						t.Error("no warning")
					}
				}
			})
		}
	}
	// What was given up while the transactions were open could not all be removed then.
	scratchtest.Exec(t, e, "SELECT 1")
	o := options(e)
	o.Action, o.DropLeftovers = Reindex, true
	must(t, o)
	if n := scratchtest.Query(t, e, `SELECT count(*) FROM pg_index WHERE NOT indisvalid`); n != "0" {
		t.Errorf("%s invalid indexes", n)
	}
}

func contains(list, one string) bool {
	for s := range strings.SplitSeq(list, "|") {
		if s == one {
			return true
		}
	}
	return false
}

// Promise: a table that was busy is tried once more when the others are done.
func TestBusyIsTriedAgain(t *testing.T) {
	e := scratchtest.Database(t, application)
	for _, action := range []Action{Vacuum, Analyze, Full, Reindex} {
		release := holding(t, e, `LOCK TABLE "Order" IN ACCESS EXCLUSIVE MODE`)
		o := options(e)
		o.Action, o.Force = action, true
		// It is the largest, and so the first: when the second begins it was tried.
		tried := 0
		o.step = func(string) {
			if tried++; tried == 2 {
				release()
			}
		}
		r := must(t, o)
		wantOutcome(t, r, "public.Order", Done)
		if w := r.Warnings(); len(w) > 0 {
			t.Errorf("%s: %q", action, w)
		}
	}
}

// Promise: planning waits for no lock.
func TestPlanWaitsForNothing(t *testing.T) {
	e := scratchtest.Database(t, application)
	defer holding(t, e, `LOCK TABLE "Order", document, event_1 IN ACCESS EXCLUSIVE MODE`)()
	for _, action := range []Action{Vacuum, Full, Reindex, Analyze} {
		o := options(e)
		o.Action = action
		planOf(t, o)
	}
}
