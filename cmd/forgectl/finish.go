package main

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"

	"github.com/spf13/cobra"

	"github.com/bmad-forge/forgectl/pkg/ui"
)

// finish reports how the command ended and returns the exit code.
func (a *App) finish(ctx context.Context, cmd *cobra.Command, err error) int {
	// A library may report the connection that a signal closed; what counts
	// is the signal.
	var stopped *signalError
	if err != nil && errors.As(context.Cause(ctx), &stopped) && !errors.Is(err, stopped) {
		err = fmt.Errorf("%w: %w", stopped, err)
	}
	if err != nil && !a.tried {
		err = withHint(withCode(codeOf(err, false), err), "%s --help", cmd.CommandPath())
	}
	a.report(err)
	a.close()
	code := codeOf(err, a.tried)
	if code == exitOK && a.degraded {
		code = exitWarning
	}
	return code
}

// report prints each error once, with the next step.
func (a *App) report(err error) {
	if err == nil {
		return
	}
	said := slices.DeleteFunc(slices.Clone(parts(err)), func(part error) bool {
		coded, ok := part.(*codeError) //nolint:errorlint // one that was wrapped has something to say
		return ok && coded.err == nil
	})
	for i, part := range said {
		a.Streams.Message(program, ui.LevelError, a.scrub(part.Error()))
		// A hint that several in a row have stands below the last of them.
		if hint := hintOf(part); hint != "" && (i+1 == len(said) || hintOf(said[i+1]) != hint) {
			a.Streams.Message("", ui.LevelHint, a.scrub(hint))
		}
	}
}

// warn prints a warning; the run then ends with 1 at best.
func (a *App) warn(text string) {
	a.degraded = true
	a.Streams.Message(program, ui.LevelWarning, a.scrub(text))
}

// catchPanic makes a bug in forgectl an UNKNOWN: the check did not happen.
func (a *App) catchPanic(code *int) {
	if p := recover(); p != nil {
		a.Streams.Message(program, ui.LevelError, a.scrub(fmt.Sprintf("bug in forgectl: %v\n%s", p, debug.Stack())))
		*code = exitUnknown
	}
}
