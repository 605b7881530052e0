package service_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/bmad-forge/forgectl/pkg/proc"
	"github.com/bmad-forge/forgectl/pkg/proc/proctest"
	"github.com/bmad-forge/forgectl/pkg/service"
)

// supervisord starts the real one on a private socket, with the given programs.
func supervisord(t *testing.T, programs string) service.Manager {
	t.Helper()
	path, err := exec.LookPath("supervisord")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("supervisord is missing: scripts/setup installs it")
		}
		t.Skip("supervisord is not installed")
	}
	// Not t.TempDir: the path of a socket has to be short.
	dir, err := os.MkdirTemp("", "fctl")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	conf := filepath.Join(dir, "supervisord.conf")
	text := fmt.Sprintf(`[unix_http_server]
file=%[1]s/s
[supervisord]
nodaemon=true
silent=true
logfile=/dev/null
logfile_maxbytes=0
pidfile=%[1]s/pid
childlogdir=%[1]s
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://%[1]s/s
%[2]s`, dir, programs)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	runner := proc.System{Environ: os.Environ()}
	m := newManager(t, service.Options{Manager: service.Supervisor, Runner: runner, Args: []string{"-c", conf}})
	if _, err := service.Running(t.Context(), m, []string{"web"}); !errors.Is(err, service.ErrUnavailable) {
		t.Errorf("before supervisord was started: got %v", err)
	}
	p, err := runner.Start(t.Context(), proc.Cmd{Path: path, Args: []string{"-c", conf}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Wait() }) // the test's context has ended then, which stops it and its programs
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		if _, err := m.State(t.Context(), "web"); !errors.Is(err, service.ErrUnavailable) {
			return m
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("supervisord does not answer")
	return nil
}

// Promise: with the real supervisord, units are stopped and started in order,
// and each of its states and mistakes is understood.
func TestRealSupervisor(t *testing.T) {
	t.Parallel()
	m := supervisord(t, `
[program:web]
command=sleep 3600
startsecs=0
stopasgroup=true
[program:sleeper]
process_name=worker_%(process_num)02d
command=sleep 3600
startsecs=0
numprocs=1
[program:broken]
command=sh -c 'echo no SECRET_KEY >&2; exit 3'
autostart=false
startretries=0
startsecs=1
`)
	ctx, units := t.Context(), []string{"web", "sleeper:worker_00"}
	quick := quick
	quick.Settle = -1 // each look is a Python that has to be started
	running, err := service.Running(ctx, m, units)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "running", running, units)
	stopped, err := service.StopAll(ctx, m, units, quick)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "stopped", stopped, units)
	if state, err := m.State(ctx, "web"); state != service.Inactive || err != nil {
		t.Errorf("after the stop: %s, %v", state, err)
	}
	if err := m.Stop(ctx, "web"); err != nil {
		t.Errorf("stop again: %v", err)
	}
	if err := service.StartAll(ctx, m, stopped, quick); err != nil {
		t.Error(err)
	}
	if err := m.Start(ctx, "web"); err != nil {
		t.Errorf("start again: %v", err)
	}
	// What a program has said reaches supervisord's log a moment after its end, and
	// each attempt says it once more; and a moment after that the program is FATAL, no
	// longer BACKOFF.
	var e *service.StartError
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		err = service.StartAll(ctx, m, []string{"broken", "web"}, quick)
		e = startError(t, err)
		if len(e.Failed) == 1 && len(e.Failed[0].Lines) > 0 && e.Failed[0].State == service.Failed {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	equal(t, "up", e.Up, []string{"web"})
	if len(e.Failed) != 1 || e.Failed[0].State != service.Failed || e.Failed[0].Hint == "" ||
		!slices.Equal(slices.Compact(e.Failed[0].Lines), []string{"no SECRET_KEY"}) {
		t.Errorf("got %+v", e)
	}
	for what, err := range map[string]error{
		"Running": second(service.Running(ctx, m, []string{"nope"})),
		"Stop":    m.Stop(ctx, "nope"),
	} {
		if !errors.Is(err, service.ErrNotFound) {
			t.Errorf("%s of a program that is not there: got %v", what, err)
		}
	}
}

// Promise: the states are understood, and an answer that is not understood is
// not guessed at.
func TestSupervisorAnswers(t *testing.T) {
	tests := []struct {
		out  string
		code int
		want service.State // empty: unavailable
	}{
		{"web                              RUNNING   pid 4711, uptime 0:01:02\n", 0, service.Active},
		{"web                              STARTING  \n", 0, service.Activating},
		{"web                              BACKOFF   Exited too quickly (process log may have details)\n", 0, service.Activating},
		{"web                              STOPPING  \n", 0, service.Deactivating},
		{"web                              STOPPED   Nov 24 12:00 AM\n", 3, service.Inactive},
		{"web                              EXITED    Nov 24 12:00 AM\n", 3, service.Inactive},
		{"web                              FATAL     can't find command '/no'\n", 3, service.Failed},
		{"web: ERROR (no such process)\n", 4, service.NotFound},
		{"web: ERROR (no such group)\n", 4, service.NotFound},
		{"web                              UNKNOWN   \n", 0, ""},
		{"unix:///run/supervisor.sock no such file\n", 4, ""},
		{"http://localhost:9001 refused connection\n", 4, ""},
		{"error: <class 'PermissionError'>, [Errno 13] Permission denied: file: /usr/lib/x.py line: 560\n", 1, ""},
		{"web  STOPPED\nweb2  RUNNING\n", 3, ""},
		{"", 0, ""},
	}
	for _, tt := range tests {
		r := &proctest.Runner{T: t, Handlers: map[string]proctest.Handler{
			"supervisorctl": proctest.Reply{Stdout: tt.out, ExitCode: tt.code}.Play,
		}}
		m := newManager(t, service.Options{Manager: service.Supervisor, Runner: r, Args: []string{"-c", "x.conf"}})
		got, err := m.State(t.Context(), "web")
		if got != tt.want || (err == nil) != (tt.want != "") || err != nil && !errors.Is(err, service.ErrUnavailable) {
			t.Errorf("%q: got %q, %v", tt.out, got, err)
		}
		equal(t, "command", r.Lines(), []string{"supervisorctl -c x.conf -- status web"})
	}
}
