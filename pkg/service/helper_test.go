package service_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/bmad-forge/forgectl/pkg/proc"
	"github.com/bmad-forge/forgectl/pkg/proc/proctest"
	"github.com/bmad-forge/forgectl/pkg/service"
	"github.com/bmad-forge/forgectl/pkg/service/servicetest"
)

// quick is for real programs: what decides is what they do, not how long it
// takes.
var quick = service.Wait{Settle: 20 * time.Millisecond, Poll: 5 * time.Millisecond, Timeout: time.Minute}

func newManager(t *testing.T, o service.Options) service.Manager {
	t.Helper()
	m, err := service.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// systemd is the manager with the stand-in, whose calls are counted, and a hook
// that is told of each call that has ended.
type systemd struct {
	*servicetest.Systemctl
	service.Manager
	calls *proctest.Runner
	hook  func(verb, unit string) // set before the first call
}

func newSystemd(t *testing.T) *systemd {
	t.Helper()
	s := &systemd{Systemctl: servicetest.New(t)}
	s.calls = &proctest.Runner{T: t, Next: hooked{s.Runner(), s}}
	s.Manager = newManager(t, service.Options{Manager: service.Systemd, Runner: s.calls})
	return s
}

func (s *systemd) State(unit string) string { return s.Systemctl.State(unit) }

type hooked struct {
	proc.Runner
	s *systemd
}

func (h hooked) Start(ctx context.Context, c proc.Cmd) (proc.Process, error) {
	p, err := h.Runner.Start(ctx, c)
	if err != nil {
		return nil, err
	}
	return ended{p, func() {
		if h.s.hook != nil {
			h.s.hook(c.Args[0], c.Args[len(c.Args)-1])
		}
	}}, nil
}

type ended struct {
	proc.Process
	then func()
}

func (e ended) Wait() error {
	err := e.Process.Wait()
	e.then()
	return err
}

// verbs are the calls that change something.
func (s *systemd) verbs() []string {
	var out []string
	for _, c := range s.calls.Calls() {
		if verb := c.Args[0]; verb != "show" && verb != "status" {
			out = append(out, verb+" "+c.Args[len(c.Args)-1])
		}
	}
	return out
}

// fake is a manager in memory, for what takes minutes.
type fake struct {
	mu      sync.Mutex
	states  map[string]service.State
	onStart func(f *fake, unit string)
	onStop  func(f *fake, ctx context.Context, unit string) error
	did     []string
}

func (f *fake) Name() string { return "fake" }

func (f *fake) State(ctx context.Context, unit string) (service.State, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	return f.states[unit], nil
}

func (f *fake) set(unit string, s service.State) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.states[unit] = s
}

func (f *fake) Start(_ context.Context, unit string) error {
	f.did = append(f.did, "start "+unit)
	if f.onStart == nil {
		f.set(unit, service.Active)
	} else {
		f.onStart(f, unit)
	}
	return nil
}

func (f *fake) Stop(ctx context.Context, unit string) error {
	f.did = append(f.did, "stop "+unit)
	if f.onStop == nil {
		f.set(unit, service.Inactive)
		return nil
	}
	return f.onStop(f, ctx, unit)
}

func equal(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

func stopError(t *testing.T, err error) *service.StopError {
	t.Helper()
	var e *service.StopError
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want a StopError", err)
	}
	return e
}

func startError(t *testing.T, err error) *service.StartError {
	t.Helper()
	var e *service.StartError
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want a StartError", err)
	}
	return e
}
