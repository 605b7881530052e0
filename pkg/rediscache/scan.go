package rediscache

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"time"
)

// scanCount is how many keys the server looks at for one answer: the default of 10
// spends its time on round trips, and more than some thousands would be felt by
// others.
const scanCount = 1000

// scan calls each for every batch of keys that match, from a cursor on, until all
// have been seen. A key may come twice, and one that is written meanwhile may not
// come at all: that is SCAN. next is where to go on after the batch.
func (c *Cache) scan(ctx context.Context, match string, cursor uint64, each func(keys []string, next uint64) error) error {
	for {
		keys, next, err := c.client.Scan(ctx, cursor, match, scanCount).Result()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			return Explain(err)
		}
		if err := each(keys, next); err != nil {
			return err
		}
		if next == 0 {
			return nil
		}
		cursor = next
	}
}

// failoverPatience is how long a new master may take to appear.
const failoverPatience = time.Minute

// Surviving does something that may be done again from its beginning, and does so
// when Sentinel has made another server the master meanwhile.
func (c *Cache) Surviving(ctx context.Context, do func() error) error {
	deadline := time.Now().Add(failoverPatience)
	for {
		err := do()
		if err == nil || c.target.master == "" || !passing(err) || ctx.Err() != nil || time.Now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(250 * time.Millisecond):
		}
	}
}

// passing is true for what a failover looks like from outside.
func passing(err error) bool {
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, errClosed) || errors.Is(err, errTime) ||
		strings.Contains(err.Error(), "sentinels") || errors.Is(err, ErrReadOnly) || errors.Is(err, ErrLoading) || errors.Is(err, ErrRefused)
}

// pace keeps a rate: Wait after n things sleeps until they may have been done.
type pace struct {
	rate  int // a second; 0: no limit
	begun time.Time
	done  int64
}

func (p *pace) wait(ctx context.Context, n int) error {
	if p.rate <= 0 {
		return nil
	}
	if p.begun.IsZero() {
		p.begun = time.Now()
	}
	p.done += int64(n)
	due := p.begun.Add(time.Duration(float64(p.done) / float64(p.rate) * float64(time.Second)))
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(time.Until(due)):
		return nil
	}
}
