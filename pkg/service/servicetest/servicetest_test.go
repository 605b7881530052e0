package servicetest_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bmad-forge/forgectl/pkg/proc"
	"github.com/bmad-forge/forgectl/pkg/service/servicetest"
)

// call runs the stand-in and gives its stdout, the first line of its stderr and
// its exit code.
func call(t *testing.T, s *servicetest.Systemctl, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	out, err := proc.Output(t.Context(), s.Runner(), proc.Cmd{Path: "systemctl", Args: args})
	var failed *proc.Error
	if errors.As(err, &failed) {
		code = failed.ExitCode
		if len(failed.Stderr) > 0 {
			stderr = failed.Stderr[0]
		}
	} else if err != nil {
		t.Fatal(err)
	}
	return string(out), stderr, code
}

// Promise: answers and exit codes are those of systemd.
func TestAnswers(t *testing.T) {
	const show = "--property=LoadState,ActiveState"
	tests := []struct {
		name           string
		prepare        func(s *servicetest.Systemctl)
		args           string
		stdout, stderr string
		code           int
	}{
		{"active", func(s *servicetest.Systemctl) { s.Running("a") }, "is-active a", "active\n", "", 0},
		{"inactive", func(s *servicetest.Systemctl) { s.Add("a") }, "is-active a", "inactive\n", "", 3},
		{"failed", func(s *servicetest.Systemctl) { s.Add("a"); s.Become("a", "failed", "failed", "timeout") }, "is-active -- a", "failed\n", "", 3},
		{"activating", func(s *servicetest.Systemctl) { s.Add("a"); s.Become("a", "activating", "start", "success") }, "is-active a", "activating\n", "", 3},
		{"one of two", func(s *servicetest.Systemctl) { s.Running("a"); s.Add("b") }, "is-active b a", "inactive\nactive\n", "", 0},
		{"quiet", func(s *servicetest.Systemctl) { s.Running("a") }, "is-active --quiet a", "", "", 0},
		{"no such unit", nil, "is-active a", "inactive\n", "", 4},
		{"show of none", nil, "show " + show + " -- a", "LoadState=not-found\nActiveState=inactive\n", "", 0},
		{"show of one", func(s *servicetest.Systemctl) { s.Running("a") }, "show -p LoadState -p ActiveState a.service", "LoadState=loaded\nActiveState=active\n", "", 0},
		{"start none", nil, "start a", "", "Failed to start a.service: Unit a.service not found.", 5},
		{"stop none", nil, "stop -- a", "", "Failed to stop a.service: Unit a.service not loaded.", 5},
		{"start active", func(s *servicetest.Systemctl) { s.Running("a") }, "start a", "", "", 0},
		{"stop inactive", func(s *servicetest.Systemctl) { s.Add("a") }, "stop a", "", "", 0},
		{"denied", func(s *servicetest.Systemctl) { s.Running("a"); s.Meet(servicetest.Denied) }, "stop a", "", "Failed to stop a.service: Access denied", 4},
		{"no bus", func(s *servicetest.Systemctl) { s.Running("a"); s.Meet(servicetest.NoBus) }, "is-active a", "", "Failed to connect to bus: No such file or directory", 1},
		{"container", func(s *servicetest.Systemctl) { s.Meet(servicetest.NoSystemd) }, "show a", "", "System has not been booted with systemd as init system (PID 1). Can't operate.", 1},
		{"chroot", func(s *servicetest.Systemctl) { s.Meet(servicetest.Chroot) }, "stop a", "", "", 0},
		{"start fails", func(s *servicetest.Systemctl) { s.Add("a"); s.FailStart("a", "timeout") }, "start a", "", "Job for a.service failed because a timeout was exceeded.", 1},
		{"an option", nil, "start --force-it a", "", "systemctl: unrecognized option '--force-it'", 1},
		{"a verb", nil, "dance a", "", "Unknown command verb dance.", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := servicetest.New(t)
			if tt.prepare != nil {
				tt.prepare(s)
			}
			out, line, code := call(t, s, strings.Fields(tt.args)...)
			// proc takes the program's own name off the error only, so stderr is as written.
			if out != tt.stdout || line != tt.stderr || code != tt.code {
				t.Errorf("got %q, %q, %d, want %q, %q, %d", out, line, code, tt.stdout, tt.stderr, tt.code)
			}
		})
	}
}

// Promise: a unit's command is really started and stopped, with what it has
// started itself, and nothing is left at the end.
func TestCommandOfUnit(t *testing.T) {
	s := servicetest.New(t)
	mark := filepath.Join(s.Dir, "mark")
	s.Add("a", "ExecStart=echo hello; trap 'echo bye >"+mark+"; exit 0' TERM; sleep 3600 & wait")
	if _, line, code := call(t, s, "start", "a"); code != 0 {
		t.Fatal(line)
	}
	first := s.MainPID("a")
	if s.State("a") != "active" || syscall.Kill(-first, 0) != nil {
		t.Errorf("%s, process %d", s.State("a"), first)
	}
	if _, line, code := call(t, s, "restart", "a"); code != 0 || s.MainPID("a") == first {
		t.Errorf("restart: %s", line)
	}
	out, _, _ := call(t, s, "status", "a")
	if !strings.Contains(out, "Active: active (running)") || !strings.Contains(out, "\n\nhello\n") {
		t.Errorf("status: %s", out)
	}
	pid := s.MainPID("a")
	if _, line, code := call(t, s, "stop", "a"); code != 0 || s.State("a") != "inactive" {
		t.Errorf("stop: %s, %s", line, s.State("a"))
	}
	if !gone(pid) {
		t.Error("something of it still runs")
	}
	if _, err := os.Stat(mark); err != nil {
		t.Error("it was not told to stop")
	}
	_, _, _ = call(t, s, "start", "a")
	pid = s.MainPID("a")
	if err := s.Close(); err != nil || !gone(pid) {
		t.Errorf("after Close: %v", err)
	}
}

func gone(pgid int) bool {
	for range 500 {
		if errors.Is(syscall.Kill(-pgid, 0), syscall.ESRCH) {
			return true
		}
		time.Sleep(10 * time.Millisecond)
	}
	return false
}

// Promise: a command that ends by itself is seen: with Restart= it is started
// again, without it the unit has failed.
func TestCommandEnds(t *testing.T) {
	for _, tt := range []struct{ command, restart, want string }{
		{"exit 3", "", "failed"},
		{"exit 0", "", "inactive"},
		{"kill -TERM $$", "", "inactive"},
		{"kill -SEGV $$", "", "failed"},
		{"exit 3", "Restart=on-failure", "activating"},
		{"exit 0", "Restart=always", "activating"},
		{"exit 0", "Restart=on-failure", "inactive"},
	} {
		t.Run(tt.command+tt.restart, func(t *testing.T) {
			s := servicetest.New(t)
			s.Add("a", "ExecStart="+tt.command, tt.restart, "RestartSec=60")
			if _, line, code := call(t, s, "start", "a"); code != 0 {
				t.Fatal(line)
			}
			for s.State("a") == "active" {
				time.Sleep(time.Millisecond)
			}
			if got := s.State("a"); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

// Promise: a job that is told to hang does, until it is released or another job
// takes its place.
func TestHold(t *testing.T) {
	s := servicetest.New(t)
	s.Add("a")
	s.HoldStart("a")
	done := make(chan int)
	go func() {
		_, _, code := call(t, s, "start", "a")
		done <- code
	}()
	for s.State("a") != "activating" {
		time.Sleep(time.Millisecond)
	}
	if _, _, code := call(t, s, "stop", "a"); code != 0 {
		t.Errorf("stop: %d", code)
	}
	if code := <-done; code != 1 || s.State("a") != "inactive" {
		t.Errorf("the start that was cancelled: %d, %s", code, s.State("a"))
	}
}
