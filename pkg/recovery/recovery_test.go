package recovery_test

import (
	"testing"
	"time"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/recovery"
)

// Promise: a warning comes at four fifths, the alarm beyond the whole, and where nothing was promised nothing is broken.
func TestJudge(t *testing.T) {
	for _, c := range []struct {
		measured, promised time.Duration
		want               recovery.State
	}{
		{0, time.Hour, recovery.Kept},
		{48*time.Minute - 1, time.Hour, recovery.Kept},
		{48 * time.Minute, time.Hour, recovery.Near},
		{time.Hour, time.Hour, recovery.Near},
		{time.Hour + 1, time.Hour, recovery.Broken},
		{1000 * time.Hour, 0, recovery.Kept},
		{1000 * time.Hour, -1, recovery.Kept},
		{1, 1, recovery.Near},
		{36500 * 24 * time.Hour, 36500 * 24 * time.Hour, recovery.Near},
	} {
		if got := recovery.Judge(c.measured, c.promised); got != c.want {
			t.Errorf("%s of %s: %d, want %d", c.measured, c.promised, got, c.want)
		}
	}
}

// Promise: everything counts that a restore needs until the database is usable, and nothing else.
func TestTime(t *testing.T) {
	var drill []catalog.Stage
	for i, name := range []string{"checksum", "pre-data", "data", "post-data", "compare", "analyze"} {
		drill = append(drill, catalog.Stage{Name: name, Seconds: float64(int64(1) << i)}, catalog.Stage{Name: "start server", Seconds: 100})
	}
	if got := recovery.Time(drill); got != 63*time.Second {
		t.Error(got)
	}
	if got := recovery.Time(nil); got != 0 {
		t.Error(got)
	}
}

// Promise: a promise is shown as it was written.
func TestFormat(t *testing.T) {
	for want, d := range map[string]time.Duration{"31h": 31 * time.Hour, "1h30m": 90 * time.Minute, "1m30s": 90 * time.Second, "10m": 10 * time.Minute, "100ms": 100 * time.Millisecond, "0s": 0} {
		if got := recovery.Format(d); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
