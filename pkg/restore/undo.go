package restore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/bmad-forge/forgectl/pkg/postgres/cutover"
)

// ErrNothingKept means that no earlier database of that name was kept.
var ErrNothingKept = errors.New("there is no earlier database to go back to")

// UndoPlan is what an undo would do.
type UndoPlan struct {
	Live  cutover.Live
	Back  cutover.Kept // becomes live
	Aside string       // what is live now becomes this
	Run   string
	Units []string
}

// PlanUndo looks for the database that was live before the last exchange,
// without changing anything. An undo is an exchange too: undoing it goes forward
// again.
func PlanUndo(ctx context.Context, o Options) (UndoPlan, error) {
	o = o.withDefaults()
	var p UndoPlan
	if o.Admin.Database() == o.Live {
		return p, &AdminError{o.Live}
	}
	var err error
	if p.Run, _, err = o.nextRun(ctx); err != nil {
		return p, err
	}
	open, err := o.Intents.Open(ctx, o.Live)
	if err == nil && open != nil {
		err = &OpenError{Live: o.Live, Since: open.Started}
	}
	if err != nil {
		return p, err
	}
	kept, err := cutover.ListKept(ctx, o.Admin, o.Live)
	if err != nil {
		return p, err
	}
	kept = slices.DeleteFunc(kept, func(k cutover.Kept) bool {
		return k.Origin.Forgectl != cutover.Before && k.Origin.Forgectl != cutover.Undone
	})
	if len(kept) == 0 {
		return p, fmt.Errorf("undo the restore of %s: %w", o.Live, ErrNothingKept)
	}
	p.Back = slices.MaxFunc(kept, func(a, b cutover.Kept) int { return cmp.Compare(a.Origin.Run, b.Origin.Run) })
	live, err := cutover.Inspect(ctx, o.Admin, o.Live)
	switch {
	case err != nil:
		return p, err
	case live == nil:
		return p, fmt.Errorf("undo the restore of %s: there is no such database now", o.Live)
	case len(live.Unendable)+len(live.Prepared) > 0:
		return p, &UnendableError{Live: o.Live, Sessions: live.Unendable, Prepared: live.Prepared}
	}
	p.Live, p.Aside = *live, cutover.Name(o.Live, cutover.Undone, p.Run)
	if o.Units != nil {
		if p.Units, err = o.Units.Running(ctx); err != nil {
			return p, fmt.Errorf("ask which units run: %w", err)
		}
	}
	return p, nil
}

// UndoResult is what an undo did.
type UndoResult struct {
	UndoPlan
	Gap, Downtime time.Duration
	Ended         int
	// Unwell is why the application is not well with it, nil when it is. Nothing is
	// put back for that: somebody has decided.
	Unwell error
}

// Undo puts the database that was live before the last exchange back into its
// place. What is live now is kept.
func Undo(ctx context.Context, o Options) (UndoResult, error) {
	o = o.withDefaults()
	plan, err := PlanUndo(ctx, o)
	r := UndoResult{UndoPlan: plan}
	if err == nil && o.ConfirmUndo != nil {
		err = o.ConfirmUndo(ctx, plan)
	}
	if err != nil {
		return r, err
	}
	x := &exchange{Options: o, intent: Intent{
		Action: actionUndo, Run: plan.Run, Live: o.Live, Server: o.Admin.String(), Set: plan.Back.Origin.Set, Started: o.Now().UTC(),
		Host: o.Host, PID: o.PID, Units: plan.Units,
		In:  Moved{OID: plan.Back.OID, Name: plan.Back.Name, Comment: plan.Back.Origin.Comment},
		Out: &Moved{OID: plan.Live.OID, Name: o.Live, Aside: plan.Aside, Comment: plan.Live.Comment},
	}}
	if o.Units != nil && len(plan.Units) == 0 {
		x.Gate = nil
	}
	err = x.run(ctx)
	r.Gap, r.Ended, r.Downtime, r.Unwell = x.swap.Gap, x.swap.Ended, time.Since(x.began), x.unwell
	return r, err
}
