package proc

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// copyBuffer is large enough that a bulk stream does not live on system calls.
const copyBuffer = 128 << 10

// outlet is the reading end of a child's pipe. While the child lives a read waits for ever. Once it has ended, all
// that it wrote is in the pipe, so a read that waits can only wait for somebody else: that gets a deadline. Time
// spent in the reader's own consumer does not count.
type outlet struct {
	file *os.File

	mu       sync.Mutex
	patience time.Duration // how long a read may wait; negative: not at all
	ended    bool

	held   bool  // the end of it is none; only for the reader
	broken error // a read failed
}

// childEnded bounds every read from now on.
func (o *outlet) childEnded(patience time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ended, o.patience = true, patience
	_ = o.file.SetReadDeadline(time.Now().Add(patience))
}

func (o *outlet) extend() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ended {
		_ = o.file.SetReadDeadline(time.Now().Add(o.patience))
	}
}

// errHeld is the end of an outlet that somebody else keeps open.
var errHeld = errors.New("held open")

// Read is that of the pipe. Its end is io.EOF also when it is only held open by somebody else: held tells.
func (o *outlet) Read(p []byte) (int, error) {
	o.extend()
	n, err := o.file.Read(p)
	switch {
	case err == nil, errors.Is(err, io.EOF):
		return n, err
	case errors.Is(err, os.ErrDeadlineExceeded):
		o.held = true
		return n, io.EOF
	}
	o.broken = fmt.Errorf("read output: %w", err)
	return n, o.broken
}

// copyTo hands everything to w, which reads by itself when it is an io.ReaderFrom. The error is errHeld or that of w.
func (o *outlet) copyTo(w io.Writer) error {
	defer func() { _ = o.file.Close() }() // the child must not block on a pipe that nobody reads
	_, err := io.CopyBuffer(w, onlyReader{o}, make([]byte, copyBuffer))
	switch {
	case o.broken != nil:
		return o.broken
	case err != nil:
		return fmt.Errorf("hand on output: %w", err)
	case o.held:
		return errHeld
	}
	return nil
}

// onlyReader hides everything but Read.
type onlyReader struct{ io.Reader }

// pipeSize is what a bulk stream wants between two programs; the kernel's own is 64 KiB, which two processes on busy
// cores fill and empty one after the other.
const pipeSize = 1 << 20

// widen gives a pipe pipeSize, where the limits of the user permit it.
func widen(f *os.File) {
	if raw, err := f.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { _, _ = unix.FcntlInt(fd, unix.F_SETPIPE_SZ, pipeSize) })
	}
}

// feed copies r into a child's stdin; an io.WriterTo writes by itself. When r breaks, the pipe stays open (the caller
// closes it once the child is gone): an end of file would tell the child that its input was whole.
func feed(w *os.File, r io.Reader) error {
	in := &inlet{file: w}
	_, err := io.CopyBuffer(in, r, make([]byte, copyBuffer))
	switch {
	case errors.Is(in.err, syscall.EPIPE) || errors.Is(in.err, fs.ErrClosed):
		return nil // the child wants no more; its exit status says whether that is well
	case in.err != nil:
		return fmt.Errorf("hand on input: %w", in.err)
	case err != nil:
		return fmt.Errorf("read input: %w", err)
	}
	_ = w.Close()
	return nil
}

// inlet is the writing end of a child's pipe, which remembers why it broke.
type inlet struct {
	file *os.File
	err  error
}

func (i *inlet) Write(p []byte) (int, error) {
	n, err := i.file.Write(p)
	if err != nil {
		i.err = err
	}
	return n, err
}
