package maintain

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// monitor looks at the working sessions from a session of its own: for the
// display, and to end a wait for a lock where lock_timeout cannot, because it
// would also bound waits that are part of the work.
type monitor struct {
	o    Options
	mu   sync.Mutex
	seen map[uint32]*watched // by the pid of the server's process
}

type watched struct {
	item  Item
	place string             // "3 of 12"
	end   func(error)        // ends the statement; nil: lock_timeout does
	waits string             // what it was seen waiting for; "": for nothing
	since time.Time          // of that
	done  context.CancelFunc // of the context that end cancels
}

const (
	lookEvery = 200 * time.Millisecond
	showEvery = time.Second
)

func newMonitor(o Options) *monitor {
	return &monitor{o: o, seen: map[uint32]*watched{}}
}

// BusyError means that somebody else is at a table, or holds up its rebuilding.
type BusyError struct {
	Holders     string // who, for people; "" when unknown
	Transaction bool   // an old transaction, and no lock
}

func (e *BusyError) Error() string {
	what := "somebody holds a lock on it"
	if e.Transaction {
		what = "an older transaction does not end"
	}
	if e.Holders != "" {
		what += ": " + e.Holders
	}
	return what
}

// watch shows what the session with pid does. With patience its waits are
// bounded here. The context is for the statement; release must be called.
func (m *monitor) watch(ctx context.Context, pid uint32, item Item, place string, patience bool) (context.Context, func()) {
	w := &watched{item: item, place: place}
	if patience {
		limited, cancel := context.WithCancelCause(ctx)
		ctx, w.end = limited, cancel
		w.done = func() { cancel(nil) }
	}
	m.mu.Lock()
	m.seen[pid] = w
	m.mu.Unlock()
	return ctx, func() {
		m.mu.Lock()
		delete(m.seen, pid)
		m.mu.Unlock()
		if w.done != nil {
			w.done()
		}
	}
}

// pids are the sessions to look at, and whether one of them needs patience.
func (m *monitor) pids() (pids []int32, patience bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for pid, w := range m.seen {
		pids = append(pids, int32(pid))
		patience = patience || w.end != nil
	}
	return pids, patience
}

// run looks until ctx ends. It must not fail: without it the session's
// lock_timeout is what remains.
func (m *monitor) run(ctx context.Context) {
	var conn *pgx.Conn
	defer func() {
		if conn != nil {
			_ = conn.Close(context.WithoutCancel(ctx))
		}
	}()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var shown time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C: // not for each table: most are done sooner
		}
		pids, patience := m.pids()
		show := m.o.Progress != nil && time.Since(shown) >= m.o.every
		if len(pids) == 0 || !patience && !show {
			continue
		}
		if conn == nil || conn.IsClosed() {
			c, err := openCatalog(ctx, m.o.Endpoint)
			if err != nil {
				m.o.Logger.Warn("cannot look at the work", "error", err)
				continue
			}
			conn = c
		}
		if patience {
			m.endWaits(ctx, conn, pids)
		}
		if show {
			m.show(ctx, conn, pids)
			shown = time.Now()
		}
	}
}

// endWaits ends the statements that have waited for long enough.
func (m *monitor) endWaits(ctx context.Context, conn *pgx.Conn, pids []int32) {
	rows, err := conn.Query(ctx, `SELECT DISTINCT ON (pid) pid, locktype FROM pg_catalog.pg_locks
		WHERE NOT granted AND pid = ANY ($1::int[]) ORDER BY pid, locktype`, pids)
	if err != nil {
		return
	}
	waiting := map[uint32]string{}
	var pid int32
	var kind string
	_, err = pgx.ForEachRow(rows, []any{&pid, &kind}, func() error {
		waiting[uint32(pid)] = kind
		return nil
	})
	if err != nil {
		return
	}
	for _, over := range m.overdue(waiting, time.Now()) {
		over.end(&BusyError{Holders: blockers(ctx, conn, over.pid), Transaction: over.transaction})
	}
}

type overdue struct {
	pid         uint32
	transaction bool
	end         func(error)
}

// overdue updates who waits for what, and returns those who did for too long.
func (m *monitor) overdue(waiting map[uint32]string, now time.Time) (over []overdue) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for pid, w := range m.seen {
		kind := waiting[pid]
		// One transaction after another is one wait no longer.
		if kind == "" || kind != w.waits {
			w.waits, w.since = kind, now
			continue
		}
		limit := m.o.TransactionWait
		if kind == "relation" {
			limit = m.o.LockTimeout
		}
		if w.end != nil && now.Sub(w.since) >= limit {
			over = append(over, overdue{pid, kind != "relation", w.end})
		}
	}
	return over
}

// blockers says who holds up a session.
func blockers(ctx context.Context, conn *pgx.Conn, pid uint32) string {
	return people(ctx, conn, `SELECT pid, coalesce(usename::text, ''), coalesce(application_name, ''), coalesce(backend_type, '')
		FROM pg_catalog.pg_stat_activity WHERE pid = ANY (pg_catalog.pg_blocking_pids($1::int)) ORDER BY pid LIMIT 3`, int64(pid))
}

// holders says who has a lock on a table that maintenance cannot have with it.
func holders(ctx context.Context, conn *pgx.Conn, table uint32) string {
	return people(ctx, conn, `SELECT DISTINCT l.pid, coalesce(a.usename::text, ''), coalesce(a.application_name, ''), coalesce(a.backend_type, '')
		FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
		WHERE l.locktype = 'relation' AND l.relation = $1::oid AND l.granted AND l.pid <> pg_catalog.pg_backend_pid()
		AND l.database IN (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()))
		AND l.mode IN ('ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
		ORDER BY l.pid LIMIT 3`, int64(table))
}

func people(ctx context.Context, conn *pgx.Conn, sql string, arg any) string {
	rows, err := conn.Query(ctx, sql, arg)
	if err != nil {
		return ""
	}
	var who []string
	var pid int
	var user, application, kind string
	_, err = pgx.ForEachRow(rows, []any{&pid, &user, &application, &kind}, func() error {
		who = append(who, person(pid, user, application, kind))
		return nil
	})
	if err != nil {
		return ""
	}
	return strings.Join(who, ", ")
}

// person is a session of the server, for people.
func person(pid int, user, application, kind string) string {
	what := fmt.Sprintf("process %d", pid)
	switch {
	case application != "":
		what += fmt.Sprintf(" (%s, %s)", user, application)
	case user != "":
		what += fmt.Sprintf(" (%s)", user)
	case kind != "":
		what += fmt.Sprintf(" (%s)", kind)
	}
	return what
}

// busy finds a BusyError as the cause of an error.
func busy(err error) *BusyError {
	var b *BusyError
	if errors.As(err, &b) {
		return b
	}
	return nil
}
