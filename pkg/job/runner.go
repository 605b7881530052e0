package job

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/bmad-forge/forgectl/pkg/lock"
	"github.com/bmad-forge/forgectl/pkg/proc"
)

// Runner runs operations on this machine. Its fields do not change while it is
// used; it may then be used from several goroutines.
type Runner struct {
	StateDir string // records go below it
	Host     string // of this machine: only its own runs can be found killed
	User     string
	Version  string // of the program
	PID      int    // default: this process

	Now    func() time.Time    // nil: time.Now
	Logger *slog.Logger        // nil: silent
	Scrub  func(string) string // removes secrets from a text; nil: there are none
	Proc   proc.Runner         // runs the hooks; may be nil when there are none
	Hooks  Hooks
}

// Spec says what is going to run.
type Spec struct {
	Operation string        // "backup db"
	Target    string        // what it works on, for messages: a database, a set
	Lock      string        // path of the lock file; empty: none is needed
	Shared    bool          // others that only share may run at the same time
	Timeout   time.Duration // for before hooks and operation; 0: none
}

// TimeoutError is the cause of a context whose time ran out. It is a
// context.DeadlineExceeded.
type TimeoutError struct{ After time.Duration }

func (e *TimeoutError) Error() string { return fmt.Sprintf("timed out after %s", e.After) }

// Is makes errors.Is find context.DeadlineExceeded.
func (e *TimeoutError) Is(target error) bool { return target == context.DeadlineExceeded }

// Timeout marks the error for those who ask with net.Error.
func (e *TimeoutError) Timeout() bool { return true }

// Do runs the operation in its frame. The returned record is complete also when
// it could not be written. A panic of the operation goes on with its stack, and
// leaves a record.
func (r *Runner) Do(ctx context.Context, spec Spec, operation func(ctx context.Context, run *Run) error) (rec Record, err error) {
	run := r.begin(spec)
	defer r.prune()
	release, err := acquire(spec, r, run)
	if err != nil {
		run.settle(outcome(ctx, err, false), r.text(err), r.now())
		r.write(run)
		return run.snapshot(), err
	}
	defer release()
	// Deferred, because a panic needs a record more than anything else does.
	defer func() {
		r.write(run)
		rec = run.snapshot()
	}()
	return Record{}, r.inside(ctx, spec, run, operation)
}

// begin writes the first record: from here on a kill leaves a trace.
func (r *Runner) begin(spec Spec) *Run {
	started := r.now()
	run := &Run{scrub: r.scrub, rec: Record{
		ID: r.newID(started, spec.Operation), Operation: spec.Operation, Target: r.scrub(spec.Target),
		Host: r.Host, User: r.User, PID: r.pid(), Process: identity(r.pid()), Version: r.Version,
		Started: started, Outcome: Running,
	}}
	kept := slog.Handler(slog.NewTextHandler(&logWriter{run: run}, nil))
	if r.Logger != nil {
		kept = slog.NewMultiHandler(r.Logger.Handler(), kept)
	}
	run.Log = slog.New(kept)
	r.write(run)
	return run
}

func acquire(spec Spec, r *Runner, run *Run) (release func(), err error) {
	if spec.Lock == "" {
		return func() {}, nil
	}
	take := lock.Acquire
	if spec.Shared {
		take = lock.AcquireShared
	}
	l, err := take(spec.Lock, lock.Holder{
		PID: r.pid(), User: r.User, Host: r.Host, Operation: spec.Operation, Since: run.rec.Started,
	})
	if err != nil {
		return nil, err
	}
	// The kernel lets go of the lock at the latest when this process ends.
	return func() { _ = l.Release() }, nil
}

// inside is what happens under the lock.
func (r *Runner) inside(ctx context.Context, spec Spec, run *Run, operation func(context.Context, *Run) error) (err error) {
	limited := ctx
	if spec.Timeout > 0 {
		var cancel context.CancelFunc
		limited, cancel = context.WithTimeoutCause(ctx, spec.Timeout, &TimeoutError{After: spec.Timeout})
		defer cancel()
	}
	hooked, returned := false, false
	defer func() {
		if returned {
			run.settle(outcome(limited, err, run.warned()), r.text(err), r.now())
		} else {
			run.settle(Failed, "ended by a panic", r.now())
		}
		if hooked {
			r.after(ctx, run)
		}
	}()

	hooked, err = r.before(limited, run)
	if err == nil && limited.Err() != nil {
		err = context.Cause(limited)
	}
	if err == nil {
		err = operation(limited, run)
	}
	err = withCause(limited, err)
	returned = true
	return err
}

// before runs the before hooks until one fails. owed is whether the after hooks
// must follow: unless nothing at all has been started.
func (r *Runner) before(ctx context.Context, run *Run) (owed bool, err error) {
	for _, command := range r.Hooks.Before {
		if ctx.Err() != nil {
			return owed, context.Cause(ctx)
		}
		owed = true
		if err := r.hook(ctx, run, "before", command); err != nil {
			return owed, err
		}
	}
	return owed || ctx.Err() == nil, nil
}

// after runs all after hooks, also when the context has ended: they put back
// what the before hooks did, and tell people.
func (r *Runner) after(ctx context.Context, run *Run) {
	ctx = context.WithoutCancel(ctx)
	for _, command := range r.Hooks.After {
		if err := r.hook(ctx, run, "after", command); err != nil {
			run.Warn(err.Error())
			run.downgrade()
		}
	}
}

// settle ends the record.
func (run *Run) settle(outcome, text string, now time.Time) {
	run.mu.Lock()
	defer run.mu.Unlock()
	run.rec.Outcome, run.rec.Error, run.rec.Finished = outcome, text, now
}

// downgrade makes a success with warnings of a success.
func (run *Run) downgrade() {
	run.mu.Lock()
	defer run.mu.Unlock()
	if run.rec.Outcome == OK {
		run.rec.Outcome = Warning
	}
}

func (run *Run) warned() bool {
	run.mu.Lock()
	defer run.mu.Unlock()
	return len(run.rec.Warnings) > 0
}

// write stores the record as it stands.
func (r *Runner) write(run *Run) {
	err := r.save(run.snapshot())
	if err == nil {
		return
	}
	// Said once for a run; the disk will not be better at its end.
	run.mu.Lock()
	said := run.unwritten
	run.unwritten = true
	run.mu.Unlock()
	if !said {
		run.Warn(fmt.Sprintf("no record of this run: %v", err))
	}
	run.downgrade()
}

func outcome(ctx context.Context, err error, warned bool) string {
	switch {
	case err == nil && warned:
		return Warning
	case err == nil:
		return OK
	case errors.Is(err, lock.ErrHeld):
		return Locked
	case ctx.Err() != nil && !errors.Is(context.Cause(ctx), context.DeadlineExceeded):
		return Interrupted
	}
	return Failed
}

// withCause makes sure that an error of a run whose context ended says why it
// ended: libraries tend to report the closed connection instead.
func withCause(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil {
		return err
	}
	cause := context.Cause(ctx)
	if errors.Is(err, cause) {
		return err
	}
	return fmt.Errorf("%w: %w", cause, err)
}

func (r *Runner) now() time.Time {
	if r.Now != nil {
		return r.Now().UTC()
	}
	return time.Now().UTC()
}

func (r *Runner) pid() int {
	if r.PID != 0 {
		return r.PID
	}
	return os.Getpid()
}

// text is an error as it is kept.
func (r *Runner) text(err error) string {
	if err == nil {
		return ""
	}
	return brief(r.scrub(err.Error()), textLimit)
}

func (r *Runner) scrub(text string) string {
	if r.Scrub == nil {
		return text
	}
	return r.Scrub(text)
}
