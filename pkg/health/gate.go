package health

import (
	"context"
	"fmt"
	"time"
)

// GateOptions say when the application counts as well.
type GateOptions struct {
	Options
	// InARow is how often it must be well, one answer after the other; default
	// two: the first proves that it can be reached, the second that it survived
	// the first.
	InARow int
	// Deadline is how long it may take until then; default one minute.
	Deadline time.Duration
	// Interval is between an answer and the next question; default one second.
	Interval time.Duration
	// Progress is told of every answer; nil: nobody is.
	Progress func(Attempt)
}

// Attempt is one question of a Gate.
type Attempt struct {
	Number int // from 1
	InARow int // how often it has been well until now
	Needed int
	Report Report
}

// GateError says why a Gate stayed shut.
type GateError struct {
	Report   Report // the last one
	Attempts int
	InARow   int // how often it had been well when time was up
	After    time.Duration
	Err      error // ErrUnhealthy, or why ctx ended
}

func (e *GateError) Error() string {
	switch {
	case e.Attempts == 0:
		return fmt.Sprintf("health gate: %v", e.Err)
	case e.InARow > 0:
		return fmt.Sprintf("health gate: %v: well only the last %d of %d times within %s", e.Err, e.InARow, e.Attempts, e.After)
	}
	return fmt.Sprintf("health gate: %v after %d attempts in %s: %s", e.Err, e.Attempts, e.After, e.Report)
}

func (e *GateError) Unwrap() error { return e.Err }

func (o GateOptions) filled() GateOptions {
	if o.InARow <= 0 {
		o.InARow = 2
	}
	if o.Deadline <= 0 {
		o.Deadline = time.Minute
	}
	if o.Interval <= 0 {
		o.Interval = time.Second
	}
	return o
}

// Gate asks until the application has been well often enough, and returns the
// last report. The error is a *GateError, or what Check says of an address that
// cannot be asked. The last question is not cut short by the deadline but by its
// own time limit, so that what stands in the report is about the application.
func Gate(ctx context.Context, o GateOptions) (Report, error) {
	o = o.filled()
	if _, err := parse(o.URL); err != nil {
		return Report{}, err
	}
	began := time.Now()
	e := &GateError{}
	for {
		r, err := Check(ctx, o.Options)
		if err == nil {
			e.Report, e.Attempts = r, e.Attempts+1
			if e.InARow++; !r.Healthy() {
				e.InARow = 0
			}
			if o.Progress != nil {
				o.Progress(Attempt{Number: e.Attempts, InARow: e.InARow, Needed: o.InARow, Report: r})
			}
			if e.InARow >= o.InARow {
				return r, nil
			}
			if e.After = time.Since(began); e.After+o.Interval > o.Deadline {
				e.After, e.Err = e.After.Round(time.Millisecond), ErrUnhealthy
				return r, e
			}
			err = pause(ctx, o.Interval)
		} else if e.Attempts == 0 {
			e.Report = r
		}
		if err != nil {
			e.After, e.Err = time.Since(began).Round(time.Millisecond), err
			return e.Report, e
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
