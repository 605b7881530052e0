package proctest_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/proc"
	"github.com/bmad-forge/forgectl/pkg/proc/proctest"
)

// The fake answers as told and remembers what it was asked.
func TestRunner(t *testing.T) {
	r := &proctest.Runner{T: t, Handlers: map[string]proctest.Handler{
		"pg_dump": proctest.Reply{Stdout: "dump", Stderr: []string{"pg_dump: warning: x"}}.Play,
		"psql":    proctest.Reply{ExitCode: 3, Stderr: []string{"psql: error: no"}}.Play,
	}}
	out, err := proc.Output(t.Context(), r, proc.Cmd{Path: "/usr/bin/pg_dump", Args: []string{"-Fc"}})
	if err != nil || string(out) != "dump" {
		t.Errorf("got %q, %v", out, err)
	}
	var lines []string
	err = r.Run(t.Context(), proc.Cmd{
		Path: "psql", Stdin: strings.NewReader("SELECT 1;"), Stderr: func(s string) { lines = append(lines, s) },
	})
	var e *proc.Error
	if !errors.As(err, &e) || e.ExitCode != 3 || err.Error() != "psql: exit status 3: error: no" || len(lines) != 1 {
		t.Errorf("got %v, lines %q", err, lines)
	}
	if got := r.Lines(); !slices.Equal(got, []string{"pg_dump -Fc", "psql"}) {
		t.Errorf("got %q", got)
	}
	if got := string(r.Calls()[1].Input); got != "SELECT 1;" {
		t.Errorf("input %q", got)
	}
}

// A played program that ignores the end of its context still fails with the cause.
func TestRunnerCancelled(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	r := &proctest.Runner{T: t, Handlers: map[string]proctest.Handler{
		"sleep": func(ctx context.Context, _ proc.Cmd) error { cancel(why); <-ctx.Done(); return nil },
	}}
	for range 2 { // the second is not even started
		if err := r.Run(ctx, proc.Cmd{Path: "sleep"}); !errors.Is(err, why) {
			t.Errorf("got %v", err)
		}
	}
	if n := len(r.Calls()); n != 1 {
		t.Errorf("%d calls", n)
	}
}

// With Next the real program runs, and its command line is known.
func TestRunnerNext(t *testing.T) {
	r := &proctest.Runner{T: t, Next: proc.System{}}
	out, err := proc.Output(t.Context(), r, proc.Cmd{Path: "cat", Stdin: strings.NewReader("through")})
	if err != nil || string(out) != "through" || string(r.Calls()[0].Input) != "through" {
		t.Errorf("got %q, %v, %+v", out, err, r.Calls())
	}
}

type recordingTB struct {
	testing.TB
	failed bool
}

func (r *recordingTB) Errorf(string, ...any) { r.failed = true }

// A program that nobody expected fails the test.
func TestRunnerUnexpected(t *testing.T) {
	tb := &recordingTB{TB: t}
	r := &proctest.Runner{T: tb}
	if err := r.Run(t.Context(), proc.Cmd{Path: "rm"}); !errors.Is(err, proc.ErrNotFound) || !tb.failed {
		t.Errorf("got %v, failed %v", err, tb.failed)
	}
}
