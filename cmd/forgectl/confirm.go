package main

import (
	"context"

	"github.com/bmad-forge/forgectl/pkg/ui"
)

// confirmPlan shows what is going to be done and asks for it. The plan is a part of the question, so it stands where
// the question does: on standard error, also when standard output leads into a file or a pipe. It is shown with --yes
// too, to whoever is there to read it.
func (a *App) confirmPlan(ctx context.Context, plan func(*ui.Streams) error, question, word string) error {
	if a.Streams.ErrTTY && a.flags.output.value != outputJSON {
		if err := plan(a.Streams.Aside()); err != nil {
			return err
		}
	}
	return a.Confirm(ctx, question, word)
}

// Confirm asks the operator to type word before something is replaced. --yes
// answers; without a terminal, or when JSON was asked for, it refuses.
func (a *App) Confirm(ctx context.Context, question, word string) error {
	if a.flags.yes {
		return nil
	}
	if a.flags.output.value == outputJSON {
		return ui.ErrNoTerminal
	}
	return a.Streams.Confirm(ctx, question, word)
}
