// Package recovery holds what was measured against what was promised for a bad
// day: how long a restore takes (recovery time objective), and how old the newest
// good set is (recovery point objective).
//
// A broken promise says nothing about a set: the set is whole, and it is the
// server, the size of the database or the schedule that does not keep up.
package recovery

import (
	"strings"
	"time"

	"github.com/bmad-forge/forgectl/pkg/catalog"
)

// State is how a promise fares.
type State int

// The states. Near is from four fifths on: time to do something about it.
const (
	Kept State = iota
	Near
	Broken
)

// Judge compares. A promise of 0, or less, is none, and is always kept. What takes exactly as long as was promised is
// Near.
func Judge(measured, promised time.Duration) State {
	switch {
	case promised <= 0:
		return Kept
	case measured > promised:
		return Broken
	case measured >= promised/5*4:
		return Near
	}
	return Kept
}

// startServer is the stage of a drill that no restore has: it goes into a server that runs.
const startServer = "start server"

// Time is how long a restore would have taken to a usable database, by the stages of a drill: reading the whole set and
// its sums, loading, comparing with the fingerprint, and analyzing, for without statistics a database is not usable.
// The start of the throwaway server does not count.
func Time(drill []catalog.Stage) time.Duration {
	var all float64
	for _, stage := range drill {
		if stage.Name != startServer {
			all += stage.Seconds
		}
	}
	return time.Duration(all * float64(time.Second))
}

// Format writes a time as it stands in a configuration: "31h", "1h30m", "1m30s".
func Format(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
