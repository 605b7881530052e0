package rediscache

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"
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
	unlinkBatch = 250
	// measureShare: of so many keys, one is measured before it goes.
	measureShare = 200
	// uneasy is the PING of another client at which we step back.
	uneasy = 4 * time.Millisecond
)

// Flush removes what is selected: found with SCAN, removed with UNLINK, while
// another connection watches how the server answers. Keys that are written
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
	err = c.surviving(ctx, func() error { return f.pass(ctx) })
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

	looked, removed, passed atomic.Int64
	measured, bytes         atomic.Int64
}

func (f *flush) result(worst time.Duration) Flushed {
	r := Flushed{
		Looked: f.looked.Load(), Keys: f.removed.Load(), Measured: f.measured.Load(), Passed: f.passed.Load(),
		Took: time.Since(f.start), Worst: worst,
	}
	if r.Measured > 0 {
		r.Bytes = int64(float64(f.bytes.Load()) / float64(r.Measured) * float64(r.Keys))
	}
	return r
}

// pass goes once over all keys. One connection finds while another removes, since
// the round trip of the one is time in which the server can do the other.
func (f *flush) pass(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	batches := make(chan []string, 2)
	group.Go(func() error {
		defer close(batches)
		return f.scan(ctx, f.match(), 0, func(keys []string, _ uint64) error {
			keys = f.chosen(keys)
			f.looked.Add(int64(len(keys)))
			select {
			case batches <- keys:
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		})
	})
	group.Go(func() error {
		seen := int64(0)
		for keys := range batches {
			if err := f.remove(ctx, keys); err != nil {
				return err
			}
			if seen += scanCount; f.Progress != nil {
				f.Progress(min(seen, f.total), f.total)
			}
		}
		return nil
	})
	return group.Wait()
}

func (f *flush) chosen(keys []string) []string {
	kept := keys[:0]
	for _, k := range keys {
		if f.has(k) {
			kept = append(kept, k)
		}
	}
	return kept
}

// remove unlinks keys, in commands that are short, and steps back when others wait.
func (f *flush) remove(ctx context.Context, keys []string) (err error) {
	if f.Stale != nil {
		var passed int64
		keys, passed, err = f.stale(ctx, f.Stale, keys)
		f.passed.Add(passed)
		if err != nil {
			return err
		}
	}
	for len(keys) > 0 {
		n := min(unlinkBatch, len(keys))
		if f.Rate > 0 {
			n = min(n, max(f.Rate/20, 1)) // not in bursts
		}
		if err := f.unlink(ctx, keys[:n]); err != nil {
			return err
		}
		keys = keys[n:]
		if err := f.pace.wait(ctx, n); err != nil {
			return err
		}
		if last := f.probe.recent(); last > uneasy {
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-time.After(last):
			}
		}
	}
	return nil
}

// unlink removes one batch. Some keys are measured just before, in the same
// pipeline.
func (f *flush) unlink(ctx context.Context, keys []string) error {
	pipe := f.client.Pipeline()
	var sizes []*redis.IntCmd
	for i := 0; i < len(keys); i += measureShare {
		sizes = append(sizes, pipe.MemoryUsage(ctx, keys[i]))
	}
	gone := pipe.Unlink(ctx, keys...)
	_, err := pipe.Exec(ctx)
	if gone.Err() == nil {
		f.removed.Add(gone.Val())
		err = nil // somebody may not measure, and yet remove
	}
	for _, s := range sizes {
		if s.Err() == nil {
			f.measured.Add(1)
			f.bytes.Add(s.Val())
		}
	}
	if err != nil && errors.Is(err, redis.Nil) {
		err = gone.Err()
	}
	if ctx.Err() != nil && err != nil {
		return context.Cause(ctx)
	}
	return Explain(err)
}
