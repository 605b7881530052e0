package proc

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// System runs real programs. The zero value has an empty environment but for a default PATH.
type System struct {
	Environ []string      // the parent's (os.Environ); only an allow-list of it is handed on
	Grace   time.Duration // between StopSignal and KILL, and for pipes that others keep open; default 5 s
	Logger  *slog.Logger  // nil: silent
}

// Run implements Runner.
func (s System) Run(ctx context.Context, c Cmd) error {
	p, err := s.Start(ctx, c)
	if err != nil {
		return err
	}
	return p.Wait()
}

// Start implements Runner.
func (s System) Start(ctx context.Context, c Cmd) (Process, error) {
	return nil, &Error{Name: c.DisplayName(), ExitCode: -1, Err: errors.ErrUnsupported}
}
