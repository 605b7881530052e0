package service_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/proc"
	"github.com/bmad-forge/forgectl/pkg/proc/proctest"
	"github.com/bmad-forge/forgectl/pkg/service"
)

// Promise: the commands are for the application as a whole: they run once, one
// after the other, whatever units there are. Since nobody can see what it is
// doing, it counts as running before, and the commands' word counts after.
func TestCommand(t *testing.T) {
	dir := t.TempDir()
	out := filepath.Join(dir, "out")
	says := func(word string) string { return "echo " + word + " >>" + out }
	o := service.Options{
		Manager: service.Command, Runner: proc.System{},
		Start: []string{says("start-1"), says("start-2")},
		Stop:  []string{says("stop-1"), says("stop-2")},
	}
	m := newManager(t, o)
	running, err := service.Running(t.Context(), m, units)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "running", running, []string{service.Application})
	stopped, err := service.StopAll(t.Context(), m, running, quick)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "stopped", stopped, []string{service.Application})
	if err := service.StartAll(t.Context(), m, stopped, quick); err != nil {
		t.Error(err)
	}
	if err := service.StartAll(t.Context(), m, nil, quick); err != nil {
		t.Error(err)
	}
	if err := service.RestartAll(t.Context(), m, units, quick); err != nil {
		t.Error(err)
	}
	o.Restart = []string{says("restart")}
	if err := service.RestartAll(t.Context(), newManager(t, o), nil, quick); err != nil {
		t.Error(err)
	}
	text, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "commands", strings.Fields(string(text)), []string{
		"stop-1", "stop-2", "start-1", "start-2", "stop-1", "stop-2", "start-1", "start-2", "restart",
	})
}

// Promise: a command that fails ends the list, and what it printed is in the
// error.
func TestCommandFails(t *testing.T) {
	mark := filepath.Join(t.TempDir(), "mark")
	m := newManager(t, service.Options{
		Manager: service.Command, Runner: proc.System{},
		Start: []string{"true"},
		Stop:  []string{"echo cannot reach the container; exit 7", "touch " + mark},
	})
	_, err := service.StopAll(t.Context(), m, units, quick)
	e := stopError(t, err)
	var failed *proc.Error
	if !errors.As(err, &failed) || failed.ExitCode != 7 {
		t.Errorf("got %v", err)
	}
	equal(t, "lines", e.Lines, []string{"cannot reach the container"})
	equal(t, "stopped", e.Stopped, nil)
	if _, err := os.Stat(mark); err == nil {
		t.Error("the next command was run")
	}
}

// Promise: a daemon that a start command leaves behind with our pipe is no
// failure of the command.
func TestCommandLeavesDaemon(t *testing.T) {
	held := func(code int) proctest.Handler {
		return proctest.Reply{ExitCode: code, Err: proc.ErrOutputHeld}.Play
	}
	for code, want := range map[int]bool{0: true, 1: false} {
		m := newManager(t, service.Options{
			Manager: service.Command, Start: []string{"x"}, Stop: []string{"y"},
			Runner: &proctest.Runner{T: t, Handlers: map[string]proctest.Handler{"sh": held(code)}},
		})
		if err := m.Start(t.Context(), service.Application); (err == nil) != want {
			t.Errorf("exit code %d: got %v", code, err)
		}
	}
}
