package main

import (
	"testing"
	"time"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/config"
)

// Promise: a drill that took less than 80 % of what recovery.rto promises says
// nothing, from there on it is a WARNING, and beyond it CRITICAL.
func TestDrillAgainstPromise(t *testing.T) {
	for seconds, want := range map[float64]int{7.9: exitOK, 8: exitWarning, 10: exitWarning, 10.1: exitCritical} {
		app, _, _ := newTestApp(t)
		app.loaded = &config.Loaded{}
		app.loaded.Recovery.RTO = 10 * time.Second
		warned := 0
		shown, err := app.checkTime("forge/20261123T020000Z", []catalog.Stage{{Name: "load data", Seconds: seconds}}, func(string) { warned++ })
		got := codeOf(err, true)
		if err == nil && warned == 1 {
			got = exitWarning
		}
		if got != want || warned > 1 || shown.Kept != (want != exitCritical) {
			t.Errorf("%v s: %d, want %d: %v", seconds, got, want, err)
		}
	}
}
