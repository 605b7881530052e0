package warm

import (
	"bytes"
	"context"
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
	// Progress, if not nil, hears how many rows of how many are done; of 0 where that is not known before. It is called from
	// another goroutine, but never after Run.
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
	Rows    int64 // that the query returns if Counted, else as many as were read before it ended
	Counted bool
	Written int64 // keys that Redis has confirmed
	Present int64 // that were there already, and left alone
	Bytes   int64 // of the values written
	Need    int64 // bytes in Redis for all rows, estimated
	Took    time.Duration
	Sample  *Sample // nil without rows
}

// Run warms one entry. conn is used alone, and has no transaction; none is left in it, but it may be closed after an
// error. The keys go over a connection of its own, made as client makes its own.
func Run(ctx context.Context, conn *pgx.Conn, client *redis.Client, e Entry, o Options) (sum Summary, err error) {
	began := time.Now()
	defer func() { sum.Took = time.Since(began) }()
	if err := e.check(); err != nil {
		return sum, err
	}
	before, err := readMemory(ctx, client)
	if err != nil {
		return sum, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
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
	w := &writing{run: o, entry: e, enc: enc, prefix: o.Prefix.String(), client: client, before: before, sum: &sum, batch: &batch{}}
	// To count costs as much as to read: only where the whole must be known before.
	if o.DryRun || before.max > 0 && !o.Force {
		if w.total, err = src.count(ctx, e.Query); err != nil {
			return sum, err
		}
	}
	if !o.DryRun {
		wire, err := rediscache.OpenWire(ctx, client)
		if err != nil {
			return sum, err
		}
		defer func() { _ = wire.Close() }()
		w.send = newSender(ctx, wire, &sum, w.heard, cancel)
	}
	err = w.all(ctx, src)
	if w.send != nil {
		if failed := w.send.finish(); failed != nil {
			err = failed
		}
	}
	w.conclude(err == nil)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return sum, err
}

// writing is a warm in progress: rows become commands in batches, and the sender takes these.
type writing struct {
	run    Options
	entry  Entry
	enc    *encoder
	prefix string
	client *redis.Client
	before memory
	sum    *Summary
	send   *sender // nil in a dry run
	batch  *batch  // that is being filled
	total  int64   // rows; 0 where they are not counted before
	seen   int64
	size   int64 // that the rows take in Redis
	looked bool  // whether there is room is known
}

func (w *writing) all(ctx context.Context, src *source) error {
	rows := fetch
	if w.run.DryRun {
		rows = batchRows
	}
	for {
		more, err := src.next(ctx, rows, w.enc.formats, func(values [][]byte) error { return w.add(ctx, values) })
		if err != nil {
			return err
		}
		if !more || w.run.DryRun {
			return w.flush(ctx)
		}
	}
}

// conclude says of rows that were not counted before what is known at the end, which is all only when all were read.
func (w *writing) conclude(whole bool) {
	w.sum.Counted = whole || w.total > 0
	if w.sum.Rows = w.total; w.total == 0 {
		w.sum.Rows, w.sum.Need = w.seen, w.size
	}
}

func (w *writing) heard() {
	if w.run.Progress != nil {
		w.run.Progress(w.sum.Written+w.sum.Present, w.total)
	}
}

// add takes a row.
func (w *writing) add(ctx context.Context, values [][]byte) error {
	m, err := w.enc.row(w.prefix, values)
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
		w.sum.Sample = &Sample{Key: string(m.key), TTL: w.entry.TTL, Bytes: len(m.data), Value: w.shown(m)}
	}
	w.size += int64(len(m.key) + len(m.data) + overhead)
	b := w.batch
	from := len(b.commands)
	b.commands = rediscache.AppendSet(b.commands, m.key, m.data, w.ttl(), w.run.Missing)
	const before = "*5\r\n$3\r\nSET\r\n$"
	at := from + len(before)
	at += bytes.IndexByte(b.commands[at:], '\n') + 1
	b.sets = append(b.sets, set{at, at + len(m.key), len(m.data)})
	if len(b.commands) < batchBytes && len(b.sets) < batchRows {
		return nil
	}
	return w.flush(ctx)
}

// shown is a value as Python shows it, read by the reader that builds it.
func (w *writing) shown(m made) string {
	const most = 2000
	if m.is == nil {
		m.is = pickle.Bytes(m.data)
	}
	if w.enc.pickled != nil {
		if v, err := pickle.Stored(m.data, pickle.Limits{Bytes: maxValue, Values: maxValue}); err == nil {
			m.is = v
		}
	}
	return pickle.Repr(m.is, most)
}

// flush hands on what waits, after a look at the room for all.
func (w *writing) flush(ctx context.Context) error {
	if ctx.Err() != nil || len(w.batch.sets) == 0 {
		return ctx.Err()
	}
	if err := w.look(ctx); err != nil {
		return err
	}
	if w.send == nil {
		w.batch = &batch{}
		return nil
	}
	w.batch = w.send.give(w.batch)
	return nil
}

func (w *writing) ttl() time.Duration {
	if w.entry.Jitter <= 0 {
		return w.entry.TTL
	}
	return w.entry.TTL - rand.N(w.entry.Jitter) //nolint:gosec // spread, not secrecy
}

// look estimates what all rows need by those that wait now, once.
func (w *writing) look(ctx context.Context) error {
	if w.looked || w.total == 0 {
		return nil
	}
	w.looked = true
	w.sum.Need = w.size * w.total / w.seen
	if w.run.Force {
		return nil
	}
	now, err := readMemory(ctx, w.client)
	if err != nil {
		return err
	}
	return room(w.before, now, w.sum.Need)
}
