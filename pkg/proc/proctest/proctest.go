// Package proctest stands in for the programs that proc runs.
//
// A Runner answers commands by the base name of their path, records every one of them, and fails the test on
// a program that nobody expected. With Next it passes the others on, and so becomes a witness of what a real
// run puts on command lines and into environments.
package proctest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/proc"
)

// Handler plays a program. It may read c.Stdin, write c.Stdout and call c.Stderr; what it returns is the answer of
// Wait.
type Handler func(ctx context.Context, c proc.Cmd) error

// Reply is a Handler that reads all of stdin, says what it says and exits.
type Reply struct {
	Stdout   string
	Stderr   []string
	ExitCode int
	Err      error // as proc.Error.Err
}

// Play is the Handler.
func (r Reply) Play(_ context.Context, c proc.Cmd) error {
	if c.Stdin != nil {
		if _, err := io.Copy(io.Discard, c.Stdin); err != nil {
			return &proc.Error{Name: c.DisplayName(), ExitCode: -1, Err: fmt.Errorf("read input: %w", err)}
		}
	}
	if c.Stderr != nil {
		for _, line := range r.Stderr {
			c.Stderr(line)
		}
	}
	if c.Stdout != nil {
		if _, err := io.WriteString(c.Stdout, r.Stdout); err != nil {
			return &proc.Error{Name: c.DisplayName(), ExitCode: -1, Err: fmt.Errorf("hand on output: %w", err)}
		}
	}
	if r.ExitCode != 0 || r.Err != nil {
		return &proc.Error{Name: c.DisplayName(), ExitCode: r.ExitCode, Stderr: r.Stderr, Err: r.Err}
	}
	return nil
}

// Call is one command that was run.
type Call struct {
	proc.Cmd
	Input []byte // what was read from stdin; complete once the program has ended
}

// Line is the command as one would type it, without quoting.
func (c *Call) Line() string {
	return strings.Join(append([]string{filepath.Base(c.Path)}, c.Args...), " ")
}

// Runner is a fake proc.Runner. Set the fields before the first run.
type Runner struct {
	T        testing.TB
	Handlers map[string]Handler // by base name of the path
	Next     proc.Runner        // gets what has no handler; nil: that fails the test

	mu    sync.Mutex
	calls []*Call
}

var _ proc.Runner = (*Runner)(nil)

// Run implements proc.Runner.
func (r *Runner) Run(ctx context.Context, c proc.Cmd) error {
	p, err := r.Start(ctx, c)
	if err != nil {
		return err
	}
	return p.Wait()
}

// Start implements proc.Runner. The number of a played process is no real one.
func (r *Runner) Start(ctx context.Context, c proc.Cmd) (proc.Process, error) {
	if ctx.Err() != nil {
		return nil, &proc.Error{Name: c.DisplayName(), ExitCode: -1, Err: context.Cause(ctx)}
	}
	call, n := r.record(&c)
	h := r.Handlers[filepath.Base(c.Path)]
	switch {
	case h != nil:
	case r.Next != nil:
		return r.Next.Start(ctx, c)
	default:
		r.T.Errorf("unexpected program: %s", call.Line())
		return nil, &proc.Error{Name: c.DisplayName(), ExitCode: -1, Err: proc.ErrNotFound}
	}
	p := &process{pid: -1 - n, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		p.err = h(ctx, c)
		if p.err == nil && ctx.Err() != nil {
			p.err = &proc.Error{Name: c.DisplayName(), ExitCode: -1, Err: context.Cause(ctx)}
		}
	}()
	return p, nil
}

// record keeps a copy of the command, and of what is read from its stdin when that is to be copied anyway.
func (r *Runner) record(c *proc.Cmd) (*Call, int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	call := &Call{Cmd: *c}
	call.Args, call.Env, call.Files = slices.Clone(c.Args), slices.Clone(c.Env), slices.Clone(c.Files)
	if _, file := c.Stdin.(interface{ Fd() uintptr }); c.Stdin != nil && !file {
		c.Stdin = &tee{from: c.Stdin, mu: &r.mu, to: &call.Input}
	}
	r.calls = append(r.calls, call)
	return call, len(r.calls)
}

// Calls are the commands so far, in the order of their start.
func (r *Runner) Calls() []Call {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]Call, len(r.calls))
	for i, c := range r.calls {
		out[i] = *c
		out[i].Input = bytes.Clone(c.Input)
	}
	return out
}

// Lines are the commands so far as one would type them.
func (r *Runner) Lines() []string {
	var out []string
	for _, c := range r.Calls() {
		out = append(out, c.Line())
	}
	return out
}

type process struct {
	pid  int
	done chan struct{}
	err  error
}

func (p *process) PID() int { return p.pid }

func (p *process) Wait() error {
	<-p.done
	return p.err
}

type tee struct {
	from io.Reader
	mu   *sync.Mutex
	to   *[]byte
}

func (t *tee) Read(p []byte) (int, error) {
	n, err := t.from.Read(p)
	t.mu.Lock()
	*t.to = append(*t.to, p[:n]...)
	t.mu.Unlock()
	return n, err
}
