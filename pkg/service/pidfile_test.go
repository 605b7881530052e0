package service_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bmad-forge/forgectl/pkg/proc"
	"github.com/bmad-forge/forgectl/pkg/service"
)

// daemon is a process with its pid file, which says when it is ready for
// signals. It is reaped when it ends.
func daemon(t *testing.T, script string) (file string, pid int) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "app.pid")
	cmd := exec.Command("/bin/sh", "-c", script)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil { // it says when it is ready
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = cmd.Wait() }()
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-done
	})
	writePID(t, file, fmt.Sprintln(cmd.Process.Pid))
	return file, cmd.Process.Pid
}

func writePID(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func pidfileManager(t *testing.T, start ...string) service.Manager {
	return newManager(t, service.Options{Manager: service.PIDFile, Runner: proc.System{}, Start: start})
}

// Promise: the process of the pid file is ended by TERM and waited for.
func TestPIDFileStop(t *testing.T) {
	file, pid := daemon(t, `trap 'sleep 0.1; exit 0' TERM; echo; while :; do sleep 0.01; done`)
	m := pidfileManager(t)
	up, err := service.Running(t.Context(), m, []string{file})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "running", up, []string{file})
	stopped, err := service.StopAll(t.Context(), m, []string{file}, quick)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "stopped", stopped, []string{file})
	if err := syscall.Kill(pid, 0); err == nil && !isZombie(pid) {
		t.Error("it still runs")
	}
	// Its file is left behind, and means nothing.
	if state, err := m.State(t.Context(), file); state != service.Inactive || err != nil {
		t.Errorf("got %s, %v", state, err)
	}
	if err := m.Stop(t.Context(), file); err != nil {
		t.Errorf("again: %v", err)
	}
}

func isZombie(pid int) bool {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return strings.Contains(string(text), ") Z ")
}

// Promise: one that does not end is an error, and is never killed.
func TestPIDFileNeverKills(t *testing.T) {
	t.Parallel()
	file, pid := daemon(t, `trap : TERM; echo; while :; do sleep 0.01; done`)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := service.StopAll(ctx, pidfileManager(t), []string{file}, quick)
	e := stopError(t, err)
	if e.State != service.Active || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), strconv.Itoa(pid)) {
		t.Errorf("got %v", err)
	}
	if err := syscall.Kill(pid, 0); err != nil || isZombie(pid) {
		t.Errorf("it is gone: %v", err)
	}
}

// Promise: what the file says is taken for "runs" or "does not run" only when
// that is certain, and nobody else's process gets a signal.
func TestPIDFileDoubt(t *testing.T) {
	self := os.Getpid()
	old := time.Now().Add(-1000 * time.Hour)
	tests := []struct {
		name, text string
		modified   time.Time
		want       service.State // empty: an error
	}{
		{"a process", fmt.Sprintln(self), time.Time{}, service.Active},
		{"more lines, as PostgreSQL writes", fmt.Sprintf(" %d \n/var/lib\n5432\n", self), time.Time{}, service.Active},
		{"a number that nobody has", "4194304\n", time.Time{}, service.Inactive},
		{"empty", "", time.Time{}, ""},
		{"a word", "bmad-forge\n", time.Time{}, ""},
		{"zero", "0\n", time.Time{}, ""},
		{"init", "1\n", time.Time{}, ""},
		{"negative", "-1\n", time.Time{}, ""},
		{"too large", "99999999999999999999\n", time.Time{}, ""},
		{"a process that is younger than the file", fmt.Sprintln(self), old, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "app.pid")
			writePID(t, file, tt.text)
			if !tt.modified.IsZero() {
				if err := os.Chtimes(file, tt.modified, tt.modified); err != nil {
					t.Fatal(err)
				}
			}
			m := pidfileManager(t)
			got, err := m.State(t.Context(), file)
			if got != tt.want || (err != nil) != (tt.want == "") || err != nil && !errors.Is(err, service.ErrUnavailable) {
				t.Errorf("got %q, %v, want %q", got, err, tt.want)
			}
		})
	}
	// Not tried with the numbers above: a mistake would end whoever runs the test.
	file, pid := daemon(t, "echo; exec sleep 3600")
	if err := os.Chtimes(file, old, old); err != nil {
		t.Fatal(err)
	}
	m := pidfileManager(t)
	if err := m.Stop(t.Context(), file); !errors.Is(err, service.ErrUnavailable) {
		t.Errorf("Stop: %v", err)
	}
	if err := syscall.Kill(pid, 0); err != nil || isZombie(pid) {
		t.Errorf("somebody else's process was ended: %v", err)
	}
	missing := filepath.Join(t.TempDir(), "no.pid")
	if got, err := m.State(t.Context(), missing); got != service.Inactive || err != nil {
		t.Errorf("no file: got %s, %v", got, err)
	}
	if got, err := m.State(t.Context(), t.TempDir()); !errors.Is(err, service.ErrUnavailable) {
		t.Errorf("a directory: got %s, %v", got, err)
	}
}

// Promise: root ends no process for somebody who could not end it himself: a pid
// file names processes of its owner, or it is root's, and is no link to the file of
// another program.
func TestPIDFileOfAnother(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("needs root")
		}
		t.Skip("needs root")
	}
	const uid = 12345
	m := pidfileManager(t)
	file, pid := daemon(t, "echo; exec sleep 3600")
	link := filepath.Join(t.TempDir(), "app.pid")
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	if err := m.Stop(t.Context(), link); !errors.Is(err, service.ErrUnavailable) {
		t.Errorf("a link: %v", err)
	}
	if err := os.Chown(file, uid, uid); err != nil {
		t.Fatal(err)
	}
	if err := m.Stop(t.Context(), file); !errors.Is(err, service.ErrUnavailable) {
		t.Errorf("another's file: %v", err)
	}
	if err := syscall.Kill(pid, 0); err != nil || isZombie(pid) {
		t.Errorf("root's process was ended: %v", err)
	}
	own, _ := daemon(t, fmt.Sprintf("exec setpriv --reuid=%d --regid=%d --clear-groups sh -c 'echo; exec sleep 3600'", uid, uid))
	if err := os.Chown(own, uid, uid); err != nil {
		t.Fatal(err)
	}
	if err := m.Stop(t.Context(), own); err != nil {
		t.Errorf("its own: %v", err)
	}
}

// Promise: the start command starts it, and is waited for until the process is
// there; one that runs is left alone.
func TestPIDFileStart(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "app.pid")
	start := fmt.Sprintf(`(setsid sh -c 'sleep 0.1; echo $$ >%s; exec sleep 60' </dev/null >/dev/null 2>&1 &) ; echo started >>%s/log`, file, dir)
	m := pidfileManager(t, start)
	for range 2 {
		if err := service.StartAll(t.Context(), m, []string{file}, quick); err != nil {
			t.Fatal(err)
		}
	}
	if text, _ := os.ReadFile(dir + "/log"); string(text) != "started\n" {
		t.Errorf("it was started like this: %q", text)
	}
	if _, err := service.StopAll(t.Context(), m, []string{file}, quick); err != nil {
		t.Error(err)
	}
	err := service.StartAll(t.Context(), pidfileManager(t), []string{file}, quick)
	if e := startError(t, err); !errors.Is(err, service.ErrNoCommand) || e.Failed[0].Hint == "" {
		t.Errorf("without a command: %v", err)
	}
}
