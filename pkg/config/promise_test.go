package config

import (
	"strings"
	"testing"
	"time"
)

// Promise: a percentage is written with its sign or without, off and 0 are none, and what is nonsense is refused.
func TestShrink(t *testing.T) {
	for text, want := range map[string]int{"50": 50, "50%": 50, "50 %": 50, `"50%"`: 50, "1": 1, "99%": 99, "0": 0, "off": 0, `"off"`: 0, "0%": 0} {
		l, err := loadYAML(t, "guard: {shrink: "+text+"}\n")
		if err != nil || l.Guard.Shrink != want {
			t.Errorf("%s: %d, %v", text, l.Guard.Shrink, err)
			continue
		}
		// What config show prints can be written into the file.
		shown := ""
		for _, v := range l.Values() {
			if v.Key == "guard.shrink" {
				shown = v.Value
			}
		}
		if again, err := loadYAML(t, "guard: {shrink: "+shown+"}\n"); err != nil || again.Guard.Shrink != want {
			t.Errorf("%s is shown as %s: %v", text, shown, err)
		}
	}
	for _, text := range []string{"100", "-1", "100%", "50.5", "half", "050", `"%"`, `""`, "1e1", "false", "50%%"} {
		if l, err := loadYAML(t, "guard: {shrink: "+text+"}\n"); err == nil || !strings.Contains(err.Error(), "want a percentage") && !strings.Contains(err.Error(), "a percentage from 1 % to 99 %, or off") {
			t.Errorf("%s: %v, %v", text, l, err)
		}
	}
	l := mustLoad(t, Options{Root: true, Environ: []string{"FORGECTL_GUARD_SHRINK=off"}})
	if l.Guard.Shrink != 0 {
		t.Errorf("from the environment: %d", l.Guard.Shrink)
	}
}

// Promise: a promise is a time, and none is the default, nothing, or 0.
func TestRecovery(t *testing.T) {
	for text, want := range map[string]time.Duration{"30m": 30 * time.Minute, "26h": 26 * time.Hour, "2d": 48 * time.Hour, "0": 0, `""`: 0} {
		l, err := loadYAML(t, "recovery: {rto: "+text+", rpo: "+text+"}\n")
		if err != nil || l.Recovery.RTO != want || l.Recovery.RPO != want {
			t.Errorf("%s: %+v, %v", text, l.Recovery, err)
		}
	}
	for _, text := range []string{"30", "-1h", "soon"} {
		if _, err := loadYAML(t, "recovery: {rto: "+text+"}\n"); err == nil || !strings.Contains(err.Error(), "recovery.rto") {
			t.Errorf("%s: %v", text, err)
		}
	}
}
