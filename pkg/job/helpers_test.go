package job

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bmad-forge/forgectl/pkg/proc"
)

var clock = time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC)

// newRunner is a runner with its own state directory, a clock that stands
// still, and real hooks.
func newRunner(t *testing.T) *Runner {
	t.Helper()
	return &Runner{
		StateDir: filepath.Join(t.TempDir(), "state"), Host: "testhost", User: "tester", Version: "1.2.3",
		Now:  func() time.Time { return clock },
		Proc: proc.System{Environ: os.Environ(), Grace: 200 * time.Millisecond},
		Scrub: func(s string) string {
			return strings.ReplaceAll(s, "hunter2", "***")
		},
	}
}

// stored reads the record back from its file, as another program would.
func stored(t *testing.T, r *Runner, id string) Record {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(r.StateDir, "history", id+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var rec Record
	if err := json.Unmarshal(data, &rec); err != nil {
		t.Fatal(err)
	}
	return rec
}

func nothing(context.Context, *Run) error { return nil }
