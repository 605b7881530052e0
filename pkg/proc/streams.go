package proc

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// streams are the goroutines that serve a child's pipes.
type streams struct {
	c     *child
	abort context.CancelCauseFunc
	outs  sync.WaitGroup
	in    chan struct{} // closed when stdin is done
	held  bool          // stdout was kept open by somebody else; valid after finish

	broken atomic.Bool // a stream failed; abort has the error
}

func (c *child) startStreams(abort context.CancelCauseFunc) *streams {
	s := &streams{c: c, abort: abort, in: make(chan struct{})}
	s.outs.Go(func() {
		if err := c.stderr.copyTo(c.lines); errors.Is(err, errHeld) {
			c.log.Debug("another process holds stderr open", "program", c.name)
		}
		c.lines.close()
	})
	if c.stdout != nil {
		s.outs.Go(func() {
			err := c.stdout.copyTo(c.cmd.Stdout)
			if errors.Is(err, errHeld) {
				s.held = true
				return
			}
			s.fail(err)
		})
	}
	go func() {
		defer close(s.in)
		if c.stdin != nil {
			s.fail(feed(c.stdin, c.cmd.Stdin))
		}
	}()
	return s
}

func (s *streams) fail(err error) {
	if err != nil {
		s.broken.Store(true)
		s.abort(err)
	}
}

// afterStop is how long the pipes of a stopped group are read: what it wrote is there already, only a process that
// left the group can still hold them.
const afterStop = 200 * time.Millisecond

// finish hands on what is still in the pipes of a child that has ended. A reader of stdin that is stuck in its own
// source is left behind: its answer can no longer matter.
func (s *streams) finish(ctx context.Context, stopped bool) {
	patience := s.c.grace
	if stopped {
		patience = afterStop
	}
	outs := []*outlet{s.c.stderr}
	if s.c.stdout != nil {
		outs = append(outs, s.c.stdout)
	}
	bound := func(d time.Duration) {
		for _, o := range outs {
			o.childEnded(d)
		}
	}
	bound(patience)
	release := context.AfterFunc(ctx, func() { bound(afterStop) })
	defer release()
	if s.c.stdin != nil {
		_ = s.c.stdin.Close()
		select {
		case <-s.in:
		case <-ctx.Done():
		case <-time.After(patience):
		}
	}
	s.outs.Wait()
}
