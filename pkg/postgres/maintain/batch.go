package maintain

import (
	"context"
	"strings"
	"time"
)

// Before 16 each VACUUM ends with a look through pg_class for the age of the
// database, which for a small table is a good part of the work. Several in one
// statement share it; each table is still a transaction of its own.
const (
	batchTables = 8
	batchBytes  = 4 << 20 // of all of them: progress is told by statements
)

// batches divides items into what is done by one statement, in their order.
func (r *run) batches(items []Item) (list [][]Item) {
	fair := max(len(items)/r.o.Jobs, 1) // as many sessions as there may be have some
	var bytes int64
	for _, item := range items {
		last := len(list) - 1
		if last >= 0 && r.together(list[last][0], item) && len(list[last]) < min(batchTables, fair) && bytes+item.Bytes() <= batchBytes {
			list[last] = append(list[last], item)
			bytes += item.Bytes()
			continue
		}
		list, bytes = append(list, []Item{item}), item.Bytes()
	}
	return list
}

// together reports whether two items can be done by the same statement.
func (r *run) together(a, b Item) bool {
	return r.o.major < 16 && a.Action == Vacuum && b.Action == Vacuum && a.analyze == b.analyze
}

// several does more than one item with one statement, and reports whether there is
// nothing more to say of them. It is not when the server warned or failed, since
// that does not tell of which: then each is to be done by itself.
func (r *run) several(ctx context.Context, s *session, items []Item) (done bool) {
	watched, release := r.monitor.watch(ctx, s.pid(), items[0], r.place(items[0]), false)
	r.o.step(string(items[0].Action))
	started := time.Now()
	var names []string
	var bytes int64
	for _, item := range items {
		names = append(names, item.SQL())
		bytes += item.Bytes()
	}
	warnings, err := s.run(watched, r.statement(items[0], strings.Join(names, ", ")))
	release()
	took := time.Since(started)
	r.o.Logger.Info(string(items[0].Action), "tables", strings.Join(names, ", "), "seconds", took.Seconds(), "error", err)
	if err != nil || len(warnings) > 0 {
		if ctx.Err() == nil {
			return false
		}
		err = context.Cause(ctx) // measure finds those that were done before
	}
	for _, item := range items {
		part := float64(item.Bytes()+1) / float64(bytes+int64(len(items)))
		r.note(ctx, s, item, time.Duration(part*float64(took)), nil, err)
	}
	return true
}
