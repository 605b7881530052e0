package main

import (
	"errors"
	"fmt"
	"syscall"
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
