package service_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bmad-forge/forgectl/pkg/service"
)

// Promise: the time limit is for each unit, and its end is told with the
// state.
func TestTimeouts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{states: map[string]service.State{"a": service.Active, "b": service.Active, "c": service.Active}}
		f.onStop = func(f *fake, ctx context.Context, unit string) error {
			switch unit {
			case "c": // slow, but in time
				time.Sleep(100 * time.Second)
			case "b":
				f.set(unit, service.Deactivating)
				<-ctx.Done()
				return context.Cause(ctx)
			}
			f.set(unit, service.Inactive)
			return nil
		}
		began := time.Now()
		_, err := service.StopAll(t.Context(), f, []string{"a", "b", "c"}, service.Wait{})
		e := stopError(t, err)
		var timeout *service.TimeoutError
		if !errors.As(err, &timeout) || timeout.After != 2*time.Minute {
			t.Errorf("got %v", err)
		}
		if want := "stop b (deactivating): not done within 2m0s; stopped until then: c"; err.Error() != want {
			t.Errorf("got  %s\nwant %s", err, want)
		}
		equal(t, "stopped", e.Stopped, []string{"c"})
		if took := time.Since(began); took < 220*time.Second || took > 221*time.Second {
			t.Errorf("took %s", took)
		}
	})
}

// Promise: a manager that returns at once and whose unit never comes down, or
// never up, ends with the limit.
func TestNeverThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{
			states:  map[string]service.State{"a": service.Active, "b": service.Inactive, "c": service.Inactive},
			onStart: func(f *fake, unit string) { f.set(unit, service.Activating) },
			onStop: func(f *fake, _ context.Context, unit string) error {
				f.set(unit, service.Deactivating)
				return nil
			},
		}
		_, err := service.StopAll(t.Context(), f, []string{"a"}, service.Wait{Timeout: time.Minute})
		if e := stopError(t, err); e.State != service.Deactivating {
			t.Errorf("got %v", err)
		}
		err = service.StartAll(t.Context(), f, []string{"b", "c"}, service.Wait{Timeout: time.Minute})
		const want = "start b (activating): not done within 1m0s; start c (activating): not done within 1m0s"
		if err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	})
}

// Promise: each unit is watched for the settle time, all of them together, and
// one that dies within it is not up.
func TestSettle(t *testing.T) {
	for _, tt := range []struct {
		name   string
		settle time.Duration
		dies   time.Duration // after the start of b
		failed bool
		least  time.Duration
	}{
		{"within", 5 * time.Second, 4 * time.Second, true, 4 * time.Second},
		{"after", 5 * time.Second, 10 * time.Second, false, 5 * time.Second},
		{"default", 0, 2900 * time.Millisecond, true, 2900 * time.Millisecond},
		{"without", -1, time.Second, false, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fake{states: map[string]service.State{"a": service.Inactive, "b": service.Inactive}}
				f.onStart = func(f *fake, unit string) {
					f.set(unit, service.Active)
					if unit == "b" {
						time.AfterFunc(tt.dies, func() { f.set(unit, service.Failed) })
					}
				}
				began := time.Now()
				err := service.StartAll(t.Context(), f, []string{"a", "b"}, service.Wait{Settle: tt.settle})
				took := time.Since(began)
				if (err != nil) != tt.failed {
					t.Errorf("got %v", err)
				}
				if tt.failed {
					e := startError(t, err)
					equal(t, "up", e.Up, []string{"a"})
					if !errors.Is(err, service.ErrUnstable) || e.Failed[0].State != service.Failed {
						t.Errorf("got %v", err)
					}
				}
				if took < tt.least || took > tt.least+time.Second {
					t.Errorf("took %s, want about %s", took, tt.least)
				}
			})
		})
	}
}

// Promise: the end of the context is the error, everywhere.
func TestContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		why := errors.New("the operator said stop")
		f := &fake{
			states:  map[string]service.State{"a": service.Deactivating, "b": service.Inactive},
			onStart: func(f *fake, unit string) { f.set(unit, service.Activating) },
			onStop:  func(*fake, context.Context, string) error { return nil },
		}
		for name, do := range map[string]func(ctx context.Context) error{
			"StopAll":  func(ctx context.Context) error { return second(service.StopAll(ctx, f, []string{"a"}, service.Wait{})) },
			"StartAll": func(ctx context.Context) error { return service.StartAll(ctx, f, []string{"b"}, service.Wait{}) },
		} {
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(time.Second, func() { cancel(why) })
			err := do(ctx)
			if !errors.Is(err, why) || strings.Count(err.Error(), why.Error()) != 1 {
				t.Errorf("%s: got %v", name, err)
			}
			if err := do(ctx); !errors.Is(err, why) {
				t.Errorf("%s with a context that has ended: got %v", name, err)
			}
		}
	})
}

// Promise: "none" touches nothing, and says so.
func TestNone(t *testing.T) {
	m := newManager(t, service.Options{Manager: service.None})
	running, err := service.Running(t.Context(), m, units)
	if running != nil || err != nil {
		t.Errorf("Running: %v, %v", running, err)
	}
	stopped, err := service.StopAll(t.Context(), m, units, service.Wait{})
	if stopped != nil || err != nil {
		t.Errorf("StopAll: %v, %v", stopped, err)
	}
	if err := service.StartAll(t.Context(), m, units, service.Wait{}); err != nil {
		t.Errorf("StartAll: %v", err)
	}
	if err := m.Stop(t.Context(), "a"); !errors.Is(err, service.ErrUntouched) {
		t.Errorf("Stop: %v", err)
	}
	if err := m.Start(t.Context(), "a"); !errors.Is(err, service.ErrUntouched) {
		t.Errorf("Start: %v", err)
	}
	if state, err := m.State(t.Context(), "a"); state != service.Unknown || err != nil {
		t.Errorf("State: %v, %v", state, err)
	}
}

// Promise: options that cannot work are refused at once.
func TestNewRefuses(t *testing.T) {
	if _, err := service.New(service.Options{Manager: "upstart", Runner: newSystemd(t).Runner()}); !errors.Is(err, service.ErrManager) {
		t.Errorf("got %v", err)
	}
	if _, err := service.New(service.Options{Manager: service.Systemd}); err == nil {
		t.Error("no runner, no error")
	}
	if _, err := service.New(service.Options{Manager: service.Command, Runner: newSystemd(t).Runner(), Start: []string{"x"}}); !errors.Is(err, service.ErrNoCommand) {
		t.Errorf("got %v", err)
	}
}

// Promise: a unit that came up again and then cannot be stopped is not among
// those that were stopped.
func TestCameBackForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{states: map[string]service.State{"a": service.Active, "b": service.Active}}
		boom := errors.New("boom")
		f.onStop = func(f *fake, _ context.Context, unit string) error {
			if unit == "b" && f.states["a"] == service.Inactive {
				return boom
			}
			f.set(unit, service.Inactive)
			if unit == "a" {
				f.set("b", service.Active)
			}
			return nil
		}
		_, err := service.StopAll(t.Context(), f, []string{"a", "b"}, service.Wait{})
		e := stopError(t, err)
		if !errors.Is(err, boom) || e.Unit != "b" || e.State != service.Active {
			t.Errorf("got %v", err)
		}
		equal(t, "stopped", e.Stopped, []string{"a"})
		equal(t, "done", f.did, []string{"stop b", "stop a", "stop b"})
	})
}
