package service_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/bmad-forge/forgectl/pkg/proc"
	"github.com/bmad-forge/forgectl/pkg/proc/proctest"
	"github.com/bmad-forge/forgectl/pkg/service"
	"github.com/bmad-forge/forgectl/pkg/service/servicetest"
)

var units = []string{"redis", "bmad-forge", "worker"} // in the order of their start

// Promise: each state of systemd is told apart, and a unit that does not exist
// from one that does not run.
func TestSystemdStates(t *testing.T) {
	s := newSystemd(t)
	s.Add("u")
	for _, want := range []service.State{
		service.Active, service.Reloading, service.Activating, service.Deactivating, service.Inactive, service.Failed,
	} {
		s.Become("u", string(want), "x", "success")
		if got, err := s.Manager.State(t.Context(), "u"); got != want || err != nil {
			t.Errorf("got %s, %v, want %s", got, err, want)
		}
	}
	if got, err := s.Manager.State(t.Context(), "nope"); got != service.NotFound || err != nil {
		t.Errorf("a unit that is not there: got %s, %v", got, err)
	}
	s.Become("u", "hibernating", "x", "success")
	if got, err := s.Manager.State(t.Context(), "u"); !errors.Is(err, service.ErrUnavailable) {
		t.Errorf("a state that nobody knows: got %s, %v", got, err)
	}
}

// Promise: "cannot tell" is never "does not run". Nothing is stopped then, and
// the error has a hint.
func TestSystemdUnavailable(t *testing.T) {
	for _, bus := range []servicetest.Bus{servicetest.NoSystemd, servicetest.NoBus, servicetest.Chroot} {
		t.Run(string(bus), func(t *testing.T) {
			s := newSystemd(t)
			s.Running(units...)
			s.Meet(bus)
			check := func(what string, err error) {
				t.Helper()
				var e *service.UnavailableError
				if !errors.Is(err, service.ErrUnavailable) || !errors.As(err, &e) || !strings.Contains(e.Hint, "service.manager: none") {
					t.Errorf("%s: got %v", what, err)
				}
			}
			running, err := service.Running(t.Context(), s.Manager, units)
			check("Running", err)
			equal(t, "running", running, nil)
			_, err = service.StopAll(t.Context(), s.Manager, units, quick)
			check("StopAll", err)
			equal(t, "verbs", s.verbs(), nil)
			check("StartAll", service.StartAll(t.Context(), s.Manager, units, quick))
			check("Stop", s.Stop(t.Context(), "worker"))
			check("Start", s.Start(t.Context(), "worker"))
		})
	}
	t.Run("no systemctl", func(t *testing.T) {
		m := newManager(t, service.Options{Manager: service.Systemd, Runner: proc.System{Environ: []string{"PATH=" + t.TempDir()}}})
		_, err := service.Running(t.Context(), m, units)
		if !errors.Is(err, service.ErrUnavailable) || !errors.Is(err, proc.ErrNotFound) {
			t.Errorf("got %v", err)
		}
	})
}

// Promise: on a machine where systemd does not run, the real systemctl is
// understood.
func TestRealSystemctlWithoutSystemd(t *testing.T) {
	if _, err := os.Stat("/run/systemd/system"); err == nil {
		t.Skip("systemd runs here")
	}
	runner := proc.System{}
	if _, err := runner.LookPath("systemctl"); err != nil {
		t.Skip("there is no systemctl here")
	}
	m := newManager(t, service.Options{Manager: service.Systemd, Runner: runner})
	if up, err := service.Running(t.Context(), m, units); !errors.Is(err, service.ErrUnavailable) {
		t.Errorf("got %v, %v", up, err)
	}
}

// Promise: what stops are the units that ran, last one first; what starts are
// those, first one first.
func TestStopAndStart(t *testing.T) {
	t.Parallel()
	s := newSystemd(t)
	s.Running("bmad-forge", "worker")
	s.Add("redis")
	running, err := service.Running(t.Context(), s.Manager, units)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "running", running, []string{"bmad-forge", "worker"})
	stopped, err := service.StopAll(t.Context(), s.Manager, append(units, "worker"), quick)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "stopped", stopped, []string{"bmad-forge", "worker"})
	for _, u := range units {
		if got := s.State(u); got != "inactive" {
			t.Errorf("%s is %s", u, got)
		}
	}
	if err := service.StartAll(t.Context(), s.Manager, stopped, quick); err != nil {
		t.Fatal(err)
	}
	equal(t, "verbs", s.verbs(), []string{"stop worker", "stop bmad-forge", "start bmad-forge", "start worker"})
	if got := s.State("redis"); got != "inactive" {
		t.Errorf("redis, which did not run before, is %s", got)
	}
	for _, c := range s.calls.Calls() {
		if n := len(c.Args); n < 3 || c.Args[n-2] != "--" {
			t.Errorf("a unit that is not behind --: %s", c.Line())
		}
	}
}

// Promise: one that systemd does not know is a mistake, and nothing is stopped.
func TestUnknownUnit(t *testing.T) {
	s := newSystemd(t)
	s.Running("bmad-forge")
	for what, err := range map[string]error{
		"Running": second(service.Running(t.Context(), s.Manager, []string{"bmad-forge", "typo"})),
		"StopAll": second(service.StopAll(t.Context(), s.Manager, []string{"typo", "bmad-forge"}, quick)),
		"Stop":    s.Stop(t.Context(), "typo"),
		"Start":   s.Start(t.Context(), "typo"),
	} {
		var e *service.UnitError
		if !errors.Is(err, service.ErrNotFound) || !errors.As(err, &e) || e.Unit != "typo" || e.State != service.NotFound {
			t.Errorf("%s: got %v", what, err)
		}
	}
	if got := s.State("bmad-forge"); got != "active" {
		t.Errorf("bmad-forge is %s", got)
	}
}

func second(_ []string, err error) error { return err }

// Promise: a stop is waited for, and one that does not end in time is an error
// that says what the unit is doing and what was stopped before.
func TestStopHangs(t *testing.T) {
	t.Parallel()
	s := newSystemd(t)
	s.Running(units...)
	release := s.HoldStop("bmad-forge")
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("the operator said stop")
	go func() { // once it hangs there is nothing more to wait for
		for s.State("bmad-forge") != "deactivating" {
			time.Sleep(time.Millisecond)
		}
		cancel(gone)
	}()
	stopped, err := service.StopAll(ctx, s.Manager, units, quick)
	e := stopError(t, err)
	if e.Unit != "bmad-forge" || e.State != service.Deactivating || !errors.Is(err, gone) {
		t.Errorf("got %v", err)
	}
	equal(t, "stopped", e.Stopped, []string{"worker"})
	equal(t, "returned", stopped, e.Stopped)
	if got := s.State("redis"); got != "active" {
		t.Errorf("redis, which comes after, is %s", got)
	}
	// The caller starts again what it stopped. The unit that hung is as free to
	// come down as to come back.
	if err := service.StartAll(t.Context(), s.Manager, e.Stopped, quick); err != nil {
		t.Error(err)
	}
	release()
	if _, err := service.StopAll(t.Context(), s.Manager, units, quick); err != nil {
		t.Error(err)
	}
}

// Promise: a stop that is still going on when systemctl has returned is waited
// for as well.
func TestStopIsWaitedFor(t *testing.T) {
	s := newSystemd(t)
	s.Running("bmad-forge")
	looks := 0
	s.hook = func(verb, unit string) {
		switch {
		case verb == "stop":
			s.Become(unit, "deactivating", "stop-post", "success")
		case verb == "show" && s.State(unit) == "deactivating":
			if looks++; looks == 3 {
				s.Become(unit, "inactive", "dead", "success")
			}
		}
	}
	if _, err := service.StopAll(t.Context(), s.Manager, []string{"bmad-forge"}, quick); err != nil {
		t.Fatal(err)
	}
	if looks != 3 {
		t.Errorf("it was looked at %d times", looks)
	}
}

// Promise: a unit that comes up again is stopped again, and one that always
// does is an error, with what may be starting it.
func TestComesBack(t *testing.T) {
	t.Parallel()
	for _, times := range []int{1, 1000} {
		s := newSystemd(t)
		s.Running("redis", "worker")
		s.Add("bmad-forge", "TriggeredBy=bmad-forge.socket")
		s.Become("bmad-forge", "active", "running", "success")
		s.ComeBack("bmad-forge", times)
		stopped, err := service.StopAll(t.Context(), s.Manager, units, quick)
		if times == 1 {
			if err != nil || s.State("bmad-forge") != "inactive" {
				t.Errorf("once: %v, %s", err, s.State("bmad-forge"))
			}
			equal(t, "stopped", stopped, units)
			continue
		}
		e := stopError(t, err)
		if !errors.Is(err, service.ErrComesBack) || e.State != service.Active || !strings.Contains(e.Hint, "bmad-forge.socket") {
			t.Errorf("always: %v, hint %q", err, e.Hint)
		}
		equal(t, "stopped", e.Stopped, []string{"worker"})
	}
}

// Promise: before StopAll says that all are down it has looked at each once
// more: the first may come up again while the last is being stopped.
func TestComesBackLater(t *testing.T) {
	t.Parallel()
	for _, times := range []int{1, 1000} {
		s := newSystemd(t)
		s.Running(units...)
		s.hook = func(verb, unit string) {
			if verb == "stop" && unit == "redis" || verb == "stop" && unit == "worker" && times > 0 && s.State("redis") == "inactive" {
				if times--; times >= 0 {
					s.Become("worker", "active", "running", "success")
				}
			}
		}
		_, err := service.StopAll(t.Context(), s.Manager, units, quick)
		if got := s.State("worker"); err == nil && got != "inactive" {
			t.Errorf("no error, and the worker is %s", got)
		}
		if times > 1 {
			if e := stopError(t, err); e.Unit != "worker" || !errors.Is(err, service.ErrComesBack) {
				t.Errorf("got %v", err)
			}
		} else if err != nil {
			t.Error(err)
		}
	}
}

// Promise: who may not stop a unit is told so.
func TestDenied(t *testing.T) {
	s := newSystemd(t)
	s.Running(units...)
	s.Meet(servicetest.Denied)
	_, err := service.StopAll(t.Context(), s.Manager, units, quick)
	e := stopError(t, err)
	if !errors.Is(err, service.ErrDenied) || e.Unit != "worker" || e.State != service.Active || e.Hint == "" || len(e.Stopped) != 0 {
		t.Errorf("got %v, hint %q", err, e.Hint)
	}
}

// Promise: a start is waited for until the unit is active; one that fails is
// named with its reason and its last lines, and does not keep the others down.
func TestStartFails(t *testing.T) {
	t.Parallel()
	s := newSystemd(t)
	for _, u := range units {
		s.Add(u)
	}
	s.FailStart("bmad-forge", "protocol")
	s.Log("bmad-forge", "ImproperlyConfigured: SECRET_KEY is not set")
	err := service.StartAll(t.Context(), s.Manager, units, quick)
	e := startError(t, err)
	equal(t, "up", e.Up, []string{"redis", "worker"})
	if len(e.Failed) != 1 {
		t.Fatalf("got %v", err)
	}
	f := e.Failed[0]
	if f.Unit != "bmad-forge" || f.State != service.Failed || !strings.Contains(strings.Join(f.Lines, "\n"), "SECRET_KEY") {
		t.Errorf("got %+v", f)
	}
	const want = "start bmad-forge (failed): Job for bmad-forge.service failed because the service did not take the steps required by its unit configuration"
	if err.Error() != want {
		t.Errorf("got  %s\nwant %s", err, want)
	}
}

// Promise: activating is not active. It is waited for.
func TestStartIsWaitedFor(t *testing.T) {
	s := newSystemd(t)
	s.Add("bmad-forge")
	looks := 0
	s.hook = func(verb, unit string) {
		switch {
		case verb == "start":
			s.Become(unit, "activating", "start", "success")
		case verb == "show" && s.State(unit) == "activating":
			if looks++; looks == 3 {
				s.Become(unit, "active", "running", "success")
			}
		}
	}
	if err := service.StartAll(t.Context(), s.Manager, []string{"bmad-forge"}, quick); err != nil {
		t.Fatal(err)
	}
	if looks != 3 {
		t.Errorf("it was looked at %d times while activating", looks)
	}
}

// Promise: a unit that dies right after its start, or that was restarted by
// itself in the meantime, is not up.
func TestUnstable(t *testing.T) {
	tests := []struct {
		name string
		then func(s *systemd)
		want string
	}{
		{"dies", func(s *systemd) { s.Become("bmad-forge", "failed", "failed", "exit-code") }, "start bmad-forge (failed): it did not stay up: exit-code"},
		{"is being restarted", func(s *systemd) { s.Become("bmad-forge", "activating", "auto-restart", "exit-code") }, "start bmad-forge (activating): it did not stay up: exit-code"},
		{"was restarted", func(s *systemd) { s.Invocation("bmad-forge", "another") }, "start bmad-forge (active): it did not stay up: it was restarted in the meantime"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSystemd(t)
			s.Add("bmad-forge")
			seen := 0
			s.hook = func(verb, unit string) {
				if verb == "show" && s.State(unit) == "active" {
					if seen++; seen == 1 {
						tt.then(s)
					}
				}
			}
			err := service.StartAll(t.Context(), s.Manager, []string{"bmad-forge"}, quick)
			if !errors.Is(err, service.ErrUnstable) || err.Error() != tt.want {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
}

// Promise: restart is systemd's own, one unit after the other, and judged as a
// start is.
func TestRestartAll(t *testing.T) {
	t.Parallel()
	s := newSystemd(t)
	s.Running("redis", "bmad-forge")
	s.Add("worker")
	if err := service.RestartAll(t.Context(), s.Manager, units, quick); err != nil {
		t.Fatal(err)
	}
	equal(t, "verbs", s.verbs(), []string{"restart redis", "restart bmad-forge", "restart worker"})
	s.FailStart("worker", "exit-code")
	e := startError(t, service.RestartAll(t.Context(), s.Manager, units, quick))
	if len(e.Failed) != 1 || e.Failed[0].Op != "restart" || e.Failed[0].Unit != "worker" {
		t.Errorf("got %v", e)
	}
}

// Promise: a name that could be an option, several names or a pattern never
// reaches a manager.
func TestUnitNames(t *testing.T) {
	bad := map[string][]string{
		service.Systemd:    {"", "-h", "--now", "a b", "a\nb", "a\x00b", "bmad*", "[a]", "../x", "ä", "a\xff", strings.Repeat("a", 300)},
		service.Supervisor: {"", "-c", "a b", "a\tb", "all", "forge:*", "forge:", "a\u00a0b"},
		service.PIDFile:    {"", "-x", "app.pid", "/run/a b.pid", "/run/\x1b.pid"},
	}
	good := map[string][]string{
		service.Systemd:    {"bmad-forge", "bmad-forge@1.service", `a\x2db.service`},
		service.Supervisor: {"forge", "forge:web_00"},
		service.PIDFile:    {"/run/bmad-forge.pid"},
	}
	for manager, names := range bad {
		// The runner has no handler, so whatever is run fails the test.
		m := newManager(t, service.Options{Manager: manager, Runner: &proctest.Runner{T: t}})
		for _, name := range names {
			for what, err := range map[string]error{
				"Running":    second(service.Running(t.Context(), m, []string{name})),
				"StopAll":    second(service.StopAll(t.Context(), m, []string{name}, quick)),
				"StartAll":   service.StartAll(t.Context(), m, []string{name}, quick),
				"RestartAll": service.RestartAll(t.Context(), m, []string{name}, quick),
				"State":      stateError(t, m, name),
				"Stop":       m.Stop(t.Context(), name),
				"Start":      m.Start(t.Context(), name),
			} {
				if !errors.Is(err, service.ErrUnitName) {
					t.Errorf("%s %s(%q): got %v", manager, what, name, err)
				}
			}
		}
	}
	for manager, names := range good {
		asked := func(context.Context, proc.Cmd) error { return errors.New("asked") }
		m := newManager(t, service.Options{Manager: manager, Runner: &proctest.Runner{T: t,
			Handlers: map[string]proctest.Handler{"systemctl": asked, "supervisorctl": asked}}})
		for _, name := range names {
			if err := stateError(t, m, name); errors.Is(err, service.ErrUnitName) {
				t.Errorf("%s %q: got %v", manager, name, err)
			}
		}
	}
}

func stateError(t *testing.T, m service.Manager, unit string) error {
	_, err := m.State(t.Context(), unit)
	return err
}
