package warm

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"github.com/bmad-forge/forgectl/pkg/rediscache"
	"github.com/bmad-forge/forgectl/pkg/rediscache/pickle"
)

// Options are for all entries.
type Options struct {
	Prefix  rediscache.Prefix
	Missing bool // leave alone what is there
	Force   bool // never a *RoomError
	DryRun  bool // write nothing
	// Progress, if not nil, hears how many rows of how many are done.
	Progress func(done, total int64)
}

// Sample is the first key and value.
type Sample struct {
	Key   string
	Value string // as Python shows it, cut short
	TTL   time.Duration
	Bytes int
}

// Summary is what was done, also when it ended early.
type Summary struct {
	Rows    int64 // that the query returns
	Written int64 // keys that Redis has confirmed
	Present int64 // that were there already, and left alone
	Bytes   int64 // of the values written
	Need    int64 // bytes in Redis for all rows, estimated
	Took    time.Duration
	Sample  *Sample // nil without rows
}

// Run warms one entry. conn is used alone, and has no transaction; whatever happens, none is left in it.
func Run(ctx context.Context, conn *pgx.Conn, c redis.UniversalClient, e Entry, o Options) (sum Summary, err error) {
	began := time.Now()
	defer func() { sum.Took = time.Since(began) }()
	if err := e.check(); err != nil {
		return sum, err
	}
	before, err := readMemory(ctx, c)
	if err != nil {
		return sum, err
	}
	src, err := openSource(ctx, conn, e.Query)
	if err != nil {
		return sum, err
	}
	defer src.close(ctx)
	if e.Codec == Model {
		if err := src.complete(ctx, e); err != nil {
			return sum, err
		}
	}
	enc, err := newEncoder(e, src.columns)
	if err != nil {
		return sum, err
	}
	if sum.Rows, err = src.count(ctx, e.Query); err != nil {
		return sum, err
	}
	w := &writing{run: o, entry: e, enc: enc, client: c, before: before, sum: &sum}
	for more := true; more && err == nil; {
		if more, err = src.next(ctx, func(values [][]byte) error { return w.add(ctx, values) }); err == nil {
			err = w.flush(ctx)
		}
		if o.DryRun {
			break
		}
	}
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return sum, err
}

// writing is a warm in progress: the rows that were fetched and not sent yet.
type writing struct {
	run     Options
	entry   Entry
	enc     *encoder
	client  redis.UniversalClient
	before  memory
	sum     *Summary
	pending []made
	bytes   int
	looked  bool // whether there is room is known
	seen    int64
}

// add takes a row.
func (w *writing) add(ctx context.Context, values [][]byte) error {
	m, err := w.enc.row(w.run.Prefix.String(), values)
	if err != nil {
		return err
	}
	if len(m.data) > maxValue || len(m.key) > maxValue {
		return fmt.Errorf("key %.100q: %d bytes are more than Redis keeps under one key", m.key, len(m.data))
	}
	if w.seen++; w.seen > 1 && len(w.enc.key) == 1 {
		return fmt.Errorf("%w: several rows, and one key for all: name a column in it, as in %s:{id}", ErrEntry, w.entry.Key)
	}
	if w.sum.Sample == nil {
		w.sum.Sample = &Sample{Key: m.key, TTL: w.entry.TTL, Bytes: len(m.data), Value: shown(m)}
	}
	w.pending = append(w.pending, m)
	w.bytes += len(m.data)
	return w.early(ctx)
}

func shown(m made) string {
	const most = 2000
	if m.is != nil {
		return pickle.Repr(m.is, most)
	}
	return pickle.Repr(pickle.Bytes(m.data), most)
}

// early keeps what waits bounded when single values are large.
func (w *writing) early(ctx context.Context) error {
	const most = 8 << 20
	if w.bytes < most {
		return nil
	}
	return w.flush(ctx)
}

// flush sends what waits, after a look at the room for all.
func (w *writing) flush(ctx context.Context) error {
	if len(w.pending) == 0 {
		return ctx.Err()
	}
	if err := w.look(ctx); err != nil {
		return err
	}
	defer func() { w.pending, w.bytes = w.pending[:0], 0 }()
	if w.run.DryRun {
		return nil
	}
	pipe := w.client.Pipeline()
	replies := make([]redis.Cmder, len(w.pending))
	for i, m := range w.pending {
		replies[i] = w.set(ctx, pipe, m)
	}
	_, execErr := pipe.Exec(ctx)
	var failed error
	for i, r := range replies {
		switch err := r.Err(); {
		case err == nil:
			w.sum.Written++
			w.sum.Bytes += int64(len(w.pending[i].data))
		case errors.Is(err, redis.Nil):
			w.sum.Present++
		case failed == nil:
			failed = fmt.Errorf("set %.100q: %w", w.pending[i].key, rediscache.Explain(err))
		}
	}
	if failed == nil && execErr != nil && !errors.Is(execErr, redis.Nil) {
		failed = rediscache.Explain(execErr)
	}
	if w.run.Progress != nil {
		w.run.Progress(w.sum.Written+w.sum.Present, w.sum.Rows)
	}
	return failed
}

// set is SET key value [PX ms] [NX].
func (w *writing) set(ctx context.Context, pipe redis.Pipeliner, m made) redis.Cmder {
	args := []any{"set", m.key, m.data}
	if ttl := w.ttl(); ttl > 0 {
		args = append(args, "px", ttl.Milliseconds())
	}
	if w.run.Missing {
		args = append(args, "nx")
	}
	return pipe.Do(ctx, args...)
}

func (w *writing) ttl() time.Duration {
	if w.entry.Jitter <= 0 {
		return w.entry.TTL
	}
	return w.entry.TTL - rand.N(w.entry.Jitter) //nolint:gosec // spread, not secrecy
}

// look estimates what all rows need by those that wait now, once.
func (w *writing) look(ctx context.Context) error {
	if w.looked {
		return nil
	}
	w.looked = true
	var size int64
	for _, m := range w.pending {
		size += int64(len(m.key) + len(m.data) + overhead)
	}
	w.sum.Need = size * max(w.sum.Rows, 1) / int64(len(w.pending))
	if w.run.Force {
		return nil
	}
	now, err := readMemory(ctx, w.client)
	if err != nil {
		return err
	}
	return room(w.before, now, w.sum.Need)
}
