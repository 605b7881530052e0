package restore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/postgres/cutover"
	"github.com/bmad-forge/forgectl/pkg/postgres/pgdump"
)

// build makes the candidate: created, loaded, compared, analyzed and given its
// properties, under the name final. Until then it carries a mark that says what
// it is; whatever fails, it is dropped again.
func (o Options) build(ctx context.Context, r *Result, candidate pgdump.Candidate, final string) error {
	mark := cutover.Origin{Forgectl: cutover.Candidate, Of: r.Into, Run: r.started, Set: r.Source}
	if err := candidate.Create(ctx, r.Properties, mark.String()); err != nil {
		return err // and there is none
	}
	if err := o.fill(ctx, r, candidate, final); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx) // what broke then, broke because of it
		}
		if pgdump.DiskFull(err) {
			if emptyErr := candidate.Empty(ctx); emptyErr != nil {
				// Dropping it now could end the server. drop-old finds it by its mark.
				return errors.Join(err, fmt.Errorf("%s is left, drop it when there is room: %w", candidate.Name, emptyErr))
			}
		}
		return errors.Join(err, candidate.Drop(ctx))
	}
	return nil
}

func (o Options) fill(ctx context.Context, r *Result, candidate pgdump.Candidate, final string) error {
	o.Step("created")
	src := o.source()
	if err := src.load(ctx, r, candidate); err != nil {
		return err
	}
	f := src.fingerprint()
	if f == nil || f.Level == catalog.FingerprintNone {
		r.Warnings = append(r.Warnings, "nothing was counted when the backup was taken: nothing proves that all rows are there")
	}
	for _, stage := range []struct {
		name string
		do   func() error
	}{
		{"compare", func() error {
			return pgdump.CompareChosen(ctx, candidate.Endpoint(), f, r.Choice, func(done, total int) { o.Progress("compare", int64(done), int64(total)) })
		}},
		{"analyze", func() error { o.Progress("analyze", 0, 0); return candidate.Analyze(ctx, o.Jobs) }},
		{"finish", func() error { return candidate.Finish(ctx, r.Properties, final) }},
	} {
		start := time.Now()
		if err := stage.do(); err != nil {
			return err
		}
		r.took(stage.name, time.Since(start))
		o.Step(stage.name)
	}
	return nil
}
