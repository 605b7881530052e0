package service

import (
	"context"
	"fmt"
	"time"
)

// StartAll starts the units in order, waits for each until it is active, and
// returns when all of them have stayed so for the settle time. A unit that runs
// already is only watched. One that fails does not keep the others down; the
// error is a *StartError that names each. No units are nothing to start, also
// for the manager "command": StopAll may have found nothing to stop.
func StartAll(ctx context.Context, m Manager, units []string, w Wait) error {
	if len(units) == 0 {
		return nil
	}
	return bringUp(ctx, m, units, w, "start", func(ctx context.Context, unit string, l look) error {
		if l.state == Active || l.state == Reloading {
			return nil
		}
		return m.Start(ctx, unit)
	})
}

// RestartAll restarts the units in order, one after the other, and judges them
// like StartAll. One that does not run is started.
func RestartAll(ctx context.Context, m Manager, units []string, w Wait) error {
	return bringUp(ctx, m, units, w, "restart", func(ctx context.Context, unit string, _ look) error {
		if r, ok := m.(Restarter); ok {
			return r.Restart(ctx, unit)
		}
		if err := m.Stop(ctx, unit); err != nil {
			return err
		}
		return m.Start(ctx, unit)
	})
}

// watched is a unit that has come up.
type watched struct {
	unit  string
	since time.Time
	run   string
}

func bringUp(ctx context.Context, m Manager, units []string, w Wait, op string, act func(context.Context, string, look) error) error {
	units, err := targets(m, units)
	if err != nil {
		return err
	}
	p := procedure{m: m, w: w.filled()}
	var result StartError
	var up []watched
	for _, unit := range units {
		u, failed := p.bringUp(ctx, op, unit, act)
		if failed != nil {
			result.Failed = append(result.Failed, p.explain(ctx, failed))
			continue
		}
		up = append(up, u)
	}
	for _, u := range up {
		if failed := p.settle(ctx, op, u); failed != nil {
			result.Failed = append(result.Failed, p.explain(ctx, failed))
			continue
		}
		result.Up = append(result.Up, u.unit)
	}
	if len(result.Failed) > 0 {
		return &result
	}
	return nil
}

// bringUp acts on one unit and waits until it is up.
func (p procedure) bringUp(ctx context.Context, op, unit string, act func(context.Context, string, look) error) (watched, *UnitError) {
	ctx, cancel := p.limited(ctx)
	defer cancel()
	l, err := p.look(ctx, unit)
	if err != nil {
		return watched{}, p.blame(ctx, op, unit, "", err)
	}
	if l.state == NotFound {
		return watched{}, notFound(op, p.m, unit)
	}
	p.w.Progress(op, unit)
	if err := act(ctx, unit, l); err != nil {
		return watched{}, p.blame(ctx, op, unit, l.state, err)
	}
	for {
		if l, err = p.look(ctx, unit); err != nil {
			return watched{}, p.blame(ctx, op, unit, l.state, err)
		}
		if l.state.Up() {
			return watched{unit: unit, since: time.Now(), run: l.run}, nil
		}
		if l.state.Down() {
			return watched{}, p.blame(ctx, op, unit, l.state, unstable(l))
		}
		if err := pause(ctx, p.w.Poll); err != nil {
			return watched{}, p.blame(ctx, op, unit, l.state, err)
		}
	}
}

// settle watches a unit until it has been up for long enough. Units settle at
// the same time: the clock of each began when it came up, and each is looked at
// at least once more after the last one did.
func (p procedure) settle(ctx context.Context, op string, u watched) *UnitError {
	for p.w.Settle > 0 {
		l, err := p.look(ctx, u.unit)
		switch {
		case err != nil:
			return p.blame(ctx, op, u.unit, "", err)
		case !l.state.Up():
			return p.blame(ctx, op, u.unit, l.state, unstable(l))
		case l.run != u.run:
			return p.blame(ctx, op, u.unit, l.state, fmt.Errorf("%w: it was restarted in the meantime", ErrUnstable))
		}
		left := p.w.Settle - time.Since(u.since)
		if left <= 0 || l.state == Unknown {
			return nil
		}
		if err := pause(ctx, min(left, p.w.Poll)); err != nil {
			return p.blame(ctx, op, u.unit, l.state, err)
		}
	}
	return nil
}

func unstable(l look) error {
	if l.result != "" && l.result != "success" {
		return fmt.Errorf("%w: %s", ErrUnstable, l.result)
	}
	return ErrUnstable
}
