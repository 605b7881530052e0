package maintain

import (
	"context"
	"errors"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/postgres/scratch"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
)

// Promise: a standby is refused as such, by the plan as by the run, whatever is to
// be done, and before anybody is asked.
func TestStandby(t *testing.T) {
	made := scratchtest.Database(t, application)
	standby := scratchtest.StartStandby(t, scratchtest.Server(t), "max_prepared_transactions=4") // no fewer than its primary has
	standby.CatchUp(t)
	e := standby.Connect(t, made.Database(), scratch.Superuser)
	for _, action := range []Action{Vacuum, Full, Reindex, Analyze} {
		o := Options{Endpoint: e, Action: action, Force: true, Confirm: func(context.Context, Plan) error {
			t.Error("asked")
			return nil
		}}
		if _, err := MakePlan(t.Context(), o); !errors.Is(err, ErrStandby) {
			t.Errorf("plan of %s: %v", action, err)
		}
		if _, err := Run(t.Context(), o); !errors.Is(err, ErrStandby) {
			t.Errorf("%s: %v", action, err)
		}
	}
}
