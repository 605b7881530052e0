package main

import (
	"errors"
	"fmt"
)

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
