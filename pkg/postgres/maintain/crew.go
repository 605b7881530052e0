package maintain

import (
	"context"
	"sync"
	"time"

	"github.com/bmad-forge/forgectl/pkg/postgres"
)

// crew are the sessions that work. Each is used by one goroutine at a time, and
// handed on when that is done: logging in takes longer than a small table.
type crew struct {
	endpoint *postgres.Endpoint
	lockWait time.Duration

	opening sync.WaitGroup
	mu      sync.Mutex
	idle    []*session
}

// newCrew prepares one whose sessions wait for a lock as long as the action wants.
// REINDEX CONCURRENTLY also waits for old transactions under lock_timeout, and
// that is part of its work: there the monitor bounds the wait for a lock, and this
// is for when it cannot.
func newCrew(o Options) *crew {
	c := &crew{endpoint: o.Endpoint, lockWait: o.LockTimeout}
	if o.Action == Reindex && !o.Blocking {
		c.lockWait = o.TransactionWait + time.Minute
	}
	return c
}

// early opens n sessions while something else is going on. One that cannot be
// opened is opened, and complained of, by whoever takes it.
func (c *crew) early(ctx context.Context, n int) {
	for range n {
		c.opening.Go(func() {
			if s, err := openSession(ctx, c.endpoint, c.lockWait); err == nil {
				c.give(s)
			}
		})
	}
}

// take returns a session that nobody uses; give, or its close, ends the use.
func (c *crew) take(ctx context.Context) (*session, error) {
	c.opening.Wait()
	for {
		c.mu.Lock()
		last := len(c.idle) - 1
		if last < 0 {
			c.mu.Unlock()
			return openSession(ctx, c.endpoint, c.lockWait)
		}
		s := c.idle[last]
		c.idle = c.idle[:last]
		c.mu.Unlock()
		if !s.conn.IsClosed() {
			return s, nil
		}
	}
}

func (c *crew) give(s *session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.idle = append(c.idle, s)
}

// dismiss closes all that were given back.
func (c *crew) dismiss(ctx context.Context) {
	c.opening.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.idle {
		s.close(ctx)
	}
	c.idle = nil
}
