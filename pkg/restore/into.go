package restore

import (
	"context"

	"github.com/bmad-forge/forgectl/pkg/postgres/cutover"
	"github.com/bmad-forge/forgectl/pkg/postgres/pgdump"
)

// PlanInto is what Into finds out before it changes anything.
func PlanInto(ctx context.Context, o Options) (Plan, error) {
	o = o.withDefaults()
	run := cutover.Run(o.Now())
	p := Plan{Into: o.Into, Working: cutover.Name(o.Into, cutover.Candidate, run), started: run}
	err := o.prepare(ctx, &p)
	return p, err
}

// Into restores into a new database of the name o.Into. It appears under that
// name when it is complete and compared; every other database stays as it is.
func Into(ctx context.Context, o Options) (Result, error) {
	o = o.withDefaults()
	plan, err := PlanInto(ctx, o)
	r := Result{Plan: plan}
	if err != nil {
		return r, err
	}
	err = o.build(ctx, &r, pgdump.Candidate{Admin: o.Admin, Name: r.Working}, r.Into)
	return r, err
}
