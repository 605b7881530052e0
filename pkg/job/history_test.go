package job

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The newest records come first, and no more than asked for; without a single
// record there is no error.
func TestHistory(t *testing.T) {
	r := newRunner(t)
	if got, err := r.History(t.Context(), 0); err != nil || len(got) != 0 {
		t.Fatalf("before the first run: %v, %v", got, err)
	}
	for i := range 5 {
		r.Now = func() time.Time { return clock.Add(time.Duration(i) * time.Minute) }
		if _, err := r.Do(t.Context(), Spec{Operation: "backup db", Target: fmt.Sprint(i)}, nothing); err != nil {
			t.Fatal(err)
		}
	}
	for limit, want := range map[int]string{0: "43210", -1: "43210", 2: "43", 9: "43210"} {
		got, err := r.History(t.Context(), limit)
		if err != nil {
			t.Fatal(err)
		}
		targets := ""
		for _, rec := range got {
			targets += rec.Target
		}
		if targets != want {
			t.Errorf("History(%d) = %s, want %s", limit, targets, want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.History(ctx, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// Runs of the same second come in the order in which they began, whatever their names and pids sort like, also when only
// the newest are asked for.
func TestHistorySameSecond(t *testing.T) {
	r := newRunner(t)
	for i, operation := range []string{"restore db", "backup prune", "history", "backup db"} {
		r.Now = func() time.Time { return clock.Add(time.Duration(i) * time.Millisecond) }
		if _, err := r.Do(t.Context(), Spec{Operation: operation, Target: fmt.Sprint(i)}, nothing); err != nil {
			t.Fatal(err)
		}
	}
	for limit, want := range map[int]string{0: "3210", 1: "3", 2: "32", 3: "321"} {
		got, err := r.History(t.Context(), limit)
		if err != nil {
			t.Fatal(err)
		}
		targets := ""
		for _, rec := range got {
			targets += rec.Target
		}
		if targets != want {
			t.Errorf("History(%d) = %s, want %s", limit, targets, want)
		}
	}
}

// A damaged record is listed as such and hides no other; what is no record is
// ignored.
func TestHistoryDamage(t *testing.T) {
	r := newRunner(t)
	if _, err := r.Do(t.Context(), Spec{Operation: "backup db"}, nothing); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(r.StateDir, "history")
	for name, content := range map[string]string{
		"20261124T020000Z-backup-db-1.json": `{"operation": "ba`,
		"20261125T020000Z-backup-db-1.json": `{}`,
		".20261126T020000Z-x-1.json.tmp-1":  `{}`,
		"notes.txt":                         "x",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "dir.json"), 0o700); err != nil {
		t.Fatal(err)
	}
	got, err := r.History(t.Context(), 0)
	if err != nil || len(got) != 3 {
		t.Fatalf("%d records, %v; want 3", len(got), err)
	}
	if got[0].Outcome != Unreadable || got[1].Outcome != Unreadable || got[2].Outcome != OK {
		t.Errorf("outcomes %s %s %s", got[0].Outcome, got[1].Outcome, got[2].Outcome)
	}
	if got[1].ID != "20261124T020000Z-backup-db-1" || !got[1].Started.Equal(clock.AddDate(0, 0, 1)) {
		t.Errorf("damaged record %+v", got[1])
	}
}

// An id finds its record; nothing outside of the history can be reached by one.
func TestGet(t *testing.T) {
	r := newRunner(t)
	rec, err := r.Do(t.Context(), Spec{Operation: "backup db"}, nothing)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(r.StateDir, "outside.json"), []byte(`{"outcome":"ok"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := r.Get(t.Context(), rec.ID); err != nil || got.ID != rec.ID || got.Outcome != OK {
		t.Errorf("Get = %+v, %v", got, err)
	}
	for _, id := range []string{"", "20261124T020000Z-backup-db-1", "../outside", "..", "a/b", "x\x00"} {
		if _, err := r.Get(t.Context(), id); !errors.Is(err, ErrNotFound) {
			t.Errorf("Get(%q) = %v, want ErrNotFound", id, err)
		}
	}
}

// The oldest records go when there are more than enough.
func TestPrune(t *testing.T) {
	r := newRunner(t)
	dir := filepath.Join(r.StateDir, "history")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for i := range keepRecords + 5 {
		at := clock.Add(-time.Duration(i+1) * time.Hour)
		name := fmt.Sprintf("%s-x-1.json", at.Format(timeLayout))
		if err := os.WriteFile(filepath.Join(dir, name), []byte(`{"outcome":"ok"}`), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	rec, err := r.Do(t.Context(), Spec{Operation: "backup db"}, nothing)
	if err != nil {
		t.Fatal(err)
	}
	ids, err := r.ids()
	if err != nil || len(ids) != keepRecords || ids[len(ids)-1] != rec.ID {
		t.Errorf("%d records, newest %s, %v", len(ids), ids[len(ids)-1], err)
	}
	if want := clock.Add(-(keepRecords - 1) * time.Hour).Format(timeLayout); !strings.HasPrefix(ids[0], want) {
		t.Errorf("oldest %s, want %s", ids[0], want)
	}
}

const (
	childEnv = "JOB_TEST_STATE"
	lockEnv  = "JOB_TEST_LOCK"
)

// TestMain lets the test binary be the run that is killed.
func TestMain(m *testing.M) {
	dir := os.Getenv(childEnv)
	if dir == "" {
		os.Exit(m.Run())
	}
	r := &Runner{StateDir: dir, Host: "testhost", User: "victim"}
	_, _ = r.Do(context.Background(), Spec{Operation: "backup db", Lock: os.Getenv(lockEnv)}, func(context.Context, *Run) error {
		fmt.Println("running")
		select {}
	})
}

// A run that was killed by SIGKILL is shown as killed, also when its pid
// belongs to somebody else by now, and its lock is free; on another host nobody
// can know.
func TestKilled(t *testing.T) {
	r := newRunner(t)
	lockPath := filepath.Join(t.TempDir(), "lock")
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), childEnv+"="+r.StateDir, lockEnv+"="+lockPath)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "running\n" {
		t.Fatalf("child said %q, %v", line, err)
	}

	only := func(when string) Record {
		t.Helper()
		got, err := r.History(t.Context(), 0)
		if err != nil || len(got) != 1 {
			t.Fatalf("%s: history %+v, %v", when, got, err)
		}
		return got[0]
	}
	rec := only("while it runs")
	if rec.Outcome != Running {
		t.Errorf("while it runs: %s", rec.Outcome)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := cmd.Process.Wait(); err != nil {
		t.Fatal(err)
	}
	rec = only("after the kill")
	if want := fmt.Sprintf("process %d ended without writing how", cmd.Process.Pid); rec.Outcome != Killed || rec.Error != want {
		t.Errorf("after the kill: %s %q", rec.Outcome, rec.Error)
	}
	if rec.Duration() != 0 {
		t.Errorf("duration %s of a run whose end nobody saw", rec.Duration())
	}

	elsewhere := *r
	elsewhere.Host = "otherhost"
	if got, _ := elsewhere.History(t.Context(), 0); got[0].Outcome != Running {
		t.Errorf("seen from another host: %s", got[0].Outcome)
	}

	// Our own pid, alive, with the identity of another process.
	reused := stored(t, r, rec.ID)
	reused.PID = os.Getpid()
	if err := r.save(reused); err != nil {
		t.Fatal(err)
	}
	if got := only("pid used again"); got.Outcome != Killed {
		t.Errorf("pid used again: %s", got.Outcome)
	}
	if err := os.Remove(filepath.Join(r.StateDir, "history", rec.ID+".json")); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Do(t.Context(), Spec{Operation: "backup db", Lock: lockPath}, nothing); err != nil {
		t.Errorf("the lock of the dead: %v", err)
	}
}
