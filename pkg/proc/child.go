package proc

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// child is a running program and everything that serves it. One goroutine (supervise) signals and reaps it, so a
// signal can never hit a process that has inherited its number.
type child struct {
	cmd   Cmd
	name  string
	grace time.Duration
	log   *slog.Logger
	scrub *scrubber

	proc  *os.Process
	ended chan struct{} // closed when it has exited; it is not yet reaped then

	stdin  *os.File // our end; nil when the child has it directly
	stdout *outlet  // nil when the child has it directly
	stderr *outlet
	lines  *lines
	theirs []*os.File // ends that belong to the child and are closed here after the start

	done chan struct{}
	err  error
}

func newChild(c Cmd, grace time.Duration, log *slog.Logger) *child {
	scrub := newScrubber(c.Secrets)
	return &child{
		cmd: c, name: c.DisplayName(), grace: grace, log: log, scrub: scrub,
		lines: &lines{scrub: scrub, emit: c.Stderr},
		ended: make(chan struct{}), done: make(chan struct{}),
	}
}

func (c *child) PID() int { return c.proc.Pid }

func (c *child) Wait() error {
	<-c.done
	return c.err
}

func (c *child) start(ctx context.Context, path string, argv []string, attr *os.ProcAttr) error {
	defer c.closeTheirs()
	files, err := c.files()
	if err != nil {
		c.closeOurs()
		return fmt.Errorf("open pipes: %w", err)
	}
	attr.Files = files
	if err := c.launch(path, argv, attr); err != nil {
		c.closeOurs()
		if _, serr := os.Stat(path); errors.Is(serr, fs.ErrNotExist) {
			return fmt.Errorf("%w: %s", ErrNotFound, path)
		}
		return err
	}
	c.log.Debug("program started", "program", c.name, "args", c.scrub.all(c.cmd.Args), "pid", c.proc.Pid)
	go c.supervise(ctx, time.Now())
	return nil
}

// launch starts the program on a thread that is kept until the program has ended: the kernel sends the death
// signal when the thread that forked is gone, not the process.
func (c *child) launch(path string, argv []string, attr *os.ProcAttr) error {
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		var err error
		c.proc, err = os.StartProcess(path, argv, attr)
		started <- err
		if err == nil {
			awaitExit(c.proc.Pid)
			close(c.ended)
		}
	}()
	return <-started
}

// awaitExit blocks until the child has exited, and leaves it to be reaped.
func awaitExit(pid int) {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// files opens what the child gets as descriptors 0, 1, 2, ….
func (c *child) files() ([]*os.File, error) {
	in, err := c.openStdin()
	if err != nil {
		return nil, err
	}
	out, err := c.openStdout()
	if err != nil {
		return nil, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	c.stderr, c.theirs = &outlet{file: r}, append(c.theirs, w)
	return append([]*os.File{in, out, w}, c.cmd.Files...), nil
}

func (c *child) openStdin() (*os.File, error) {
	switch in := c.cmd.Stdin.(type) {
	case nil:
		return c.null(os.O_RDONLY)
	case *os.File:
		return in, nil
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	widen(w)
	c.stdin, c.theirs = w, append(c.theirs, r)
	return r, nil
}

func (c *child) openStdout() (*os.File, error) {
	switch out := c.cmd.Stdout.(type) {
	case nil:
		return c.null(os.O_WRONLY)
	case *os.File:
		return out, nil
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	widen(r)
	c.stdout, c.theirs = &outlet{file: r}, append(c.theirs, w)
	return w, nil
}

func (c *child) null(flag int) (*os.File, error) {
	f, err := os.OpenFile(os.DevNull, flag, 0)
	if err == nil {
		c.theirs = append(c.theirs, f)
	}
	return f, err
}

func (c *child) closeTheirs() {
	for _, f := range c.theirs {
		_ = f.Close()
	}
}

func (c *child) closeOurs() {
	if c.stdin != nil {
		_ = c.stdin.Close()
	}
	for _, o := range []*outlet{c.stdout, c.stderr} {
		if o != nil {
			_ = o.file.Close()
		}
	}
}

// supervise carries the child from its start to the answer of Wait.
func (c *child) supervise(parent context.Context, began time.Time) {
	defer close(c.done)
	ctx, abort := context.WithCancelCause(parent)
	defer abort(nil)

	s := c.startStreams(abort)
	stopped, deadline := c.awaitEnd(ctx)
	state, err := c.proc.Wait()
	if stopped {
		c.endGroup(deadline)
	}
	s.finish(ctx, stopped)

	c.err = c.verdict(ctx, state, err, stopped, s)
	c.log.Debug("program ended", "program", c.name, "pid", c.proc.Pid, "state", fmt.Sprint(state),
		"seconds", time.Since(began).Seconds())
}

// awaitEnd returns when the child has exited, by itself or stopped by the context; then also until when the rest
// of its group may take.
func (c *child) awaitEnd(ctx context.Context) (stopped bool, deadline time.Time) {
	select {
	case <-c.ended:
		return false, time.Time{}
	case <-ctx.Done():
	}
	deadline = time.Now().Add(c.grace)
	timer := time.NewTimer(c.grace)
	defer timer.Stop()
	sig := c.cmd.StopSignal
	if sig == 0 {
		sig = syscall.SIGTERM
	}
	_ = c.signal(sig)
	_ = c.signal(syscall.SIGCONT) // one that waits for a terminal is stopped and would not hear the first
	select {
	case <-c.ended:
	case <-timer.C:
		c.log.Debug("program does not stop: kill it", "program", c.name, "pid", c.proc.Pid)
		_ = c.signal(syscall.SIGKILL)
		<-c.ended
	}
	return true, deadline
}

// endGroup waits for what the stopped child left behind in its group, and kills it when its time is over. The
// number of a group is not reused while it has members.
func (c *child) endGroup(deadline time.Time) {
	for c.signal(0) == nil {
		if !time.Now().Before(deadline) {
			_ = c.signal(syscall.SIGKILL)
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (c *child) signal(sig syscall.Signal) error { return syscall.Kill(-c.proc.Pid, sig) }

// verdict puts together what Wait answers. What broke first counts: the end of the context or a stream, then the
// child's own failure, then doubt about its output.
func (c *child) verdict(ctx context.Context, state *os.ProcessState, waitErr error, stopped bool, s *streams) error {
	e := &Error{Name: c.name, ExitCode: -1, Stderr: c.lines.tail}
	if waitErr != nil {
		e.Err = fmt.Errorf("wait: %w", waitErr)
		return e
	}
	e.ExitCode = state.ExitCode() // -1 after a signal
	if ws, ok := state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		e.Signal = ws.Signal()
	}
	switch {
	case stopped || s.broken.Load():
		e.Err = context.Cause(ctx)
	case !state.Success():
	case s.held:
		e.Err = ErrOutputHeld
	default:
		return nil
	}
	return e
}
