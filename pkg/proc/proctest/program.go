package proctest

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/proc"
)

// Program runs a program that the test cannot do without, and returns its output. When it fails the test fails. When it
// is not installed the test is skipped; where CI is set it fails instead.
func Program(t testing.TB, name string, args ...string) string {
	t.Helper()
	var stderr []string
	out, err := proc.Output(t.Context(), proc.System{Environ: os.Environ()}, proc.Cmd{
		Path: name, Args: args, Stderr: func(line string) { stderr = append(stderr, line) },
	})
	switch {
	case errors.Is(err, proc.ErrNotFound) && os.Getenv("CI") == "":
		t.Skip(err)
	case errors.Is(err, proc.ErrNotFound):
		t.Fatalf("cannot be left out in CI: %v", err)
	case err != nil:
		t.Fatalf("%s %s: %v\n%.4000s\n%.4000s", name, strings.Join(args, " "), err, out, strings.Join(stderr, "\n"))
	}
	return string(out)
}

// Wrapped is a runner that changes what is run: OnStart stands in for Start of the next one.
type Wrapped struct {
	proc.Runner
	OnStart func(ctx context.Context, next proc.Runner, c proc.Cmd) (proc.Process, error)
}

// Start implements proc.Runner.
func (w Wrapped) Start(ctx context.Context, c proc.Cmd) (proc.Process, error) {
	return w.OnStart(ctx, w.Runner, c)
}

// Run implements proc.Runner.
func (w Wrapped) Run(ctx context.Context, c proc.Cmd) error {
	p, err := w.Start(ctx, c)
	if err != nil {
		return err
	}
	return p.Wait()
}

// StartKilled starts a program that reads its stdin, and kills it before it gets a byte of it.
func StartKilled(ctx context.Context, t testing.TB, next proc.Runner, c proc.Cmd) (proc.Process, error) {
	input := &killer{t: t, Reader: c.Stdin, pid: make(chan int, 1)}
	c.Stdin = input
	p, err := next.Start(ctx, c)
	if err == nil {
		input.pid <- p.PID()
	}
	return p, err
}

type killer struct {
	io.Reader
	t    testing.TB
	pid  chan int
	once sync.Once
}

func (k *killer) Read(p []byte) (int, error) {
	k.once.Do(func() {
		if err := syscall.Kill(<-k.pid, syscall.SIGKILL); err != nil {
			k.t.Errorf("kill a program: %v", err)
		}
	})
	return k.Reader.Read(p)
}
