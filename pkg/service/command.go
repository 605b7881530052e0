package service

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/bmad-forge/forgectl/pkg/proc"
)

// command has shell commands for the application as a whole, and no way to see
// what it is doing. The names of units mean nothing to it.
type command struct {
	shell                shell
	start, stop, restart []string
}

func newCommand(o Options) (Manager, error) {
	if len(o.Start) == 0 || len(o.Stop) == 0 {
		return nil, fmt.Errorf("service manager command: %w: it needs service.start and service.stop", ErrNoCommand)
	}
	return &command{
		shell: shell{run: o.Runner},
		start: slices.Clone(o.Start), stop: slices.Clone(o.Stop), restart: slices.Clone(o.Restart),
	}, nil
}

func (*command) Name() string { return Command }

func (*command) targets([]string) ([]string, error) { return []string{Application}, nil }

func (*command) State(ctx context.Context, _ string) (State, error) {
	return Unknown, context.Cause(ctx)
}

func (c *command) Start(ctx context.Context, unit string) error {
	return c.shell.all(ctx, "start", unit, c.start)
}

func (c *command) Stop(ctx context.Context, unit string) error {
	return c.shell.all(ctx, "stop", unit, c.stop)
}

func (c *command) Restart(ctx context.Context, unit string) error {
	if len(c.restart) > 0 {
		return c.shell.all(ctx, "restart", unit, c.restart)
	}
	if err := c.Stop(ctx, unit); err != nil {
		return err
	}
	return c.Start(ctx, unit)
}

// shell runs the configured commands.
type shell struct{ run proc.Runner }

// all runs the commands one after the other, up to the first that fails.
func (s shell) all(ctx context.Context, op, unit string, commands []string) error {
	for _, text := range commands {
		if lines, err := s.one(ctx, op, text); err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return &UnitError{Op: op, Unit: unit, Lines: lines, Err: fmt.Errorf("command %q: %w", brief(text), err)}
		}
	}
	return nil
}

func (s shell) one(ctx context.Context, op, text string) ([]string, error) {
	var mu sync.Mutex
	var out strings.Builder
	write := func(p string) {
		mu.Lock()
		defer mu.Unlock()
		if out.Len()+len(p) <= proc.OutputLimit {
			out.WriteString(p)
		}
	}
	err := s.run.Run(ctx, proc.Cmd{
		Path: "/bin/sh", Args: []string{"-c", text}, Name: op + " command",
		Stdout: writerFunc(write), Stderr: func(line string) { write(line + "\n") },
	})
	var failed *proc.Error
	if errors.As(err, &failed) && errors.Is(err, proc.ErrOutputHeld) && failed.ExitCode == 0 {
		err = nil // a daemon that it started still has our pipe, as daemons do
	}
	return tailLines(out.String()), err
}

type writerFunc func(string)

func (f writerFunc) Write(p []byte) (int, error) {
	f(string(p))
	return len(p), nil
}

// brief is the beginning of a command.
func brief(text string) string {
	const most = 60
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}
