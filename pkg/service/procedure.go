package service

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Wait says how long the procedures wait. The zero value is good for units that
// start and stop within two minutes.
type Wait struct {
	// Timeout is for each unit; default two minutes, which is more than systemd
	// takes by itself before it kills.
	Timeout time.Duration
	// Settle is how long a started unit is watched before it counts as up;
	// default three seconds, negative: not at all.
	Settle time.Duration
	// Poll is how often a unit is looked at; default 200 ms.
	Poll time.Duration
	// Progress is told what is done next; nil: nobody is.
	Progress func(op, unit string)
}

func (w Wait) filled() Wait {
	if w.Timeout <= 0 {
		w.Timeout = 2 * time.Minute
	}
	if w.Settle == 0 {
		w.Settle = 3 * time.Second
	}
	if w.Poll <= 0 {
		w.Poll = 200 * time.Millisecond
	}
	if w.Progress == nil {
		w.Progress = func(string, string) {}
	}
	return w
}

// look is what a manager sees of a unit.
type look struct {
	state  State
	run    string // differs between two runs of the unit; empty: cannot be told apart
	detail string // the manager's own word for the state
	result string // why it failed, in one word
	woken  string // the units that can start this one by themselves
}

// procedure is one call of the functions below.
type procedure struct {
	m Manager
	w Wait
}

// targets are the units that the manager can do something with, each once.
func targets(m Manager, units []string) ([]string, error) {
	if t, ok := m.(interface {
		targets([]string) ([]string, error)
	}); ok {
		return t.targets(units)
	}
	return checked(units, plainName)
}

// look asks for the state. What the error is about is the caller's to say when
// the manager only answered with the end of ctx.
func (p procedure) look(ctx context.Context, unit string) (look, error) {
	if l, ok := p.m.(interface {
		look(context.Context, string) (look, error)
	}); ok {
		return l.look(ctx, unit)
	}
	state, err := p.m.State(ctx, unit)
	return look{state: state}, err
}

// Running says which of the units run, in the given order, which is that of
// their start. One that is just being started or stopped runs, and so does one
// of which the manager cannot tell; a unit that does not exist is an
// ErrNotFound.
func Running(ctx context.Context, m Manager, units []string) ([]string, error) {
	units, err := targets(m, units)
	if err != nil {
		return nil, err
	}
	return procedure{m: m}.running(ctx, units)
}

func (p procedure) running(ctx context.Context, units []string) ([]string, error) {
	var up []string
	for _, unit := range units {
		l, err := p.look(ctx, unit)
		if err != nil {
			return nil, p.blame(ctx, "look at", unit, "", err)
		}
		if l.state == NotFound {
			return nil, notFound("look at", p.m, unit)
		}
		if !l.state.Down() {
			up = append(up, unit)
		}
	}
	return up, nil
}

func notFound(op string, m Manager, unit string) *UnitError {
	return &UnitError{Op: op, Unit: unit, State: NotFound, Err: fmt.Errorf("%s: %w", m.Name(), ErrNotFound),
		Hint: "service.units names it; where nothing of the application runs on this host: service.manager: none"}
}

// blame puts an error to the account of a unit, once.
func (p procedure) blame(ctx context.Context, op, unit string, state State, err error) *UnitError {
	var e *UnitError
	if errors.As(err, &e) && e.Unit == unit {
		known := *e
		known.Op = op
		if known.State == "" {
			known.State = state
		}
		return &known
	}
	e = &UnitError{Op: op, Unit: unit, State: state, Err: err}
	var unavailable *UnavailableError
	if errors.As(err, &unavailable) {
		e.Hint = unavailable.Hint
	}
	if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
		e.Err = fmt.Errorf("%w: %w", cause, err)
	}
	return e
}

// limited is ctx with the time limit for one unit.
func (p procedure) limited(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, p.w.Timeout, &TimeoutError{After: p.w.Timeout})
}

// afterwards is how long may be spent to explain a failure.
const afterwards = 10 * time.Second

// explain adds what can be seen of the unit now and the last lines about it,
// even when ctx has ended.
func (p procedure) explain(ctx context.Context, e *UnitError) *UnitError {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), afterwards)
	defer cancel()
	if errors.Is(e, ErrUnavailable) {
		return e
	}
	if l, err := p.look(ctx, e.Unit); err == nil {
		e.State = l.state
		if e.Hint == "" && l.woken != "" && errors.Is(e, ErrComesBack) {
			e.Hint = "it can be started by " + strings.ReplaceAll(l.woken, " ", ", ") + ": name that in service.units too"
		}
	}
	if t, ok := p.m.(interface {
		lastLines(context.Context, string) []string
	}); ok {
		if lines := t.lastLines(ctx, e.Unit); len(lines) > 0 {
			e.Lines = lines
		}
	}
	return e
}

// pause waits for d, or returns why it must not.
func pause(ctx context.Context, d time.Duration) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
