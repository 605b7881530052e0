// Package proc is the only place that runs a program.
//
// Every child is its own process group, dies with its context and with this process, sees a short
// allow-list of the environment and never a secret, and leaves the end of its stderr, scrubbed, in the
// error that it causes.
//
// The contract:
//
//   - A context that ends sends Cmd.StopSignal (TERM) to the whole group and, after the grace period, KILL.
//     The error then carries context.Cause.
//   - Wait returns when the child has ended and what it wrote has been handed on; it never returns while
//     a Write to Cmd.Stdout or a call of Cmd.Stderr is running. Somebody else who keeps the pipes open, such as
//     a daemon that the child started, delays it by the grace period and no more: harmless for stderr,
//     ErrOutputHeld for stdout, since then nobody knows whether that was all.
//   - A Stdin whose Read fails, and a Stdout whose Write fails, stop the child and are the error. The child
//     never sees the end of a stdin that broke: half a script must not look like a whole one.
//   - Secrets reach a child by file descriptor (Memfd and Cmd.Files), never by argument or environment. A
//     variable that is named like a secret is refused (ErrSecretEnv).
//   - A child is in the background of the terminal, if there is one: it may write there, but the kernel stops it when
//     it reads. The end of the context still ends it.
//   - Whoever calls Start calls Wait; calling it again gives the same answer.
package proc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

// OutputLimit is the most that Output keeps.
const OutputLimit = 16 << 20

var (
	// ErrNotFound means that the program is not installed, as opposed to having failed.
	ErrNotFound = errors.New("program not found")
	// ErrOutputHeld means that the child ended, but another process kept its stdout open: what was read may
	// not be all.
	ErrOutputHeld = errors.New("another process holds the output open")
	// ErrSecretEnv means that Cmd.Env names a variable that looks like a secret.
	ErrSecretEnv = errors.New("a secret must not be passed in the environment")
	// ErrTooMuchOutput means that a program wrote more than OutputLimit.
	ErrTooMuchOutput = errors.New("too much output")
)

// Cmd says what to run. Only Path is required.
type Cmd struct {
	Path string   // absolute, or a bare name that is looked up in PATH
	Args []string // without the program's name
	Env  []string // KEY=VALUE, added to the allowed part of the parent's environment
	Dir  string   // default: the current one, or "/" with As

	Stdin  io.Reader         // nil: /dev/null; an *os.File is handed on without a copy
	Stdout io.Writer         // nil: /dev/null; an *os.File is handed on without a copy
	Stderr func(line string) // every line, scrubbed; from one goroutine
	Files  []*os.File        // descriptors 3, 4, … of the child; the caller closes its own

	As      *Credential // nil: the user that runs forgectl
	Secrets []string    // replaced by *** in stderr lines, errors and log lines
	Name    string      // for messages; default: base name of Path

	StopSignal  syscall.Signal // sent to the group when the context ends; default TERM
	DeathSignal syscall.Signal // sent by the kernel to the child when this process dies; default KILL
}

// DisplayName is how messages call the program.
func (c Cmd) DisplayName() string {
	if c.Name != "" {
		return c.Name
	}
	return filepath.Base(c.Path)
}

// Runner runs programs. System is the real one, proctest has a fake.
type Runner interface {
	// Run is Start and Wait.
	Run(ctx context.Context, c Cmd) error
	// Start returns once the program has been started. The context governs its whole life.
	Start(ctx context.Context, c Cmd) (Process, error)
}

// Process is a started program.
type Process interface {
	Wait() error
	PID() int
}

// Output runs c and returns its stdout, at most OutputLimit bytes of it.
func Output(ctx context.Context, r Runner, c Cmd) ([]byte, error) {
	var buf limited
	c.Stdout = &buf
	if err := r.Run(ctx, c); err != nil {
		return buf.buf.Bytes(), err
	}
	return buf.buf.Bytes(), nil
}

// limited is a buffer that refuses to grow past OutputLimit.
type limited struct{ buf bytes.Buffer } // not embedded: its ReadFrom knows no limit

func (l *limited) Write(p []byte) (int, error) {
	if l.buf.Len()+len(p) > OutputLimit {
		return 0, fmt.Errorf("%w: more than %d bytes", ErrTooMuchOutput, OutputLimit)
	}
	return l.buf.Write(p)
}
