package rediscache

import (
	"context"
	"time"
)

// FlushOptions say what is removed, and how gently.
type FlushOptions struct {
	Selection
	Rate int // keys removed a second; 0: as fast as others do not feel it
	// Stale, if set, is asked about the value of each key that was selected; only keys
	// that it says true of are removed. Values beyond StaleLimit are not read, and stay.
	Stale func(value []byte) bool

	Progress func(looked, total int64) // keys; may be nil
}

// Flushed is what a flush did, also as far as it came when it ended in an error.
type Flushed struct {
	Looked   int64 // keys that were looked at by us: those that matched
	Keys     int64 // removed
	Bytes    int64 // that they used, from a sample: see Measured
	Measured int64 // keys that Bytes was estimated from
	Passed   int64 // with Stale: not read, because too large or of another type
	Took     time.Duration
	Worst    time.Duration // the longest PING of another client meanwhile
}

const (
	// unlinkBatch keys go in one command: about a third of a millisecond.
	unlinkBatch = 500
	// measureShare: of so many keys, one is measured before it goes.
	measureShare = 200
	// uneasy is the PING of another client at which we step back.
	uneasy = 4 * time.Millisecond
)

// Flush removes what is selected: found with SCAN, removed with UNLINK (see sweep),
// while another connection watches how the server answers. Keys that are written
// meanwhile may stay. With All the whole database goes in one step (FLUSHDB ASYNC)
// unless there is a Rate or Stale.
//
// When ctx ends, what has been removed stays removed; the result says how much.
func (c *Cache) Flush(ctx context.Context, o FlushOptions) (Flushed, error) {
	if err := o.Check(); err != nil {
		return Flushed{}, err
	}
	if o.All && o.Rate == 0 && o.Stale == nil {
		return c.flushAll(ctx)
	}
	f := &flush{Cache: c, FlushOptions: o, start: time.Now(), pace: pace{rate: o.Rate}}
	total, err := c.client.DBSize(ctx).Result()
	if err != nil {
		return Flushed{}, Explain(err)
	}
	f.total = total
	f.probe = c.probe(ctx)
	err = c.Surviving(ctx, func() error { return f.pass(ctx) })
	done := f.result(f.probe.end())
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return done, err
}

// flushAll empties the database without waiting for its memory.
func (c *Cache) flushAll(ctx context.Context) (Flushed, error) {
	start := time.Now()
	before, err := c.info(ctx)
	if err != nil {
		return Flushed{}, err
	}
	keys, err := c.client.DBSize(ctx).Result()
	if err != nil {
		return Flushed{}, Explain(err)
	}
	p := c.probe(ctx)
	err = c.client.FlushDBAsync(ctx).Err()
	done := Flushed{Looked: keys, Took: time.Since(start), Worst: p.end()}
	if err != nil {
		return done, Explain(err)
	}
	done.Keys = keys
	if after, err := c.Ping(ctx, 5); err == nil { // while it frees the memory
		done.Worst = max(done.Worst, after.Max)
	}
	if total := totalKeys(before); total > 0 {
		done.Bytes = int64(float64(before.int("used_memory_dataset")) * float64(keys) / float64(total))
	}
	return done, nil
}

// flush is one run.
type flush struct {
	*Cache
	FlushOptions
	start time.Time
	pace  pace
	probe *probe
	total int64

	looked, removed, passed int64
	measured, bytes         int64
}

func (f *flush) result(worst time.Duration) Flushed {
	r := Flushed{Looked: f.looked, Keys: f.removed, Measured: f.measured, Passed: f.passed, Took: time.Since(f.start), Worst: worst}
	if r.Measured > 0 {
		r.Bytes = int64(float64(f.bytes) / float64(r.Measured) * float64(r.Keys))
	}
	return r
}
