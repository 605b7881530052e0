package inventory

import (
	"fmt"
	"time"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/recovery"
)

// Ahead is how far the clocks of two hosts may be apart before a set counts as one from the future.
const Ahead = 10 * time.Minute

// FutureError is a set whose time is yet to come.
type FutureError struct {
	Ref catalog.Ref
	By  time.Duration
}

func (e *FutureError) Error() string {
	return fmt.Sprintf("%s is from the future, by %s: this clock was ahead when it was made, or is behind now", e.Ref, span(e.By))
}

// span is how long something is, in days where that is enough.
func span(d time.Duration) string {
	const day = 24 * time.Hour
	if d >= 2*day {
		return fmt.Sprintf("%dd", d/day)
	}
	return recovery.Format(d.Round(time.Minute))
}

// Age is how old a set is. One from the future would stay young until that has come, however long there was no other:
// that is a *FutureError.
func Age(s catalog.Set, now time.Time) (time.Duration, error) {
	age := now.Sub(s.Began(now))
	if age < -Ahead {
		return 0, &FutureError{s.Ref, -age}
	}
	return max(age, 0), nil
}
