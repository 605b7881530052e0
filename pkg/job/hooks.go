package job

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/bmad-forge/forgectl/pkg/proc"
)

// Hooks are shell commands around an operation.
type Hooks struct {
	Before, After []string
	Timeout       time.Duration // for each command; default one minute
}

// HookOutput is what became of one hook.
type HookOutput struct {
	When     string  `json:"when"` // before | after
	Command  string  `json:"command"`
	ExitCode int     `json:"exit_code"` // -1 when it did not exit by itself
	Seconds  float64 `json:"seconds"`
	Output   string  `json:"output,omitempty"` // stdout and stderr, the end of it
	Error    string  `json:"error,omitempty"`
}

const (
	defaultHookTimeout = time.Minute
	// outputLimit bounds what a record keeps of the output of one hook.
	outputLimit = 16 << 10
	// environLimit bounds the error message handed to a hook: the kernel does
	// not take arguments and environment of any size.
	environLimit = 4 << 10
)

// hook runs one command and notes its output in the record.
func (r *Runner) hook(ctx context.Context, run *Run, when, command string) error {
	timeout := r.Hooks.Timeout
	if timeout <= 0 {
		timeout = defaultHookTimeout
	}
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, &TimeoutError{After: timeout})
	defer cancel()

	var out tail
	started := r.now()
	err := r.Proc.Run(ctx, proc.Cmd{
		Path: "/bin/sh", Args: []string{"-c", command}, Name: when + " hook",
		Env:    run.environ(),
		Stdout: &out,
		Stderr: func(line string) { _, _ = out.Write([]byte(line + "\n")) },
	})

	note := HookOutput{
		When: when, Command: r.scrub(brief(command, 1000)), Seconds: r.now().Sub(started).Seconds(),
		Output: cutFront(r.scrub(out.String()), outputLimit),
	}
	var failed *proc.Error
	if errors.As(err, &failed) {
		note.ExitCode = failed.ExitCode
		// A hook may leave something running that keeps our pipe: what
		// counts is how the hook itself ended.
		if errors.Is(err, proc.ErrOutputHeld) && failed.ExitCode == 0 {
			err = nil
		}
	} else if err != nil {
		note.ExitCode = -1
	}
	if err != nil {
		err = fmt.Errorf("run %s hook %q: %w", when, brief(command, 60), plain(failed, err))
		note.Error = r.scrub(err.Error())
	}
	run.addHook(note)
	return err
}

// plain drops the name from an error of the program, because the caller names
// the command.
func plain(failed *proc.Error, err error) error {
	if failed == nil {
		return err
	}
	return &hookError{text: strings.TrimPrefix(failed.Error(), failed.Name+": "), err: err}
}

// hookError changes the words of an error and keeps its causes.
type hookError struct {
	text string
	err  error
}

func (e *hookError) Error() string { return e.text }
func (e *hookError) Unwrap() error { return e.err }

// environ is what a hook learns about the run.
func (run *Run) environ() []string {
	run.mu.Lock()
	defer run.mu.Unlock()
	outcome := run.rec.Outcome
	if outcome == Running {
		outcome = "" // a before hook: there is none yet
	}
	env := []string{
		"FORGECTL_OPERATION=" + run.rec.Operation,
		"FORGECTL_TARGET=" + run.rec.Target,
		"FORGECTL_OUTCOME=" + outcome,
		"FORGECTL_ERROR=" + brief(run.rec.Error, environLimit),
	}
	for i := range env {
		env[i] = strings.ReplaceAll(env[i], "\x00", "")
	}
	return env
}

// tail keeps the end of what is written to it. It keeps more than a record will
// show, so that a secret is never cut in half before it is scrubbed.
type tail struct {
	mu      sync.Mutex
	buf     []byte
	dropped bool
}

const tailKept = 2 * outputLimit

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if len(t.buf) > 2*tailKept {
		t.buf = append(t.buf[:0], t.buf[len(t.buf)-tailKept:]...)
		t.dropped = true
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.ToValidUTF8(t.buf, []byte("\uFFFD")))
}

// brief is the beginning of a text, on one line when it is short.
func brief(text string, limit int) string {
	text = strings.TrimSpace(text)
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit], "") + "…"
}

// cutFront is the end of a text.
func cutFront(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	return "…" + strings.ToValidUTF8(text[len(text)-limit:], "")
}
