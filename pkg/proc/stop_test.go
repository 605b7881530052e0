package proc_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/bmad-forge/forgectl/pkg/proc"
)

const short = 100 * time.Millisecond

var errStop = errors.New("the operator said stop")

// The end of the context ends the whole group, and its cause is the error.
func TestCancelEndsGroup(t *testing.T) {
	tests := []struct {
		name   string
		cmd    proc.Cmd
		signal os.Signal
	}{
		// The first line of each is the process that has to be gone in the end.
		{"child and grandchild", shell("sleep 3600 & echo $!; wait"), syscall.SIGTERM},
		{"grandchild that ignores TERM", shell("(trap '' TERM; exec sleep 3600) & echo $!; wait"), syscall.SIGTERM},
		{"own signal", func() proc.Cmd {
			c := shell("trap '' TERM; echo $$; exec sleep 3600")
			c.StopSignal = syscall.SIGINT
			return c
		}(), syscall.SIGINT},
		{"stopped child", shell("echo $$; kill -STOP $$; sleep 3600"), syscall.SIGTERM},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			out := newFirstLine()
			tt.cmd.Stdout = out
			p, err := proc.System{Grace: short}.Start(ctx, tt.cmd)
			if err != nil {
				t.Fatal(err)
			}
			pid := <-out.line
			cancel(errStop)
			err = p.Wait()
			var e *proc.Error
			if !errors.Is(err, errStop) || !errors.As(err, &e) || e.Signal != tt.signal {
				t.Errorf("got %v, want %v by %v", err, errStop, tt.signal)
			}
			awaitGone(t, pid)
			if again := p.Wait(); again != err {
				t.Errorf("second Wait: %v", again)
			}
		})
	}
}

// A child that ignores TERM is killed.
func TestCancelKillsStubborn(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cmd, out := self(t, "stubborn"), newFirstLine()
	cmd.Stdout = out
	p, err := proc.System{Grace: short}.Start(ctx, cmd)
	if err != nil {
		t.Fatal(err)
	}
	<-out.line
	cancel(errStop)
	var e *proc.Error
	if err := p.Wait(); !errors.As(err, &e) || e.Signal != syscall.SIGKILL || !errors.Is(err, errStop) {
		t.Errorf("got %v", err)
	}
}

// What the child still says while it is being stopped is kept.
func TestCancelKeepsLastWords(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cmd, out := shell("trap 'echo farewell >&2; exit 1' TERM; echo ready; sleep 3600 & wait"), newFirstLine()
	cmd.Stdout = out
	p, err := proc.System{Grace: short}.Start(ctx, cmd)
	if err != nil {
		t.Fatal(err)
	}
	<-out.line
	cancel(errStop)
	var e *proc.Error
	if err := p.Wait(); !errors.As(err, &e) || strings.Join(e.Stderr, "|") != "farewell" || e.ExitCode != 1 {
		t.Errorf("got %+v", err)
	}
}

// A process that the child leaves behind delays the end, but does not prevent it; on stdout it is doubt.
func TestHeldPipes(t *testing.T) {
	tests := []struct {
		name, script string
		want         error
	}{
		{"stderr", "echo all; sleep 3600 >/dev/null & echo $! >&2", nil},
		{"stdout", "echo all; sleep 3600 2>/dev/null & echo $! >&2", proc.ErrOutputHeld},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			var left string
			cmd := shell(tt.script)
			cmd.Stdout, cmd.Stderr = &out, func(line string) { left = line }
			err := proc.System{Grace: short}.Run(t.Context(), cmd)
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if out.String() != "all\n" {
				t.Errorf("got output %q", out.String())
			}
			kill := shell(`kill -KILL "$1"`, left)
			if err := (proc.System{}).Run(t.Context(), kill); err != nil {
				t.Errorf("what was left behind is none of our business, but it is gone: %v", err)
			}
		})
	}
}

// slowWriter does not take anything before it is let go.
type slowWriter struct {
	buf   bytes.Buffer // not embedded: its ReadFrom would take over
	first sync.Once
	gate  func()
}

func (s *slowWriter) Write(p []byte) (int, error) {
	s.first.Do(s.gate)
	return s.buf.Write(p)
}

// A consumer that is slower than the grace period loses nothing.
func TestSlowConsumer(t *testing.T) {
	// The first line is taken, then the child fills the pipe and ends, and only then the consumer goes on.
	cmd := shell("echo first; read go; head -c 40000 /dev/zero; echo end >&2")
	in, going := io.Pipe()
	ended := make(chan struct{})
	w := &slowWriter{gate: func() {
		_, _ = io.WriteString(going, "go\n")
		_ = going.Close()
		<-ended
		time.Sleep(5 * short)
	}}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, w, func(string) { close(ended) }
	if err := (proc.System{Grace: short}).Run(t.Context(), cmd); err != nil {
		t.Fatal(err)
	}
	if size := len("first\n") + 40000; w.buf.Len() != size {
		t.Errorf("got %d bytes, want %d", w.buf.Len(), size)
	}
}

// A source that is stuck does not hold up a child that has ended.
func TestStuckStdin(t *testing.T) {
	r, w := io.Pipe()
	defer w.Close()
	if err := (proc.System{Grace: short}).Run(t.Context(), proc.Cmd{Path: "true", Stdin: r}); err != nil {
		t.Fatal(err)
	}
}

// A child dies with this process even when that is killed.
func TestDeathSignal(t *testing.T) {
	cmd, out := self(t, "parent"), newFirstLine()
	cmd.Stdout, cmd.StopSignal = out, syscall.SIGKILL
	ctx, cancel := context.WithCancel(t.Context())
	p, err := proc.System{Grace: short}.Start(ctx, cmd)
	if err != nil {
		t.Fatal(err)
	}
	grandchild := <-out.line // in a group of its own: the signal to the parent's does not reach it
	cancel()
	if err := p.Wait(); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	awaitGone(t, grandchild)
}
