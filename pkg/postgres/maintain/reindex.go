package maintain

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/bmad-forge/forgectl/pkg/postgres"
)

// reindex rebuilds the indexes of a table.
func (r *run) reindex(ctx context.Context, s *session, item Item) ([]*pgconn.Notice, error) {
	if r.o.Blocking {
		return r.reindexBlocking(ctx, s, item)
	}
	watched, release := r.monitor.watch(ctx, s.pid(), item, r.place(item), true)
	r.o.step("reindex")
	warnings, err := s.run(watched, "REINDEX TABLE CONCURRENTLY "+item.SQL())
	release()
	if err != nil {
		r.clean(ctx, s.pid(), item)
	}
	return warnings, err
}

// reindexBlocking rebuilds one index after the other, each in a transaction of
// its own: REINDEX TABLE would take the lock of each index when those before it
// are done, and lose them all if that one is busy.
func (r *run) reindexBlocking(ctx context.Context, s *session, item Item) (warnings []*pgconn.Notice, err error) {
	rows, err := s.conn.Query(ctx, `SELECT n.nspname::text, c.relname::text FROM pg_catalog.pg_index i
		JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE i.indrelid IN ($1::oid, $2::oid) AND c.relkind = 'i' ORDER BY 1, 2`, int64(item.OID), int64(item.TOASTTable))
	if err != nil {
		return nil, err
	}
	names, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (string, error) {
		var schema, name string
		err := row.Scan(&schema, &name)
		return postgres.QuoteIdent(schema, name), err
	})
	if err != nil {
		return nil, err
	}
	watched, release := r.monitor.watch(ctx, s.pid(), item, r.place(item), false)
	defer release()
	found := false
	for _, name := range names {
		r.o.step("reindex")
		told, err := s.run(watched, "REINDEX INDEX "+name)
		warnings = append(warnings, told...)
		if code(err) == undefinedTable || code(err) == undefinedObject { // it was dropped meanwhile
			continue
		}
		if err != nil {
			return warnings, fmt.Errorf("index %s: %w", name, err)
		}
		found = true
	}
	if !found && gone(ctx, s, item.OID) {
		return warnings, errGone
	}
	return warnings, nil
}

// clean removes what a rebuilding that failed has left, also when ctx has ended.
// What was there when the run was planned is not ours. A session that is killed says so to its
// client before it gives its locks back, and what has locks is taken for a
// rebuilding that goes on: so its end is waited for.
func (r *run) clean(ctx context.Context, pid uint32, item Item) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), afterwards)
	defer cancel()
	s, err := openSession(ctx, r.o.Endpoint, r.o.LockTimeout)
	if err != nil {
		r.o.Logger.Warn("cannot look for what a failed REINDEX left", "table", item.Name(), "error", err)
		r.unsure(item, err)
		return
	}
	defer s.close(ctx)
	if err := awaitUnlocked(ctx, s.conn, pid, item); err != nil {
		r.unsure(item, err)
		return
	}
	all, err := readLeftovers(ctx, s.conn)
	if err != nil {
		r.unsure(item, err)
		return
	}
	var ours []Leftover
	for _, l := range leftoversOf(all, scope{}, []Table{item.Table}) {
		if !r.plan.invalid[l.OID] {
			ours = append(ours, l)
		}
	}
	remain, err := dropLeftovers(ctx, s, ours)
	r.o.Logger.Info("removed what a failed REINDEX left", "table", item.Name(), "indexes", len(ours)-len(remain), "error", err)
	r.mu.Lock()
	defer r.mu.Unlock()
	tried := map[uint32]bool{} // maybe for the second time
	for _, l := range ours {
		tried[l.OID] = true
	}
	r.remain = slices.DeleteFunc(r.remain, func(l Leftover) bool { return tried[l.OID] })
	r.remain = append(r.remain, remain...)
}

// awaitUnlocked returns when a session has no lock on the tables of an item any more.
func awaitUnlocked(ctx context.Context, conn *pgx.Conn, pid uint32, item Item) error {
	for {
		var held bool
		err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_catalog.pg_locks WHERE locktype = 'relation' AND pid = $1::int AND relation IN ($2::oid, $3::oid))`,
			int64(pid), int64(item.OID), int64(item.TOASTTable)).Scan(&held)
		if err != nil || !held {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(lookEvery / 10):
		}
	}
}

// unsure notes that something may be left.
func (r *run) unsure(item Item, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.doubts = append(r.doubts, fmt.Sprintf("%s may have an invalid index whose name ends in _ccnew or _ccold: %v", item.Name(), err))
}

// cleanAgain tries once more what could not be removed at first.
func (r *run) cleanAgain(ctx context.Context) {
	if len(r.remain) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), afterwards)
	defer cancel()
	s, err := openSession(ctx, r.o.Endpoint, r.o.LockTimeout)
	if err != nil {
		return
	}
	defer s.close(ctx)
	r.remain, _ = dropLeftovers(ctx, s, r.remain)
}

// dropOld removes what earlier runs have left, where that was asked for.
func (r *run) dropOld(ctx context.Context) error {
	if !r.o.DropLeftovers || len(r.plan.Leftovers) == 0 {
		return nil
	}
	s, err := openSession(ctx, r.o.Endpoint, r.o.LockTimeout)
	if err != nil {
		return err
	}
	defer s.close(ctx)
	remain, err := dropLeftovers(ctx, s, r.plan.Leftovers)
	kept := map[uint32]bool{}
	for _, l := range remain {
		kept[l.OID] = true
	}
	for _, l := range r.plan.Leftovers {
		if !kept[l.OID] {
			r.dropped = append(r.dropped, l)
		}
	}
	r.remain = append(r.remain, remain...)
	if ctx.Err() != nil {
		return err
	}
	return nil
}
