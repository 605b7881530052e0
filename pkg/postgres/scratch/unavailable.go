package scratch

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ErrUnavailable is what every UnavailableError is.
var ErrUnavailable = errors.New("not available on this host")

// UnavailableError names what this host lacks for the cluster that was asked for.
type UnavailableError struct {
	What  string   // "server program", "operating system user", "locale", "preload library", …
	Names []string // which ones
	Hint  string   // what to do about it
	Err   error    // cause, if there is one
}

func (e *UnavailableError) Error() string {
	quoted := make([]string, len(e.Names))
	for i, n := range e.Names {
		quoted[i] = strconv.Quote(n)
	}
	return fmt.Sprintf("%s %s: %v", e.What, strings.Join(quoted, ", "), ErrUnavailable)
}

// Is makes errors.Is(err, ErrUnavailable) true.
func (e *UnavailableError) Is(target error) bool { return target == ErrUnavailable }

func (e *UnavailableError) Unwrap() error { return e.Err }
