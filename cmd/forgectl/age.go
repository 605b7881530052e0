package main

import (
	"fmt"
	"time"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/ui"
)

// aheadLimit is how far the clocks of two hosts may be apart before a set counts
// as one from the future.
const aheadLimit = 10 * time.Minute

// ageOf is how old a set is. One from the future would stay young until that has
// come, however long there was no other: that is an error, and CRITICAL.
func (a *App) ageOf(s catalog.Set) (time.Duration, error) {
	age := a.Now().Sub(s.Began(a.Now()))
	if age < -aheadLimit {
		err := fmt.Errorf("%s is from the future, by %s: this clock was ahead when it was made, or is behind now", s.Ref, ui.Age(-age))
		return 0, withHint(withCode(exitCritical, err), "timedatectl status; when the clock is right: forgectl backup db")
	}
	return max(age, 0), nil
}
