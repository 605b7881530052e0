package service

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"
)

// pidfile knows a process by the file into which it wrote its number. It is
// told to end with TERM, and never killed.
type pidfile struct {
	shell shell
	start []string
}

func (*pidfile) Name() string { return PIDFile }

func (*pidfile) targets(units []string) ([]string, error) { return checked(units, pidfileName) }

// pidPoll is how often it is looked whether a process has ended or has come.
const pidPoll = 50 * time.Millisecond

func (p *pidfile) State(ctx context.Context, unit string) (State, error) {
	l, err := p.look(ctx, unit)
	return l.state, err
}

func (p *pidfile) look(ctx context.Context, unit string) (look, error) {
	if err := pidfileName(unit); err != nil {
		return look{}, err
	}
	if ctx.Err() != nil {
		return look{}, context.Cause(ctx)
	}
	found, err := readPIDFile(unit)
	switch {
	case err != nil:
		return look{}, err
	case found == nil:
		return look{state: Inactive}, nil
	}
	return look{state: Active, run: fmt.Sprintf("%d@%d", found.pid, found.start)}, nil
}

// Start runs the start commands and waits until the process is there.
func (p *pidfile) Start(ctx context.Context, unit string) error {
	if l, err := p.look(ctx, unit); err != nil || l.state == Active {
		return err
	}
	if len(p.start) == 0 {
		return &UnitError{Op: "start", Unit: unit, State: Inactive, Err: ErrNoCommand, Hint: "set service.start to the command that starts it"}
	}
	if err := p.shell.all(ctx, "start", unit, p.start); err != nil {
		return err
	}
	return p.await(ctx, unit, Active)
}

// Stop sends TERM and waits until the process has ended.
func (p *pidfile) Stop(ctx context.Context, unit string) error {
	if err := pidfileName(unit); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	// The handle is taken before the process is looked at, so that the signal
	// cannot reach another one that got the number in between.
	pid, _, err := pidIn(unit)
	if err != nil || pid == 0 {
		return err
	}
	handle, err := os.FindProcess(pid)
	if err != nil {
		return p.cannot(unit, pid, err)
	}
	defer func() { _ = handle.Release() }()
	found, err := readPIDFile(unit)
	if err != nil || found == nil {
		return err
	}
	if found.pid != pid {
		return p.cannot(unit, pid, errors.New("the pid file has just changed"))
	}
	if err := handle.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return p.cannot(unit, pid, err)
	}
	for {
		now, err := lookUpProcess(pid)
		if err != nil {
			return p.cannot(unit, pid, err)
		}
		if now == nil || now.start != found.start {
			return nil
		}
		if err := pause(ctx, pidPoll); err != nil {
			return &UnitError{Op: "stop", Unit: unit, State: Active, Err: fmt.Errorf("process %d does not end after TERM: %w", pid, err),
				Hint: fmt.Sprintf("see what it is busy with: ps -fp %d", pid)}
		}
	}
}

func (p *pidfile) cannot(unit string, pid int, err error) error {
	e := &UnitError{Op: "stop", Unit: unit, State: Active, Err: fmt.Errorf("process %d: %w", pid, err)}
	if errors.Is(err, fs.ErrPermission) {
		e.Err, e.Hint = fmt.Errorf("process %d: %w", pid, ErrDenied), "run it as root, or as the user of that process"
	}
	return e
}

func (p *pidfile) await(ctx context.Context, unit string, want State) error {
	for {
		l, err := p.look(ctx, unit)
		if err == nil && l.state == want {
			return nil
		}
		// The file may be there before its content is: only the end of the
		// time makes an error of that.
		if perr := pause(ctx, pidPoll); perr != nil {
			return errors.Join(perr, err)
		}
	}
}
