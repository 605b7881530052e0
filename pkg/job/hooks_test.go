package job

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Hooks see the run in their environment, before and after, and what they print
// is in the record.
func TestHookEnvironment(t *testing.T) {
	const show = `echo "$FORGECTL_OPERATION|$FORGECTL_TARGET|$FORGECTL_OUTCOME|$FORGECTL_ERROR"; echo err >&2`
	tests := []struct {
		name      string
		operation func(context.Context, *Run) error
		after     string
	}{
		{"ok", nothing, "backup db|bmad_forge|ok|"},
		{"warning", func(_ context.Context, run *Run) error { run.Warn("look"); return nil }, "backup db|bmad_forge|warning|"},
		{"failed", func(context.Context, *Run) error { return errors.New("boom with hunter2") }, "backup db|bmad_forge|failed|boom with ***"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRunner(t)
			r.Hooks = Hooks{Before: []string{show}, After: []string{show}}
			rec, _ := r.Do(t.Context(), Spec{Operation: "backup db", Target: "bmad_forge"}, tt.operation)
			got := stored(t, r, rec.ID).Hooks
			if len(got) != 2 || got[0].When != "before" || got[1].When != "after" {
				t.Fatalf("hooks %+v", got)
			}
			for i, want := range []string{"backup db|bmad_forge||", tt.after} {
				lines := strings.Split(strings.TrimSpace(got[i].Output), "\n")
				if len(lines) != 2 || !contains(lines, want) || !contains(lines, "err") {
					t.Errorf("%s hook printed %q, want %q and err", got[i].When, got[i].Output, want)
				}
			}
		})
	}
}

func contains(lines []string, want string) bool {
	for _, l := range lines {
		if l == want {
			return true
		}
	}
	return false
}

// A before hook that fails stops the run, the ones behind it are not started,
// the after hooks are.
func TestBeforeHookFails(t *testing.T) {
	r := newRunner(t)
	r.Hooks = Hooks{
		Before: []string{"true", "echo no space >&2; exit 7", "echo third"},
		After:  []string{`echo "after $FORGECTL_OUTCOME"`},
	}
	rec, err := r.Do(t.Context(), Spec{Operation: "backup db"}, func(context.Context, *Run) error {
		t.Error("the operation ran")
		return nil
	})
	if err == nil || rec.Outcome != Failed {
		t.Fatalf("Do = %+v, %v", rec, err)
	}
	const want = `run before hook "echo no space >&2; exit 7": exit status 7: no space`
	if err.Error() != want {
		t.Errorf("error %q, want %q", err, want)
	}
	if len(rec.Hooks) != 3 || rec.Hooks[1].ExitCode != 7 || rec.Hooks[1].Error == "" || rec.Hooks[2].Output != "after failed\n" {
		t.Errorf("hooks %+v", rec.Hooks)
	}
}

// An after hook that fails is a warning, and the next one still runs.
func TestAfterHookFails(t *testing.T) {
	r := newRunner(t)
	r.Hooks.After = []string{"exit 3", "echo second"}
	rec, err := r.Do(t.Context(), Spec{Operation: "backup db"}, nothing)
	if err != nil || rec.Outcome != Warning {
		t.Fatalf("Do = %+v, %v", rec, err)
	}
	if len(rec.Warnings) != 1 || rec.Warnings[0] != `run after hook "exit 3": exit status 3` {
		t.Errorf("warnings %q", rec.Warnings)
	}
	if len(rec.Hooks) != 2 || rec.Hooks[1].Output != "second\n" {
		t.Errorf("hooks %+v", rec.Hooks)
	}
	if got := stored(t, r, rec.ID); got.Outcome != Warning || len(got.Hooks) != 2 {
		t.Errorf("stored %+v", got)
	}
}

// A hook that hangs is ended, with everything that it started; the error says
// which limit it hit.
func TestHookTimeout(t *testing.T) {
	r := newRunner(t)
	r.Hooks = Hooks{Before: []string{"echo begun; sleep 1000"}, Timeout: 50 * time.Millisecond}
	rec, err := r.Do(t.Context(), Spec{Operation: "backup db"}, nothing)
	var timeout *TimeoutError
	if !errors.As(err, &timeout) || rec.Outcome != Failed {
		t.Fatalf("Do = %+v, %v", rec, err)
	}
	if want := `run before hook "echo begun; sleep 1000": timed out after 50ms`; err.Error() != want {
		t.Errorf("error %q, want %q", err, want)
	}
	if rec.Hooks[0].ExitCode != -1 {
		t.Errorf("exit code %d of a hook that did not exit", rec.Hooks[0].ExitCode)
	}
}

// After hooks run for an interrupted run too: they start what was stopped.
func TestAfterHookWhenInterrupted(t *testing.T) {
	r := newRunner(t)
	r.Hooks.After = []string{`echo "$FORGECTL_OUTCOME"`}
	ctx, cancel := context.WithCancelCause(t.Context())
	rec, _ := r.Do(ctx, Spec{Operation: "backup db"}, func(ctx context.Context, _ *Run) error {
		cancel(errors.New("stopped"))
		return context.Cause(ctx)
	})
	if len(rec.Hooks) != 1 || rec.Hooks[0].Output != "interrupted\n" {
		t.Errorf("hooks %+v", rec.Hooks)
	}
}

// The end of a long output is kept, without a piece of a secret at the cut, and
// without what is no text.
func TestHookOutputBounded(t *testing.T) {
	r := newRunner(t)
	// hunter2 lies across the place where the output is cut.
	r.Hooks.Before = []string{`i=0; while [ $i -lt 4000 ]; do echo "line $i of a chatty hook"; i=$((i+1)); done; printf '\377'; ` +
		`printf 'hunter2%0*d' 16380 0`}
	rec, err := r.Do(t.Context(), Spec{Operation: "backup db"}, nothing)
	if err != nil {
		t.Fatal(err)
	}
	out := rec.Hooks[0].Output
	if len(out) > outputLimit+len("…") || !strings.HasPrefix(out, "…") || !strings.HasSuffix(out, "000") {
		t.Errorf("kept %d bytes, %.40q", len(out), out)
	}
	if strings.Contains(out, "ter2") {
		t.Errorf("half a secret: %.40q", out)
	}
	if _, err := json.Marshal(rec); err != nil {
		t.Error(err)
	}
}

// A hook may leave something running: what counts is how it ended itself.
func TestHookLeavesDaemon(t *testing.T) {
	r := newRunner(t)
	pidFile := filepath.Join(t.TempDir(), "pid")
	r.Hooks.Before = []string{"sleep 5 & echo $! >" + pidFile + "; echo started"}
	rec, err := r.Do(t.Context(), Spec{Operation: "backup db"}, nothing)
	if err != nil || rec.Outcome != OK {
		t.Fatalf("Do = %+v, %v", rec, err)
	}
	if _, err := os.Stat(pidFile); err != nil {
		t.Fatal(err)
	}
	if rec.Hooks[0].Output != "started\n" {
		t.Errorf("output %q", rec.Hooks[0].Output)
	}
}

// No secret stands in a record because of a hook: not in its command, its
// output, its error, and not in what it is told.
func TestHookSecrets(t *testing.T) {
	r := newRunner(t)
	r.Hooks = Hooks{Before: []string{`echo hunter2; echo hunter2 >&2; env | grep -c hunter2; exit 1`}}
	rec, _ := r.Do(t.Context(), Spec{Operation: "backup db", Target: "hunter2"}, nothing)
	data, err := json.Marshal(stored(t, r, rec.ID))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(data), "hunter2") {
		t.Errorf("secret in %s", data)
	}
	if !strings.Contains(rec.Hooks[0].Output, "0\n") {
		t.Errorf("the hook's environment held a secret: %q", rec.Hooks[0].Output)
	}
}
