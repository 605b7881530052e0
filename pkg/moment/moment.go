// Package moment reads a point in time as an operator types it.
//
// RFC 3339 says exactly which moment is meant. Wall time ("2026-11-23 02:00",
// with or without seconds, with a space or a T) is that of a given location, and
// it does not always name one moment: an hour that a change of the clocks leaves
// out, or goes through twice, is a *LocalError that names the moments it could
// be. Nothing is guessed; whoever asks shows Format of the result, so that a
// wrong zone is seen before it matters.
package moment

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// ErrSyntax means that a text is no point in time.
var ErrSyntax = errors.New("want RFC 3339 (2026-11-23T02:00:00Z) or local time (2026-11-23 02:00)")

// LocalError is a wall time that its location does not have, or has twice.
type LocalError struct {
	Text     string
	Location string
	Choices  []time.Time // the moments that it could be, if it occurs twice; else empty
}

func (e *LocalError) Error() string {
	if len(e.Choices) == 0 {
		return fmt.Sprintf("%s does not exist in %s: the clocks were put forward over it", e.Text, e.Location)
	}
	var choices []string
	for _, c := range e.Choices {
		choices = append(choices, c.Format(time.RFC3339))
	}
	return fmt.Sprintf("%s exists twice in %s: write %s", e.Text, e.Location, strings.Join(choices, " or "))
}

var layouts = []string{"2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02T15:04:05", "2006-01-02T15:04"}

// Parse reads s; wall time is that of loc.
func Parse(s string, loc *time.Location) (time.Time, error) {
	s = strings.TrimSpace(s)
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, nil
	}
	for _, layout := range layouts {
		// Parsed as UTC, where every wall time exists once.
		if wall, err := time.Parse(layout, s); err == nil {
			return local(s, wall, loc)
		}
	}
	return time.Time{}, fmt.Errorf("%q: %w", s, ErrSyntax)
}

// local finds the moments at which the clocks of loc show wall. No zone has ever
// been further from UTC than a day, so the offsets in force a day before and
// after, and those around a change in between, are all that can matter.
func local(text string, wall time.Time, loc *time.Location) (time.Time, error) {
	var found []time.Time
	for hours := -36; hours <= 36; hours++ {
		_, offset := wall.Add(time.Duration(hours) * time.Hour).In(loc).Zone()
		t := wall.Add(-time.Duration(offset) * time.Second).In(loc)
		if shows(t, wall) && (len(found) == 0 || !contains(found, t)) {
			found = append(found, t)
		}
	}
	if len(found) != 1 {
		return time.Time{}, &LocalError{Text: text, Location: loc.String(), Choices: found}
	}
	return found[0], nil
}

func shows(t, wall time.Time) bool {
	const layout = "2006-01-02 15:04:05"
	return t.Format(layout) == wall.Format(layout)
}

func contains(list []time.Time, t time.Time) bool {
	for _, l := range list {
		if l.Equal(t) {
			return true
		}
	}
	return false
}

// Format writes a moment for people: wall time of loc with its zone, and UTC,
// "2026-11-23 03:00:00 CET (2026-11-23T02:00:00Z)".
func Format(t time.Time, loc *time.Location) string {
	utc := t.UTC().Format(time.RFC3339)
	if _, offset := t.In(loc).Zone(); offset == 0 {
		return utc
	}
	return t.In(loc).Format("2006-01-02 15:04:05 MST") + " (" + utc + ")"
}
