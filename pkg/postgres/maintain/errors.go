package maintain

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

var (
	// ErrStandby means that the server is a standby: it gets all of this from its primary.
	ErrStandby = errors.New("the server is a standby, and is vacuumed by what its primary does")
	// ErrNotFound means that a schema or a table that was named does not exist.
	ErrNotFound = errors.New("no such table or schema")
	// ErrFailed means that something was tried with a table and went wrong.
	ErrFailed = errors.New("failed")
	// errGone is a table without any of the indexes that it had, nor itself.
	errGone = errors.New("it is not there")
	// errWindowOver is the cause of a context that ended with the window.
	errWindowOver = errors.New("the window is over")
)

// NotFoundError is ErrNotFound for one name.
type NotFoundError struct {
	What, Name string // "table", and as it was written
	Near       string // what was most likely meant, as SQL; "": nobody knows
}

func (e *NotFoundError) Error() string {
	text := fmt.Sprintf("%s %s: %v", e.What, e.Name, ErrNotFound)
	if e.Near != "" {
		text += fmt.Sprintf(", did you mean %s?", e.Near)
	}
	return text
}

// Is makes errors.Is find ErrNotFound.
func (e *NotFoundError) Is(target error) bool { return target == ErrNotFound }

// WindowError means that tables would be locked at a time that is not meant for it.
type WindowError struct {
	Window string    // "": none is configured
	Next   time.Time // when it opens
}

func (e *WindowError) Error() string {
	if e.Window == "" {
		return "there is no window in which tables may be locked"
	}
	return fmt.Sprintf("tables may be locked only within %q, the next time from %s", e.Window, e.Next.Format("2006-01-02 15:04 MST"))
}

// FailedError names the tables that something went wrong with.
type FailedError struct{ Tables []TableResult }

func (e *FailedError) Error() string {
	var each []string
	for _, t := range e.Tables {
		each = append(each, fmt.Sprintf("%s of %s: %s", t.Action, t.Name(), t.Why))
	}
	return strings.Join(each, "; ")
}

// Is makes errors.Is find ErrFailed.
func (e *FailedError) Is(target error) bool { return target == ErrFailed }
