package main

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/bmad-forge/forgectl/pkg/ui"
)

// The exit codes. 0 to 3 are those of monitoring plugins.
const (
	exitOK          = 0
	exitWarning     = 1
	exitCritical    = 2
	exitUnknown     = 3
	exitLocked      = 4
	exitInterrupted = 130
	exitTerminated  = 143
)

// exitCode is a row of the one table from which help, man pages and
// documentation are made.
type exitCode struct {
	Code    int    `json:"code"`
	Name    string `json:"name"`
	Meaning string `json:"meaning"`
}

func exitCodes() []exitCode {
	return []exitCode{
		{exitOK, "OK", "done"},
		{exitWarning, "WARNING", "done, but something needs attention, or a threshold was crossed"},
		{exitCritical, "CRITICAL", "tried and failed: no connection, damage, a time limit"},
		{exitUnknown, "UNKNOWN", "not tried: usage, configuration, no confirmation, an unknown id, a missing capability"},
		{exitLocked, "LOCKED", "another run holds the lock"},
		{exitInterrupted, "INTERRUPTED", "stopped by SIGINT"},
		{exitTerminated, "TERMINATED", "stopped by SIGTERM"},
	}
}

// hintError carries the next step to whoever reads the error.
type hintError struct {
	err  error
	hint string
}

func (e *hintError) Error() string { return e.err.Error() }
func (e *hintError) Unwrap() error { return e.err }

// withHint adds a next step, best one that can be typed. A hint that is already
// there is nearer to the cause and stays.
func withHint(err error, format string, args ...any) error {
	if err == nil || isA[*hintError](err) {
		return err
	}
	return &hintError{err, fmt.Sprintf(format, args...)}
}

// codeError carries an exit code. Without an error inside it is silent: all has
// been said.
type codeError struct {
	err  error
	code int
}

func (e *codeError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *codeError) Unwrap() error { return e.err }

// withCode decides the exit code of an error.
func withCode(code int, err error) error {
	if err == nil {
		return nil
	}
	return &codeError{err, code}
}

// unknown is an error that was found before anything was tried.
func unknown(format string, args ...any) error {
	return withCode(exitUnknown, fmt.Errorf(format, args...))
}

// silently ends with a code and prints nothing.
func silently(code int) error {
	if code == exitOK {
		return nil
	}
	return &codeError{nil, code}
}

// errorList is what a run over several things ends with: each error is reported
// by itself and the worst code counts.
type errorList []error

func (l errorList) Error() string {
	texts := make([]string, len(l))
	for i, err := range l {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "\n")
}

func (l errorList) Unwrap() []error { return l }

// all drops what is nil; nil when nothing is left.
func all(errs ...error) error {
	var list errorList
	for _, err := range errs {
		if err != nil {
			list = append(list, err)
		}
	}
	switch len(list) {
	case 0:
		return nil
	case 1:
		return list[0]
	}
	return list
}

// parts takes a list apart; any other error is its own only part.
func parts(err error) []error {
	if list, ok := err.(errorList); ok { //nolint:errorlint // a list inside something else is that something's cause
		var flat []error
		for _, e := range list {
			flat = append(flat, parts(e)...)
		}
		return flat
	}
	return []error{err}
}

// codeOf is the exit code for an error; tried is whether the command had begun
// its work.
func codeOf(err error, tried bool) int {
	if err == nil {
		return exitOK
	}
	worst := exitOK
	for _, part := range parts(err) {
		if code := codeOfOne(part, tried); severity(code) > severity(worst) {
			worst = code
		}
	}
	return worst
}

func codeOfOne(err error, tried bool) int {
	var stopped *signalError
	if errors.As(err, &stopped) {
		return stopped.code()
	}
	var coded *codeError
	if errors.As(err, &coded) {
		return coded.code
	}
	for _, m := range mappings() {
		if m.is(err) {
			return m.code
		}
	}
	if !tried {
		return exitUnknown
	}
	return exitCritical
}

// severity orders codes for the worst of several: damage that was found weighs
// more than what could not be looked at.
func severity(code int) int {
	switch code {
	case exitOK:
		return 0
	case exitWarning:
		return 1
	case exitUnknown:
		return 2
	case exitLocked:
		return 3
	case exitCritical:
		return 4
	}
	return 5
}

func (e *signalError) code() int {
	if e.signal == syscall.SIGTERM {
		return exitTerminated
	}
	return exitInterrupted
}

// hintOf is the next step for an error, or "".
func hintOf(err error) string {
	var hinted *hintError
	if errors.As(err, &hinted) {
		return hinted.hint
	}
	for _, m := range mappings() {
		if m.is(err) && m.hint != nil {
			return m.hint(err)
		}
	}
	return ""
}

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
	for _, part := range parts(err) {
		if coded, ok := part.(*codeError); ok && coded.err == nil { //nolint:errorlint // one that was wrapped has something to say
			continue
		}
		a.Streams.Message(program, ui.LevelError, a.scrub(part.Error()))
		if hint := hintOf(part); hint != "" {
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
