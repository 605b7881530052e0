package service

import (
	"context"
	"errors"
	"slices"
)

// attempts is how often a unit is stopped that comes up again. Once is not
// enough for Restart= in the moment of its expiry or for a deployment that is
// under way; a socket or a timer goes on for ever.
const attempts = 3

// StopAll stops the units in reverse order, each until nothing of it runs, and
// returns those which ran, in the order for StartAll. Nothing is stopped when
// the manager cannot be asked or one of the units does not exist. The error is
// a *StopError once something may have been stopped.
func StopAll(ctx context.Context, m Manager, units []string, w Wait) ([]string, error) {
	units, err := targets(m, units)
	if err != nil {
		return nil, err
	}
	p := procedure{m: m, w: w.filled()}
	if _, err := p.running(ctx, units); err != nil {
		return nil, err
	}
	var stopped []string
	fail := func(e *UnitError) ([]string, error) {
		return inOrder(units, stopped), &StopError{UnitError: p.explain(ctx, e), Stopped: inOrder(units, stopped)}
	}
	for _, unit := range slices.Backward(units) {
		ran, e := p.stop(ctx, unit)
		if e != nil {
			return fail(e)
		}
		if ran {
			stopped = append(stopped, unit)
		}
	}
	// The last one was stopped while others could come up again.
	for range attempts {
		again, e := p.cameBack(ctx, units)
		if e != nil {
			return fail(e)
		}
		if len(again) == 0 {
			return inOrder(units, stopped), nil
		}
		for _, unit := range slices.Backward(again) {
			if _, e := p.stop(ctx, unit); e != nil {
				// It runs: it is not among those to start again.
				stopped = slices.DeleteFunc(stopped, func(s string) bool { return s == unit })
				return fail(e)
			}
			if !slices.Contains(stopped, unit) {
				stopped = append(stopped, unit)
			}
		}
	}
	again, e := p.cameBack(ctx, units)
	switch {
	case e != nil:
		return fail(e)
	case len(again) > 0:
		stopped = slices.DeleteFunc(stopped, func(s string) bool { return slices.Contains(again, s) })
		return fail(&UnitError{Op: "stop", Unit: again[0], Err: ErrComesBack})
	}
	return inOrder(units, stopped), nil
}

// cameBack are the units of which it is known that they run.
func (p procedure) cameBack(ctx context.Context, units []string) ([]string, *UnitError) {
	var up []string
	for _, unit := range units {
		l, err := p.look(ctx, unit)
		if err != nil {
			return nil, p.blame(ctx, "stop", unit, "", err)
		}
		if l.state != Unknown && !l.state.Down() {
			up = append(up, unit)
		}
	}
	return up, nil
}

// inOrder are the members of some in the order of all.
func inOrder(all, some []string) []string {
	var out []string
	for _, u := range all {
		if slices.Contains(some, u) {
			out = append(out, u)
		}
	}
	return out
}

// stop stops one unit, and says whether it ran.
func (p procedure) stop(ctx context.Context, unit string) (ran bool, failed *UnitError) {
	ctx, cancel := p.limited(ctx)
	defer cancel()
	l, err := p.look(ctx, unit)
	for try := 0; err == nil && !l.state.Down(); try++ {
		ran = true
		if try == attempts {
			return ran, p.blame(ctx, "stop", unit, l.state, ErrComesBack)
		}
		p.w.Progress("stop", unit)
		stopErr := p.m.Stop(ctx, unit)
		if stopErr != nil && (ctx.Err() != nil || errors.Is(stopErr, ErrUnavailable)) {
			return ran, p.blame(ctx, "stop", unit, l.state, stopErr)
		}
		before := l
		if l, err = p.look(ctx, unit); err != nil {
			return ran, p.blame(ctx, "stop", unit, before.state, errors.Join(stopErr, err))
		}
		if l.state == Unknown && stopErr == nil {
			return ran, nil // the command's word is all there is
		}
		if stopErr != nil && !l.state.Down() {
			return ran, p.blame(ctx, "stop", unit, l.state, stopErr)
		}
		for err == nil && l.state == Deactivating {
			if err = pause(ctx, p.w.Poll); err == nil {
				l, err = p.look(ctx, unit)
			}
		}
	}
	if err != nil {
		return ran, p.blame(ctx, "stop", unit, l.state, err)
	}
	return ran, nil
}
