package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/bmad-forge/forgectl/pkg/config"
	"github.com/bmad-forge/forgectl/pkg/job"
	"github.com/bmad-forge/forgectl/pkg/lock"
	"github.com/bmad-forge/forgectl/pkg/ui"
)

// What each kind of error means for the caller: its code, however deep it lies,
// and its hint.
func TestCodeOf(t *testing.T) {
	boom := errors.New("boom")
	tests := []struct {
		name string
		err  error
		code int
		hint string
	}{
		{"nothing", nil, exitOK, ""},
		{"anything", boom, exitCritical, ""},
		{"lock", fmt.Errorf("backup: %w", &lock.HeldError{}), exitLocked, "forgectl history"},
		{"configuration", &config.Error{Msg: "x"}, exitUnknown, "forgectl config init --print"},
		{"several of them", errors.Join(&config.Error{Msg: "x"}, &config.Error{Msg: "y"}), exitUnknown, "forgectl config init --print"},
		{"no terminal", ui.ErrNoTerminal, exitUnknown, "--yes confirms without a terminal"},
		{"declined", ui.ErrDeclined, exitUnknown, ""},
		{"our time limit", &job.TimeoutError{After: time.Second}, exitCritical, "a longer --timeout"},
		{"a time limit inside", context.DeadlineExceeded, exitCritical, ""},
		{"INT", fmt.Errorf("dump: %w", &signalError{syscall.SIGINT}), exitInterrupted, ""},
		{"TERM", &signalError{syscall.SIGTERM}, exitTerminated, ""},
		{"TERM beats a chosen code", withCode(exitUnknown, &signalError{syscall.SIGTERM}), exitTerminated, ""},
		{"a chosen code", fmt.Errorf("x: %w", withCode(exitUnknown, boom)), exitUnknown, ""},
		{"a chosen code beats the mapping", withCode(exitWarning, &lock.HeldError{}), exitWarning, "forgectl history"},
		{"a hint of its own", withHint(&lock.HeldError{}, "wait for %s", "it"), exitLocked, "wait for it"},
		{"the inner hint is nearer", withHint(fmt.Errorf("x: %w", withHint(boom, "inner")), "outer"), exitCritical, "inner"},
		{"silent", silently(exitWarning), exitWarning, ""},
		{"silent OK", silently(exitOK), exitOK, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := codeOf(tt.err, true); got != tt.code {
				t.Errorf("code %d, want %d", got, tt.code)
			}
			if tt.err == nil {
				return
			}
			if got := hintOf(tt.err); got != tt.hint {
				t.Errorf("hint %q, want %q", got, tt.hint)
			}
		})
	}
	if got := codeOf(boom, false); got != exitUnknown {
		t.Errorf("before the command began: %d, want 3", got)
	}
}

// Of several results the worst counts; damage that was found weighs more than
// what could not be looked at.
func TestWorst(t *testing.T) {
	crit, unkn, warn := errors.New("damage"), unknown("no key"), silently(exitWarning)
	stop := error(&signalError{syscall.SIGINT})
	tests := []struct {
		errs []error
		want int
	}{
		{nil, exitOK},
		{[]error{nil, nil}, exitOK},
		{[]error{nil, warn}, exitWarning},
		{[]error{warn, unkn}, exitUnknown},
		{[]error{crit, unkn, warn}, exitCritical},
		{[]error{unkn, &lock.HeldError{}}, exitLocked},
		{[]error{all(warn, crit), unkn}, exitCritical},
		{[]error{crit, stop}, exitInterrupted},
	}
	for _, tt := range tests {
		if got := codeOf(all(tt.errs...), true); got != tt.want {
			t.Errorf("worst of %v is %d, want %d", tt.errs, got, tt.want)
		}
	}
}

// Each error of a list is reported by itself, once, with its own hint, which
// several that have the same one share; what is silent stays so.
func TestReport(t *testing.T) {
	app, out, errs := newTestApp(t)
	app.report(all(
		withHint(errors.New("verify a: checksum mismatch"), "forgectl backup list"),
		silently(exitWarning),
		errors.New("verify b: postgres://u:hunter2@h/d refused"),
		withHint(errors.New("prune c: locked"), "forgectl history"),
		silently(exitWarning),
		withHint(errors.New("prune d: locked"), "forgectl history"),
		withHint(errors.New("prune e: gone"), "forgectl backup list"),
	))
	const want = "forgectl: error: verify a: checksum mismatch\nhint: forgectl backup list\n" +
		"forgectl: error: verify b: postgres://u:***@h/d refused\n" +
		"forgectl: error: prune c: locked\nforgectl: error: prune d: locked\nhint: forgectl history\n" +
		"forgectl: error: prune e: gone\nhint: forgectl backup list\n"
	if errs.String() != want || out.Len() != 0 {
		t.Errorf("printed %q, want %q", errs, want)
	}
}

// A command that ends with the error of a closed connection, because of a
// signal, was stopped by the signal. One that finished all the same has not
// failed.
func TestFinishAfterSignal(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(&signalError{syscall.SIGTERM})
	app, _, errs := newTestApp(t)
	app.tried = true
	if code := app.finish(ctx, &cobra.Command{Use: "x"}, errors.New("connection closed")); code != exitTerminated {
		t.Errorf("code %d, want 143", code)
	}
	if want := "forgectl: error: terminated by a signal: connection closed\n"; errs.String() != want {
		t.Errorf("printed %q, want %q", errs, want)
	}
	if code := app.finish(ctx, &cobra.Command{Use: "x"}, nil); code != exitOK {
		t.Errorf("code %d of one that finished, want 0", code)
	}
}

// What was opened is closed at the end, the last one first; a failure to close
// is a warning.
func TestClose(t *testing.T) {
	app, _, errs := newTestApp(t)
	var order []string
	for _, name := range []string{"first", "second"} {
		app.onClose(closer(func() error { order = append(order, name); return nil }))
	}
	app.onClose(closer(func() error { return errors.New("disk full") }))
	if code := app.finish(t.Context(), &cobra.Command{}, nil); code != exitWarning {
		t.Errorf("code %d, want 1", code)
	}
	if strings.Join(order, " ") != "second first" || errs.String() != "forgectl: warning: close: disk full\n" {
		t.Errorf("order %v, printed %q", order, errs)
	}
}

type closer func() error

func (c closer) Close() error { return c() }

var _ io.Closer = closer(nil)
