package job

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bmad-forge/forgectl/pkg/lock"
)

// Each way in which an operation can end has its outcome, in the record that Do
// returns and in the one on disk.
func TestOutcome(t *testing.T) {
	boom := errors.New("boom")
	tests := []struct {
		name      string
		operation func(ctx context.Context, run *Run) error
		outcome   string
		want      error
		text      string
	}{
		{"ok", nothing, OK, nil, ""},
		{"warning", func(_ context.Context, run *Run) error { run.Warn("look"); return nil }, Warning, nil, ""},
		{"failed", func(context.Context, *Run) error { return fmt.Errorf("dump x: %w", boom) }, Failed, boom, "dump x: boom"},
		{"failed with warnings", func(_ context.Context, run *Run) error { run.Warn("look"); return boom }, Failed, boom, "boom"},
		{"a lock inside was held", func(context.Context, *Run) error { return &lock.HeldError{Path: "x"} }, Locked, lock.ErrHeld,
			(&lock.HeldError{Path: "x"}).Error()},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRunner(t)
			rec, err := r.Do(t.Context(), Spec{Operation: "backup db", Target: "bmad_forge"}, tt.operation)
			if !errors.Is(err, tt.want) {
				t.Errorf("Do = %v, want %v", err, tt.want)
			}
			if rec.Outcome != tt.outcome || rec.Error != tt.text {
				t.Errorf("record says %q %q, want %q %q", rec.Outcome, rec.Error, tt.outcome, tt.text)
			}
			if got := stored(t, r, rec.ID); got.Outcome != tt.outcome || got.Error != tt.text || !got.Finished.Equal(clock) {
				t.Errorf("stored %+v", got)
			}
		})
	}
}

// While the operation runs its record is on disk already, so that a kill leaves
// a trace; identity and place of the run stand in it.
func TestRecordAtStart(t *testing.T) {
	r := newRunner(t)
	rec, err := r.Do(t.Context(), Spec{Operation: "backup db", Target: "bmad_forge"}, func(_ context.Context, run *Run) error {
		got, err := r.History(t.Context(), 0)
		if err != nil || len(got) != 1 {
			return fmt.Errorf("history %v: %w", got, err)
		}
		if got[0].Outcome != Running || !got[0].Finished.IsZero() {
			return fmt.Errorf("record at start: %+v", got[0])
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("20261123T020000Z-backup-db-%d", os.Getpid()); rec.ID != want {
		t.Errorf("id %q, want %q", rec.ID, want)
	}
	if rec.Host != "testhost" || rec.User != "tester" || rec.Version != "1.2.3" || rec.PID != os.Getpid() || rec.Process == "" {
		t.Errorf("record %+v", rec)
	}
	info, err := os.Stat(filepath.Join(r.StateDir, "history", rec.ID+".json"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
	}
	if info, err := os.Stat(filepath.Join(r.StateDir, "history")); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("directory mode %v, %v; want 0700", info.Mode(), err)
	}
}

// Runs of the same operation in the same second keep a record each.
func TestSameSecond(t *testing.T) {
	r := newRunner(t)
	for range 3 {
		if _, err := r.Do(t.Context(), Spec{Operation: "backup db"}, nothing); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := r.History(t.Context(), 0); err != nil || len(got) != 3 {
		t.Errorf("%d records, %v; want 3", len(got), err)
	}
}

// A second run is refused, runs neither hooks nor operation, and is told who
// holds the lock; two that share get along.
func TestLocked(t *testing.T) {
	r := newRunner(t)
	path := filepath.Join(t.TempDir(), "lock")
	marker := filepath.Join(t.TempDir(), "hook-ran")
	other := *r
	other.User, other.Hooks = "second", Hooks{Before: []string{"touch " + marker}, After: []string{"touch " + marker}}
	spec := Spec{Operation: "backup db", Lock: path}

	_, err := r.Do(t.Context(), spec, func(ctx context.Context, _ *Run) error {
		rec, err := other.Do(ctx, spec, func(context.Context, *Run) error {
			t.Error("ran although locked")
			return nil
		})
		var held *lock.HeldError
		if !errors.As(err, &held) {
			t.Fatalf("second run: %v, want a HeldError", err)
		}
		if rec.Outcome != Locked || stored(t, r, rec.ID).Outcome != Locked {
			t.Errorf("record %+v", rec)
		}
		for _, want := range []string{"tester", fmt.Sprint(os.Getpid()), "backup db"} {
			if !strings.Contains(rec.Error, want) {
				t.Errorf("%q does not name %q of the holder", rec.Error, want)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(marker); err == nil {
		t.Error("a hook ran although locked")
	}
	// Free again, also after a failure.
	for range 2 {
		if rec, _ := r.Do(t.Context(), spec, func(context.Context, *Run) error { return errors.New("no") }); rec.Outcome != Failed {
			t.Fatalf("lock not released: %+v", rec)
		}
	}
	spec.Shared = true
	_, err = r.Do(t.Context(), spec, func(ctx context.Context, _ *Run) error {
		_, err := other.Do(ctx, spec, nothing)
		return err
	})
	if err != nil {
		t.Errorf("two that share: %v", err)
	}
}

// A directory that takes no records costs a warning, not the operation.
func TestUnwritableState(t *testing.T) {
	tests := map[string]func(t *testing.T) string{
		"a file in the way": func(t *testing.T) string {
			path := filepath.Join(t.TempDir(), "state")
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			return path
		},
		"a link to nowhere": func(t *testing.T) string {
			path := filepath.Join(t.TempDir(), "state")
			if err := os.Symlink("/nonexistent/x", path); err != nil {
				t.Fatal(err)
			}
			return path
		},
		"no place at all": func(*testing.T) string { return "/proc/forgectl" },
	}
	for name, dir := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRunner(t)
			r.StateDir = dir(t)
			ran := false
			rec, err := r.Do(t.Context(), Spec{Operation: "backup db"}, func(context.Context, *Run) error { ran = true; return nil })
			if err != nil || !ran {
				t.Fatalf("Do = %v, ran %v", err, ran)
			}
			if rec.Outcome != Warning || len(rec.Warnings) != 1 || !strings.HasPrefix(rec.Warnings[0], "no record of this run: ") {
				t.Errorf("record %+v, want exactly one warning about itself", rec)
			}
		})
	}
	t.Run("breaks while running", func(t *testing.T) {
		r := newRunner(t)
		rec, err := r.Do(t.Context(), Spec{Operation: "backup db"}, func(context.Context, *Run) error {
			if err := os.RemoveAll(r.StateDir); err != nil {
				return err
			}
			return os.WriteFile(r.StateDir, nil, 0o600)
		})
		if err != nil || rec.Outcome != Warning || len(rec.Warnings) != 1 {
			t.Errorf("Do = %+v, %v", rec, err)
		}
	})
}

// The time limit ends the context with a cause that says which limit, however
// the operation words its failure; that is a failure and no interruption.
func TestTimeout(t *testing.T) {
	tests := map[string]func(ctx context.Context) error{
		"cause":  func(ctx context.Context) error { <-ctx.Done(); return context.Cause(ctx) },
		"err":    func(ctx context.Context) error { <-ctx.Done(); return fmt.Errorf("query: %w", ctx.Err()) },
		"hidden": func(ctx context.Context) error { <-ctx.Done(); return errors.New("conn closed") },
	}
	for name, operation := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRunner(t)
				rec, err := r.Do(t.Context(), Spec{Operation: "backup db", Timeout: 90 * time.Second},
					func(ctx context.Context, _ *Run) error { return operation(ctx) })
				var timeout *TimeoutError
				if !errors.As(err, &timeout) || !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("Do = %v, want a TimeoutError", err)
				}
				if rec.Outcome != Failed || !strings.HasPrefix(rec.Error, "timed out after 1m30s") {
					t.Errorf("record %q %q", rec.Outcome, rec.Error)
				}
				if strings.Count(rec.Error, "timed out") != 1 {
					t.Errorf("%q says it twice", rec.Error)
				}
			})
		})
	}
}

// What was stopped from outside is interrupted, with the cause kept, unless it
// had finished all the same. Stopped before it began, it does not begin.
func TestInterrupted(t *testing.T) {
	signal := errors.New("interrupted by a signal")
	r := newRunner(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	rec, err := r.Do(ctx, Spec{Operation: "backup db"}, func(context.Context, *Run) error {
		cancel(signal)
		return errors.New("conn closed")
	})
	if !errors.Is(err, signal) || rec.Outcome != Interrupted || rec.Error != "interrupted by a signal: conn closed" {
		t.Errorf("Do = %q %q, %v", rec.Outcome, rec.Error, err)
	}

	ctx, cancel = context.WithCancelCause(t.Context())
	rec, err = r.Do(ctx, Spec{Operation: "backup db"}, func(context.Context, *Run) error { cancel(signal); return nil })
	if err != nil || rec.Outcome != OK {
		t.Errorf("finished all the same: %q, %v", rec.Outcome, err)
	}

	marker := filepath.Join(t.TempDir(), "hook-ran")
	r.Hooks = Hooks{Before: []string{"touch " + marker}, After: []string{"touch " + marker}}
	rec, err = r.Do(ctx, Spec{Operation: "backup db"}, func(context.Context, *Run) error { t.Error("began"); return nil })
	if !errors.Is(err, signal) || rec.Outcome != Interrupted {
		t.Errorf("stopped before it began: %q, %v", rec.Outcome, err)
	}
	if _, err := os.Stat(marker); err == nil {
		t.Error("a hook ran for a run that never began")
	}
}

// A panic goes on, with a record left and the lock free.
func TestPanic(t *testing.T) {
	r := newRunner(t)
	marker := filepath.Join(t.TempDir(), "hook-ran")
	r.Hooks.After = []string{"touch " + marker}
	spec := Spec{Operation: "backup db", Lock: filepath.Join(t.TempDir(), "lock")}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		_, _ = r.Do(t.Context(), spec, func(context.Context, *Run) error { panic("bug") })
	}()
	got, err := r.History(t.Context(), 0)
	if err != nil || len(got) != 1 || got[0].Outcome != Failed {
		t.Fatalf("history %+v, %v", got, err)
	}
	if _, err := os.Stat(marker); err != nil {
		t.Errorf("after hook: %v", err)
	}
	if _, err := r.Do(t.Context(), spec, nothing); err != nil {
		t.Errorf("the lock is still held: %v", err)
	}
}

// Warnings, facts and log lines are kept, bounded and scrubbed, and 64-bit
// figures stay exact.
func TestNotes(t *testing.T) {
	r := newRunner(t)
	var log bytes.Buffer
	r.Logger = slog.New(slog.NewTextHandler(&log, nil))
	type nested struct{ URL string }
	rec, err := r.Do(t.Context(), Spec{Operation: "backup db", Target: "postgres://u:hunter2@h/db"}, func(_ context.Context, run *Run) error {
		for i := range 250 {
			run.Warn(fmt.Sprintf("warning %d hunter2", i))
		}
		for i := range 1000 {
			run.Log.Info("line", "n", i, "password", "hunter2")
		}
		run.Warn(strings.Repeat("x", 1<<20))
		run.Fact("bytes", int64(9007199254740993))
		run.Fact("deep", map[string]any{"list": []any{nested{"hunter2"}}})
		run.Fact("channel", make(chan int))
		run.Fact("twice", 1)
		run.Fact("twice", 2)
		return errors.New("login with hunter2 failed")
	})
	if err == nil || !strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the error itself must come back as it is: %v", err)
	}
	if n := len(rec.Warnings); n != warningLimit+1 || rec.Warnings[n-1] != "51 more warnings are not shown" {
		t.Errorf("%d warnings, last %q", n, rec.Warnings[n-1])
	}
	if len(rec.Log) != logLimit || !strings.Contains(rec.Log[0], "n=0 ") || !strings.Contains(rec.Log[logLimit-1], "n=999 ") ||
		rec.Log[logLimit/3] != "… 701 lines are not kept …" {
		t.Errorf("log of %d: first %q, cut %q, last %q", len(rec.Log), rec.Log[0], rec.Log[logLimit/3], rec.Log[len(rec.Log)-1])
	}
	if !strings.Contains(log.String(), "n=500") {
		t.Error("the runner's own logger did not get the lines")
	}
	got := stored(t, r, rec.ID)
	data, _ := json.Marshal(got)
	if bytes.Contains(data, []byte("hunter2")) {
		t.Errorf("a secret is in the record")
	}
	if len(data) > 1<<20 {
		t.Errorf("record of %d bytes", len(data))
	}
	raw, err := os.ReadFile(filepath.Join(r.StateDir, "history", rec.ID+".json"))
	if err != nil || !bytes.Contains(raw, []byte(`"bytes": 9007199254740993`)) {
		t.Errorf("64-bit figure not exact: %v", err)
	}
	if got.Facts["twice"] != 2.0 {
		t.Errorf("facts %v", got.Facts)
	}
}

// The notes of a run can come from several goroutines (this is for -race).
func TestNotesConcurrently(t *testing.T) {
	r := newRunner(t)
	_, err := r.Do(t.Context(), Spec{Operation: "x"}, func(_ context.Context, run *Run) error {
		done := make(chan struct{})
		for range 4 {
			go func() {
				for i := range 100 {
					run.Warn("w")
					run.Fact("k", i)
					run.Log.Info("l")
				}
				done <- struct{}{}
			}()
		}
		for range 4 {
			<-done
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

var _ io.Writer = (*logWriter)(nil)
