package main

import (
	"context"
	"fmt"

	"github.com/bmad-forge/forgectl/pkg/doctor"
)

// mend shows what is safe to be mended, and does it when the operator agrees. What
// fails does not keep it from the rest.
func (a *App) mend(ctx context.Context, findings []doctor.Finding) (failed, err error) {
	var fixes []*doctor.Fix
	for _, f := range findings {
		if f.Fix != nil {
			fixes = append(fixes, f.Fix)
			a.Streams.Message("", "fix", a.scrub(f.Fix.What))
		}
	}
	if len(fixes) == 0 {
		a.Streams.Message("", "fix", "there is nothing that is safe to mend")
		return nil, nil
	}
	if err := a.Confirm(ctx, "Do all of this?", "fix"); err != nil {
		return nil, fmt.Errorf("fix: %w", err)
	}
	var errs []error
	for _, f := range fixes {
		if err := f.Do(ctx); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", f.What, err))
		}
	}
	return all(errs...), nil
}
