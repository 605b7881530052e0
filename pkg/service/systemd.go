package service

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/bmad-forge/forgectl/pkg/proc"
)

// systemd asks systemctl.
type systemd struct {
	run  proc.Runner
	args []string
}

func (*systemd) Name() string { return Systemd }

func (*systemd) targets(units []string) ([]string, error) { return checked(units, systemdName) }

// properties are what is asked of a unit. InvocationID is another one after
// each start, also when systemd did it by itself.
const properties = "LoadState,ActiveState,SubState,Result,InvocationID,TriggeredBy"

func (s *systemd) State(ctx context.Context, unit string) (State, error) {
	l, err := s.look(ctx, unit)
	return l.state, err
}

func (s *systemd) look(ctx context.Context, unit string) (look, error) {
	if err := systemdName(unit); err != nil {
		return look{}, err
	}
	out, stderr, err := s.systemctl(ctx, "show", []string{"--property=" + properties}, unit)
	if err != nil {
		// "show" succeeds for every unit, also for one that does not exist.
		return look{}, s.unavailable(ctx, err)
	}
	props := make(map[string]string)
	for line := range strings.Lines(out) {
		if name, value, found := strings.Cut(strings.TrimSpace(line), "="); found {
			props[name] = value
		}
	}
	l := look{run: props["InvocationID"], detail: props["SubState"], result: props["Result"], woken: props["TriggeredBy"]}
	// An empty answer comes with success too: in a chroot systemctl ignores what it is asked.
	active, known := systemdStates[props["ActiveState"]]
	if !known || props["LoadState"] == "" {
		return look{}, s.unavailable(ctx, fmt.Errorf("systemctl show %s gives the state %q: %s", unit, props["ActiveState"], last(stderr)))
	}
	if l.state = active; props["LoadState"] == "not-found" && active == Inactive {
		l.state = NotFound // a unit whose file was deleted while it runs is still active
	}
	return l, nil
}

// systemdStates are the values of ActiveState. One that is not here is not
// guessed at.
var systemdStates = map[string]State{
	"active":       Active,
	"reloading":    Reloading,
	"refreshing":   Reloading, // since systemd 257
	"activating":   Activating,
	"deactivating": Deactivating,
	"inactive":     Inactive,
	"failed":       Failed,
}

func (s *systemd) Start(ctx context.Context, unit string) error   { return s.do(ctx, "start", unit) }
func (s *systemd) Stop(ctx context.Context, unit string) error    { return s.do(ctx, "stop", unit) }
func (s *systemd) Restart(ctx context.Context, unit string) error { return s.do(ctx, "restart", unit) }

// do has systemctl wait for the end of the job, whose failure it then
// explains. --no-ask-password: nobody is there to answer polkit.
func (s *systemd) do(ctx context.Context, verb, unit string) error {
	if err := systemdName(unit); err != nil {
		return err
	}
	_, stderr, err := s.systemctl(ctx, verb, []string{"--no-ask-password"}, unit)
	if err == nil {
		if i := slices.IndexFunc(stderr, ignored); i >= 0 {
			return s.unavailable(ctx, errors.New(stderr[i]))
		}
		return nil
	}
	return s.failed(ctx, verb, unit, stderr, err)
}

// ignored is what systemctl says when it does nothing and calls that a success.
func ignored(line string) bool { return strings.Contains(line, "ignoring command") }

// The exit codes of start, stop and restart are those of init scripts (LSB),
// which differ from those of status and is-active.
const (
	lsbDenied       = 4
	lsbNotInstalled = 5
)

func (s *systemd) failed(ctx context.Context, verb, unit string, stderr []string, err error) error {
	text := strings.Join(stderr, "\n")
	e := &UnitError{Op: verb, Unit: unit, Lines: stderr, Err: err}
	var failed *proc.Error
	switch {
	case !errors.As(err, &failed) || failed.Err != nil || noBus(text):
		return s.unavailable(ctx, err)
	case failed.ExitCode == lsbNotInstalled:
		e.State, e.Err = NotFound, fmt.Errorf("%w: %s", ErrNotFound, last(stderr))
	case failed.ExitCode == lsbDenied || strings.Contains(text, "authentication required"):
		e.Err, e.Hint = fmt.Errorf("%w: %s", ErrDenied, last(stderr)), "run it as root, or allow this user to manage the unit (polkit)"
	default:
		// What happened comes before where to read on.
		if i := slices.IndexFunc(stderr, func(l string) bool { return !strings.HasPrefix(l, "Warning:") }); i >= 0 {
			e.Err = &reason{text: strings.TrimSuffix(stderr[i], "."), err: err}
		}
		e.Hint = "systemctl status " + unit
	}
	return e
}

func noBus(stderr string) bool {
	return strings.Contains(stderr, "Failed to connect to bus") || strings.Contains(stderr, "System has not been booted with systemd")
}

// unavailable keeps the end of the context apart from a manager that does not
// answer.
func (s *systemd) unavailable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	hint := "is this the host that runs the application, and systemd its init? Where nothing is to be stopped: service.manager: none"
	if errors.Is(err, proc.ErrNotFound) {
		hint = "there is no systemctl here; set service.manager to what runs the application, or to none"
	}
	return &UnavailableError{Manager: Systemd, Hint: hint, Err: err}
}

// lastLines are what systemd and the journal have to say about a unit. Who may
// not read the journal gets what is left.
func (s *systemd) lastLines(ctx context.Context, unit string) []string {
	// Its exit code is 3 for every unit that is not active.
	out, _, _ := s.systemctl(ctx, "status", []string{"--no-pager", "--full", "--lines=10"}, unit)
	return tailLines(out)
}

func (s *systemd) systemctl(ctx context.Context, verb string, options []string, unit string) (stdout string, stderr []string, err error) {
	args := slices.Concat(s.args, []string{verb}, options, []string{"--", unit})
	out, err := proc.Output(ctx, s.run, proc.Cmd{
		Path: "systemctl", Args: args,
		Stderr: func(line string) { stderr = append(stderr, line) },
	})
	return string(out), stderr, err
}
