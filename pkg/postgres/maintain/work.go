package maintain

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// run is one run in progress.
type run struct {
	o       Options
	plan    Plan
	monitor *monitor
	crew    *crew

	mu      sync.Mutex
	results map[uint32]*TableResult
	copying int64 // bytes of copies that are being written
	remain  []Leftover
	dropped []Leftover
	doubts  []string
}

// Run plans, has it confirmed where tables are locked, works, and measures. A
// Result that comes with an error says how far things came. Besides the errors of
// MakePlan it returns a *WindowError, what Confirm returned, a *FailedError for
// tables that something went wrong with, or the cause of a context that ended.
// Tables that were busy, or that the role may not maintain, are no error: they
// are in the Result's warnings.
func Run(ctx context.Context, o Options) (Result, error) {
	o = o.withDefaults()
	started := o.Now()
	conn, err := openCatalog(ctx, o.Endpoint)
	if err != nil {
		return Result{}, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	crew := newCrew(o)
	defer crew.dismiss(ctx)
	if !o.locks() { // else somebody is asked first
		crew.early(ctx, o.Jobs)
	}
	plan, o, err := makePlan(ctx, conn, o)
	r := &run{o: o, plan: plan, monitor: newMonitor(o), crew: crew, results: map[uint32]*TableResult{}}
	if err == nil {
		err = plan.inWindow(o)
	}
	if err == nil && plan.Locks && len(plan.Items) > 0 && o.Confirm != nil {
		err = o.Confirm(ctx, plan)
	}
	if err != nil {
		return Result{Plan: plan}, err
	}
	for _, item := range plan.Items {
		r.results[item.OID] = &TableResult{Item: item, Outcome: NotStarted, Why: "it was not its turn yet"}
	}
	limited, cancel := r.within(ctx)
	defer cancel()
	err = r.work(limited)
	r.cleanAgain(ctx)
	r.flush(ctx)
	result := r.measure(ctx, conn, started)
	if errors.Is(err, errWindowOver) && ctx.Err() == nil {
		err = nil // named with each table
	}
	if err == nil {
		err = result.failed()
	}
	return result, err
}

// within bounds the work by the window, if it is one that needs one.
func (r *run) within(ctx context.Context) (context.Context, context.CancelFunc) {
	if !r.plan.Locks || r.o.Force {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, r.plan.Until.Sub(r.o.Now()), errWindowOver)
}

// work does all items, those that were busy once more, and then what sums up the others.
func (r *run) work(ctx context.Context) error {
	watching, stop := context.WithCancel(ctx)
	var looking sync.WaitGroup
	looking.Go(func() { r.monitor.run(watching) })
	defer looking.Wait()
	defer stop()

	if err := r.dropOld(ctx); err != nil {
		return err
	}
	last := slices.IndexFunc(r.plan.Items, func(i Item) bool { return i.Kind == 'p' })
	if last < 0 {
		last = len(r.plan.Items)
	}
	again, err := r.pass(ctx, r.plan.Items[:last])
	if err != nil {
		return err
	}
	if _, err := r.pass(ctx, again); err != nil {
		return err
	}
	again, err = r.pass(ctx, r.plan.Items[last:])
	if err != nil {
		return err
	}
	if _, err := r.pass(ctx, again); err != nil {
		return err
	}
	return r.finish(ctx)
}

// pass does items with as many sessions as there may be. It returns those that
// were busy, and an error when nothing more can be done.
func (r *run) pass(ctx context.Context, items []Item) (again []Item, err error) {
	if len(items) == 0 {
		return nil, nil
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	batches := r.batches(items)
	queue := make(chan []Item, len(batches))
	for _, batch := range batches {
		queue <- batch
	}
	close(queue)
	var mu sync.Mutex
	var workers sync.WaitGroup
	for range min(r.o.Jobs, len(batches)) {
		workers.Go(func() {
			late, err := r.worker(ctx, queue)
			mu.Lock()
			defer mu.Unlock()
			again = append(again, late...)
			if err != nil {
				stop(err)
			}
		})
	}
	workers.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return again, nil
}

// worker does what is in the queue, in one session. Its error ends the run.
func (r *run) worker(ctx context.Context, queue <-chan []Item) (again []Item, err error) {
	var s *session
	defer func() {
		if s != nil {
			r.crew.give(s)
		}
	}()
	for batch := range queue {
		if len(batch) > 1 {
			if s, err = r.session(ctx, s); err != nil {
				return again, err
			}
			if ctx.Err() != nil {
				return again, nil
			}
			if r.several(ctx, s, batch) {
				continue
			}
		}
		for _, item := range batch {
			if ctx.Err() != nil {
				return again, nil
			}
			if s, err = r.session(ctx, s); err != nil {
				return again, err
			}
			if r.one(ctx, s, item) {
				again = append(again, item)
			}
		}
	}
	return again, nil
}

// session is s, or another one where there is none or it has ended.
func (r *run) session(ctx context.Context, s *session) (*session, error) {
	if s != nil && !s.conn.IsClosed() {
		return s, nil
	}
	return r.crew.take(ctx)
}

// one does one item and notes what came of it; true when it was busy.
func (r *run) one(ctx context.Context, s *session, item Item) bool {
	if err := r.reserve(item); err != nil {
		return r.note(ctx, s, item, 0, nil, err)
	}
	defer r.reserveNothing(item)
	started := time.Now()
	var warnings []*pgconn.Notice
	var err error
	if item.Action == Reindex {
		warnings, err = r.reindex(ctx, s, item)
	} else {
		watched, release := r.monitor.watch(ctx, s.pid(), item, r.place(item), false)
		r.o.step(string(item.Action))
		warnings, err = s.run(watched, r.statement(item, item.SQL()))
		release()
	}
	r.o.Logger.Info(string(item.Action), "table", item.Name(), "seconds", time.Since(started).Seconds(), "error", err)
	return r.note(ctx, s, item, time.Since(started), warnings, err)
}

// statement is what is run for everything but indexes, on one table or several
// like it. A table in the way is left
// by SKIP_LOCKED at once; only VACUUM FULL would never find a table that nobody
// uses, and so waits for the short time of lock_timeout.
func (r *run) statement(item Item, tables string) string {
	var options string
	switch {
	case item.Action == Analyze:
		return "ANALYZE (SKIP_LOCKED) " + tables
	case item.Action == Full:
		options = "FULL, ANALYZE"
	case item.analyze:
		options = "SKIP_LOCKED, ANALYZE"
	default:
		options = "SKIP_LOCKED"
	}
	if r.o.Freeze {
		options += ", FREEZE"
	}
	if r.o.major >= 16 { // once at the end is enough, and it scans pg_class
		options += ", SKIP_DATABASE_STATS"
	}
	return "VACUUM (" + options + ") " + tables
}

// finish moves the age of the database, which the single tables did not.
func (r *run) finish(ctx context.Context) error {
	if r.o.major < 16 || r.o.Action == Analyze || r.o.Action == Reindex || len(r.plan.Items) == 0 {
		return nil
	}
	s, err := r.crew.take(ctx)
	if err != nil {
		return err
	}
	defer r.crew.give(s)
	if _, err := s.run(ctx, "VACUUM (ONLY_DATABASE_STATS)"); err != nil {
		return fmt.Errorf("update the age of the database: %w", err)
	}
	return nil
}

// flush waits for the disk, also when ctx has ended: what is called done is to be
// done after the next crash as well.
func (r *run) flush(ctx context.Context) {
	if len(r.plan.Items) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), afterwards)
	defer cancel()
	s, err := r.crew.take(ctx)
	if err == nil {
		err = s.flush(ctx)
		r.crew.give(s)
	}
	if err != nil {
		r.doubts = append(r.doubts, fmt.Sprintf("the last of what was done may be lost if the server crashes now: %v", err))
	}
}

// place says which one of how many an item is.
func (r *run) place(item Item) string {
	return fmt.Sprintf("%d of %d", item.at, len(r.plan.Items))
}

// reserve makes sure that there is room for a copy beside those being written.
func (r *run) reserve(item Item) error {
	need := copied(item)
	if need == 0 {
		return nil
	}
	free, err := r.plan.Space.free(item.Tablespace)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil && free-r.copying < need {
		return errNoSpace
	}
	r.copying += need
	return nil
}

func (r *run) reserveNothing(item Item) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.copying -= copied(item)
}
