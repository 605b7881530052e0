package service

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

var (
	// ErrManager means that there is no manager of that name.
	ErrManager = errors.New("unknown service manager")
	// ErrUnavailable is what every UnavailableError is.
	ErrUnavailable = errors.New("the service manager cannot be asked")
	// ErrNotFound means that the manager has no such unit.
	ErrNotFound = errors.New("no such unit")
	// ErrUnitName means that a name cannot be that of a unit.
	ErrUnitName = errors.New("not the name of a unit")
	// ErrDenied means that the manager does not let this user do it.
	ErrDenied = errors.New("permission denied by the service manager")
	// ErrNoCommand means that the configuration has no command for it.
	ErrNoCommand = errors.New("no command is configured for it")
	// ErrUntouched is how the manager "none" answers.
	ErrUntouched = errors.New("service.manager is none: nothing is stopped or started")
	// ErrComesBack means that a unit runs again whenever it was stopped.
	ErrComesBack = errors.New("it comes up again after each stop")
	// ErrUnstable means that a unit came up, but did not stay as it was.
	ErrUnstable = errors.New("it did not stay up")
)

// UnavailableError says why nobody knows what the units are doing.
type UnavailableError struct {
	Manager string
	Hint    string // what to do about it
	Err     error
}

func (e *UnavailableError) Error() string {
	return fmt.Sprintf("ask %s: %v: %v", e.Manager, ErrUnavailable, e.Err)
}

// Is makes errors.Is(err, ErrUnavailable) true.
func (e *UnavailableError) Is(target error) bool { return target == ErrUnavailable }

func (e *UnavailableError) Unwrap() error { return e.Err }

// UnitError is what went wrong with one unit.
type UnitError struct {
	Op    string // "stop", "start", "restart" or "look at"
	Unit  string
	State State    // what it was doing when last seen; empty: nobody could tell
	Lines []string // the last lines that it or its manager wrote, if there are any
	Hint  string   // what to do about it, if that is known
	Err   error
}

func (e *UnitError) Error() string {
	var b strings.Builder
	b.WriteString(e.Op + " " + e.Unit)
	if e.State != "" && e.State != NotFound {
		fmt.Fprintf(&b, " (%s)", e.State)
	}
	fmt.Fprintf(&b, ": %v", e.Err)
	return b.String()
}

func (e *UnitError) Unwrap() error { return e.Err }

// StopError says at which unit StopAll ended. What is in Stopped ran before
// and does not any more: the caller may want to start it again, and the unit
// itself with it, since it was told to stop and may yet do so.
type StopError struct {
	*UnitError
	Stopped []string // in the order in which StartAll wants them
}

func (e *StopError) Unwrap() error { return e.UnitError }

func (e *StopError) Error() string {
	if len(e.Stopped) == 0 {
		return e.UnitError.Error()
	}
	return fmt.Sprintf("%v; stopped until then: %s", e.UnitError, strings.Join(e.Stopped, ", "))
}

// StartError names every unit that is not up.
type StartError struct {
	Failed []*UnitError
	Up     []string
}

func (e *StartError) Error() string {
	texts := make([]string, len(e.Failed))
	for i, f := range e.Failed {
		texts[i] = f.Error()
	}
	return strings.Join(texts, "; ")
}

// Unwrap gives the failure of each unit.
func (e *StartError) Unwrap() []error {
	errs := make([]error, len(e.Failed))
	for i, f := range e.Failed {
		errs[i] = f
	}
	return errs
}

// TimeoutError means that a unit did not get there in time.
type TimeoutError struct{ After time.Duration }

func (e *TimeoutError) Error() string { return fmt.Sprintf("not done within %s", e.After) }

// Timeout marks the error as the interface of package net does.
func (e *TimeoutError) Timeout() bool { return true }
