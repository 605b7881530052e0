package service

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/bmad-forge/forgectl/pkg/proc"
)

// supervisor asks supervisorctl. Its exit codes say little (4 is for a program
// that does not exist, and for a supervisord that does not), and what it has to
// say it says on stdout: so the words are read.
type supervisor struct {
	run  proc.Runner
	args []string
}

func (*supervisor) Name() string { return Supervisor }

func (*supervisor) targets(units []string) ([]string, error) { return checked(units, supervisorName) }

func (s *supervisor) State(ctx context.Context, unit string) (State, error) {
	l, err := s.look(ctx, unit)
	return l.state, err
}

func (s *supervisor) look(ctx context.Context, unit string) (look, error) {
	if err := supervisorName(unit); err != nil {
		return look{}, err
	}
	out, err := s.supervisorctl(ctx, "status", unit)
	if ctx.Err() != nil {
		return look{}, context.Cause(ctx)
	}
	lines := tailLines(out)
	if len(lines) == 1 {
		if missing(lines[0]) {
			return look{state: NotFound}, nil
		}
		if l, known := supervisorLook(lines[0]); known {
			return l, nil
		}
	}
	return look{}, s.unavailable(out, err)
}

// missing is what supervisorctl says of a program that it does not have.
func missing(line string) bool {
	return strings.HasSuffix(line, ": ERROR (no such process)") || strings.HasSuffix(line, ": ERROR (no such group)")
}

// supervisorLook reads a line such as
//
//	bmad-forge                       RUNNING   pid 4711, uptime 0:01:02
func supervisorLook(line string) (look, bool) {
	fields := strings.Fields(line)
	if len(fields) < 2 {
		return look{}, false
	}
	state, known := supervisorStates[fields[1]]
	l := look{state: state, detail: fields[1]}
	if len(fields) > 3 && fields[2] == "pid" {
		l.run = strings.TrimSuffix(fields[3], ",")
	}
	return l, known
}

// supervisorStates leaves out supervisor's UNKNOWN, which is a mistake in
// supervisor itself: there nobody can tell.
var supervisorStates = map[string]State{
	"STOPPED":  Inactive,
	"STARTING": Activating,
	"RUNNING":  Active,
	"BACKOFF":  Activating, // it died while starting, and is tried again
	"STOPPING": Deactivating,
	"EXITED":   Inactive,
	"FATAL":    Failed,
}

func (s *supervisor) Start(ctx context.Context, unit string) error {
	return s.do(ctx, "start", unit, ": started", ": ERROR (already started)")
}

func (s *supervisor) Stop(ctx context.Context, unit string) error {
	return s.do(ctx, "stop", unit, ": stopped", ": ERROR (not running)")
}

// Restart is not supervisorctl's own, which goes on after a stop that failed.
func (s *supervisor) Restart(ctx context.Context, unit string) error {
	if err := s.Stop(ctx, unit); err != nil {
		return err
	}
	return s.Start(ctx, unit)
}

func (s *supervisor) do(ctx context.Context, verb, unit string, well ...string) error {
	if err := supervisorName(unit); err != nil {
		return err
	}
	out, err := s.supervisorctl(ctx, verb, unit)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	lines := tailLines(out)
	for _, line := range lines {
		for _, suffix := range well {
			if strings.HasSuffix(line, suffix) {
				return nil
			}
		}
		if missing(line) {
			return &UnitError{Op: verb, Unit: unit, State: NotFound, Err: ErrNotFound}
		}
		if _, why, found := strings.Cut(line, ": ERROR "); found {
			return &UnitError{Op: verb, Unit: unit, Err: errors.New(strings.Trim(why, "()")), Hint: "supervisorctl tail " + unit + " stderr"}
		}
	}
	return s.unavailable(out, err)
}

func (s *supervisor) unavailable(out string, err error) error {
	hint := "is supervisord running, and may this user use its socket? supervisorctl status"
	if errors.Is(err, proc.ErrNotFound) {
		hint = "there is no supervisorctl here; set service.manager to what runs the application, or to none"
	}
	if lines := tailLines(out); len(lines) > 0 {
		why := errors.New(last(lines))
		if err != nil {
			why = fmt.Errorf("%s (%w)", last(lines), err)
		}
		err = why
	}
	if err == nil {
		err = errors.New("supervisorctl says nothing")
	}
	return &UnavailableError{Manager: Supervisor, Hint: hint, Err: err}
}

// lastLines are the end of what the program wrote to stderr, when supervisor
// keeps that.
func (s *supervisor) lastLines(ctx context.Context, unit string) []string {
	out, err := s.supervisorctl(ctx, "tail", "-2000", unit, "stderr")
	if err != nil {
		return nil
	}
	return tailLines(out)
}

// supervisorctl puts "--" before the verb: what follows is joined to one line
// and split again, so it would be a name there.
func (s *supervisor) supervisorctl(ctx context.Context, words ...string) (string, error) {
	args := slices.Concat(s.args, []string{"--"}, words)
	out, err := proc.Output(ctx, s.run, proc.Cmd{Path: "supervisorctl", Args: args})
	return string(out), err
}
