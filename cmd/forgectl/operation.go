package main

import (
	"context"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/job"
	"github.com/bmad-forge/forgectl/pkg/ui"
)

// result is what a command has to show. The zero value is nothing.
type result struct {
	JSON any                       // a documented, stable shape
	Text func(s *ui.Streams) error // for people, and tab-separated in a pipe
	Set  catalog.Set               // that a backup wrote; else the zero value
}

// show prints the result of a listing or a check: always, in the form that -o
// asks for.
func (a *App) show(r result) error {
	switch {
	case a.flags.output.value == outputJSON && r.JSON != nil:
		return a.Streams.JSON(r.JSON)
	case a.flags.output.value != outputJSON && r.Text != nil:
		return r.Text(a.Streams)
	}
	return nil
}

// showSummary prints what a successful operation did: on a terminal, or when -o
// was given; otherwise nobody wants to hear about it.
func (a *App) showSummary(r result) error {
	if !a.flags.output.given && !a.Streams.OutTTY {
		return nil
	}
	return a.show(r)
}

// operation is something that is done inside the frame of pkg/job.
type operation struct {
	job.Spec
	// Open, if set, opens what the operation works on and says which lock file
	// protects it. It comes before everything else, but when it fails there is
	// a record of the run all the same.
	Open func(ctx context.Context) (lock string, err error)
	// Check says that the result is what was asked for, and not only a
	// summary: it is printed in a pipe as well.
	Check bool
	// Do does it. A result that comes with an error is printed too: it says
	// how far things came.
	Do func(ctx context.Context, run *job.Run) (result, error)
}

// operate does an operation, then shows its result on standard output: it is
// what nearly every command that changes something ends with.
func (a *App) operate(ctx context.Context, op operation) error {
	res, err := a.perform(ctx, op)
	show := a.showSummary
	if op.Check || err != nil {
		show = a.show
	}
	return all(err, show(res))
}

// perform does an operation: lock, time limit, hooks and record by pkg/job, and
// its warnings on standard error.
func (a *App) perform(ctx context.Context, op operation) (result, error) {
	jobs, err := a.Jobs()
	if err != nil {
		return result{}, err
	}
	if op.Open != nil {
		lock, err := op.Open(ctx)
		if op.Lock = lock; err != nil {
			op.Do = func(context.Context, *job.Run) (result, error) { return result{}, err }
		}
	}
	var res result
	rec, err := jobs.Do(ctx, op.Spec, func(ctx context.Context, run *job.Run) error {
		var err error
		res, err = op.Do(ctx, run)
		return err
	})
	for _, w := range rec.Warnings {
		a.warn(w)
	}
	return res, err
}

// together is several results as one: a JSON list under a name, and their texts
// one below the other.
func together(name string, parts []result) result {
	list := []any{}
	for _, p := range parts {
		list = append(list, p.JSON)
	}
	return result{
		JSON: map[string]any{name: list},
		Text: func(s *ui.Streams) error {
			for _, p := range parts {
				if err := p.Text(s); err != nil {
					return err
				}
			}
			return nil
		},
	}
}
