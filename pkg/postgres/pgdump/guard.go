package pgdump

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/bmad-forge/forgectl/pkg/postgres"
)

var (
	// ErrBusy means that a lock was not granted in time: somebody alters a table.
	ErrBusy = errors.New("table is locked by another session")
	// ErrGuardLost means that the session that holds locks and snapshot died:
	// what was dumped since may be of another moment.
	ErrGuardLost = errors.New("the session that holds the snapshot was lost")
	// ErrChanged means that a table is not what it was at the start, although it was locked.
	ErrChanged = errors.New("table changed during the dump")
)

// BusyError names the tables that were locked and who holds them.
type BusyError struct {
	Tables  []string
	Holders []string // "pid 4711 (deploy, psql): ALTER TABLE …"
}

func (e *BusyError) Error() string {
	s := "lock " + strings.Join(e.Tables, ", ") + ": " + ErrBusy.Error()
	if len(e.Holders) > 0 {
		s += ": " + strings.Join(e.Holders, "; ")
	}
	return s
}

// Is makes errors.Is(err, ErrBusy) true.
func (e *BusyError) Is(target error) bool { return target == ErrBusy }

// GuardOptions say how patient a guard is.
type GuardOptions struct {
	LockTimeout time.Duration // for each table; default 1 minute
	Ping        time.Duration // how often the guard is asked whether it lives; default 1 second
	Logger      *slog.Logger
	// Step, if set, is called at named points, for tests that interfere there.
	Step func(name string)
}

// Guard is the session that holds a backup together: an ACCESS SHARE lock on
// every table and the snapshot that everything else imports. The locks come
// first: between an exported snapshot and pg_dump's own lock a TRUNCATE or a
// rewriting ALTER would leave an empty table in dump and counts alike.
//
// The caller ends it with Close, which fails if anything changed, or Abort.
type Guard struct {
	Snapshot  string
	Server    postgres.Server
	Relations []Relation
	Unseen    []string // what pg_dump will leave out in silence, because this role may not see it

	endpoint *postgres.Endpoint
	options  GuardOptions
	conn     *pgx.Conn          // the watch's alone once it runs
	stop     context.CancelFunc // of the watch, which ends its question first
	cut      context.CancelFunc // of that question: the session breaks
	watching sync.WaitGroup
	lost     error
}

// maxRounds bounds how often tables that appear between listing and snapshot are chased.
const maxRounds = 20

// OpenGuard connects, locks and exports. The returned context is cancelled,
// with ErrGuardLost as its cause, as soon as the session is found dead: run
// everything that relies on the snapshot under it.
func OpenGuard(ctx context.Context, e *postgres.Endpoint, o GuardOptions) (*Guard, context.Context, error) {
	if o.LockTimeout <= 0 {
		o.LockTimeout = time.Minute
	}
	if o.Ping <= 0 {
		o.Ping = time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Step == nil {
		o.Step = func(string) {}
	}
	conn, err := e.Connect(ctx)
	if err != nil {
		return nil, nil, err
	}
	g := &Guard{endpoint: e, options: o, conn: conn}
	if err := g.open(ctx); err != nil {
		_ = conn.Close(context.WithoutCancel(ctx))
		return nil, nil, err
	}
	return g, g.watch(ctx), nil
}

func (g *Guard) open(ctx context.Context) error {
	listed, err := g.look(ctx)
	if err != nil {
		return err
	}
	for range maxRounds {
		if err := g.checkRights(ctx, listed); err != nil {
			return err
		}
		if g.Unseen, err = g.listUnseen(ctx); err != nil {
			return err
		}
		settled, err := g.lockAndExport(ctx, listed)
		if err != nil || settled {
			return err
		}
		if _, err := g.conn.Exec(ctx, "ROLLBACK"); err != nil {
			return fmt.Errorf("roll back: %w", err)
		}
		if listed, err = listRelations(ctx, g.conn); err != nil {
			return err
		}
	}
	return fmt.Errorf("lock tables: new tables appeared %d times while locking: %w", maxRounds, ErrBusy)
}

// look pins the session and lists the tables. It locks nothing.
func (g *Guard) look(ctx context.Context) ([]Relation, error) {
	if err := postgres.RefusePooler(ctx, g.endpoint, g.conn); err != nil {
		return nil, err
	}
	var err error
	if g.Server, err = postgres.Facts(ctx, g.conn); err != nil {
		return nil, err
	}
	if err := g.Server.Measure(ctx, g.conn); err != nil {
		return nil, err
	}
	if err := pin(ctx, g.conn, g.Server.Version); err != nil {
		return nil, err
	}
	return listRelations(ctx, g.conn)
}

// lockAndExport takes the locks and the snapshot; settled is false when the
// snapshot sees a table that is not among the locked ones.
func (g *Guard) lockAndExport(ctx context.Context, listed []Relation) (settled bool, err error) {
	g.options.Step("begin")
	if _, err := g.conn.Exec(ctx, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"); err != nil {
		return false, fmt.Errorf("begin: %w", err)
	}
	// LOCK and SET take no snapshot (PlannedStmtRequiresSnapshot in the server's
	// source), so the one below is later than every lock.
	timeout := fmt.Sprintf("SET LOCAL lock_timeout = %d", g.options.LockTimeout.Milliseconds())
	if _, err := g.conn.Exec(ctx, timeout); err != nil {
		return false, fmt.Errorf("set lock_timeout: %w", err)
	}
	for _, r := range listed {
		_, err := g.conn.Exec(ctx, "LOCK TABLE ONLY "+postgres.QuoteIdent(r.Schema, r.Name)+" IN ACCESS SHARE MODE")
		switch code := errorCode(err); {
		case err == nil:
		case code == "42P01" || code == "3F000" || code == "42809": // dropped or replaced since it was listed
			return false, nil
		case code == codeLockTimeout || code == codeDeadlock: // whoever holds it may wait for one that we hold
			return false, busy(ctx, g.conn, r)
		default:
			return false, fmt.Errorf("lock %s: %w", postgres.QuoteIdent(r.Schema, r.Name), err)
		}
	}
	g.options.Step("locked")
	if err := g.conn.QueryRow(ctx, "SELECT pg_export_snapshot()").Scan(&g.Snapshot); err != nil {
		return false, fmt.Errorf("export snapshot: %w", err)
	}
	if _, err := g.conn.Exec(ctx, "SET LOCAL lock_timeout = 0"); err != nil {
		return false, fmt.Errorf("set lock_timeout: %w", err)
	}
	if g.Relations, err = listRelations(ctx, g.conn); err != nil {
		return false, err
	}
	g.options.Step("exported")
	if settled, err = g.holdsAll(ctx); err != nil || !settled {
		return false, err
	}
	return true, measureSizes(ctx, g.conn, g.Relations)
}

const (
	codeLockTimeout = "55P03" // lock_not_available
	codeDeadlock    = "40P01"
)

// holdsAll asks the lock table itself whether every table of the snapshot is
// locked: names may have moved from one table to another meanwhile.
func (g *Guard) holdsAll(ctx context.Context) (bool, error) {
	rows, err := g.conn.Query(ctx, `SELECT relation FROM pg_catalog.pg_locks
		WHERE pid = pg_backend_pid() AND locktype = 'relation' AND mode = 'AccessShareLock' AND granted`)
	if err != nil {
		return false, fmt.Errorf("read locks: %w", err)
	}
	oids, err := pgx.CollectRows(rows, pgx.RowTo[uint32])
	if err != nil {
		return false, fmt.Errorf("read locks: %w", err)
	}
	held := make(map[uint32]bool, len(oids))
	for _, oid := range oids {
		held[oid] = true
	}
	for _, r := range g.Relations {
		if !held[r.OID] {
			return false, nil
		}
	}
	return true, nil
}

// busy finds out who stands in the way of a lock on r, and ends q's transaction for that.
func busy(ctx context.Context, q querier, r Relation) error {
	e := &BusyError{Tables: []string{postgres.QuoteIdent(r.Schema, r.Name)}}
	if _, err := q.Exec(ctx, "ROLLBACK"); err != nil {
		return e
	}
	e.Holders, _ = lockHolders(ctx, q, r.OID)
	return e
}

// lockHolders describes the sessions whose lock on a table conflicts with
// ACCESS SHARE, or which wait for such a lock.
func lockHolders(ctx context.Context, q querier, oid uint32) ([]string, error) {
	// A prepared transaction has no pid.
	rows, err := q.Query(ctx, `SELECT CASE WHEN l.pid IS NULL THEN 'a prepared transaction, see pg_prepared_xacts'
			ELSE format('pid %s (%s, %s): %s', l.pid, coalesce(a.usename, '?'), coalesce(nullif(a.application_name, ''), '?'),
			left(regexp_replace(coalesce(nullif(a.query, ''), '<not visible to this role>'), '\s+', ' ', 'g'), 80)) END
		FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_stat_activity a USING (pid)
		WHERE l.relation = $1 AND l.mode = 'AccessExclusiveLock' AND l.pid IS DISTINCT FROM pg_backend_pid()
			AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
		ORDER BY l.granted DESC, l.pid LIMIT 5`, oid)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// watch asks the session again and again whether it lives. A session that is
// only idle would be noticed when it is too late.
func (g *Guard) watch(ctx context.Context) context.Context {
	guarded, fail := context.WithCancelCause(ctx)
	watch, stop := context.WithCancel(context.WithoutCancel(ctx))
	asking, cut := context.WithCancel(ctx) // whoever ends the run need not wait for an answer
	g.stop = func() { stop(); g.watching.Wait(); cut(); fail(nil) }
	g.cut = cut
	g.watching.Go(func() {
		tick := time.NewTicker(g.options.Ping)
		defer tick.Stop()
		for {
			select {
			case <-watch.Done():
				return
			case <-tick.C:
			}
			// Not under watch: a query that is cut off would break the session at the very end.
			if err := g.exec(asking, "SELECT 1"); err != nil {
				g.lost = fmt.Errorf("%w: %w", ErrGuardLost, err)
				fail(g.lost)
				return
			}
		}
	})
	return guarded
}

// Close ends the session after comparing every table with what it was at the
// start: existence, name, file and columns. The comparison runs outside the snapshot
// but under the locks. The context that OpenGuard returned ends here.
func (g *Guard) Close(ctx context.Context) error {
	g.stop()
	defer func() { _ = g.conn.Close(context.WithoutCancel(ctx)) }()
	if g.lost != nil {
		return g.lost
	}
	changed := g.compare(ctx)
	if changed == nil {
		g.options.Step("compared")
	}
	// The locks must have been held up to here. If they were not, that is why something changed.
	if err := g.exec(ctx, "COMMIT"); err != nil {
		return fmt.Errorf("%w: %w", ErrGuardLost, err)
	}
	return changed
}

// compare holds every table against what it was at the start.
func (g *Guard) compare(ctx context.Context) error {
	now, err := g.endpoint.Connect(ctx)
	if err != nil {
		return fmt.Errorf("compare tables: %w", err)
	}
	defer func() { _ = now.Close(context.WithoutCancel(ctx)) }()
	if err := pin(ctx, now, g.Server.Version); err != nil {
		return err
	}
	current, err := listRelations(ctx, now)
	if err != nil {
		return err
	}
	byOID := make(map[uint32]Relation, len(current))
	for _, r := range current {
		byOID[r.OID] = r
	}
	for _, before := range g.Relations {
		name := postgres.QuoteIdent(before.Schema, before.Name)
		after, exists := byOID[before.OID]
		switch {
		case !exists:
			return fmt.Errorf("compare %s: it is gone: %w", name, ErrChanged)
		case after.Schema != before.Schema || after.Name != before.Name:
			// The lock keeps the table's own name, but not that of its schema. Whoever
			// reads by name may have read another table.
			return fmt.Errorf("compare %s: it is %s now: %w", name, postgres.QuoteIdent(after.Schema, after.Name), ErrChanged)
		case after.filenode != before.filenode:
			return fmt.Errorf("compare %s: it was rewritten: %w", name, ErrChanged)
		case after.columns != before.columns:
			return fmt.Errorf("compare %s: its columns are others: %w", name, ErrChanged)
		}
	}
	return nil
}

// answerTime is how long the server may take to answer the guard, which asks for
// nothing that takes time.
const answerTime = 30 * time.Second

var errSilent = fmt.Errorf("no answer for %v", answerTime)

// exec runs sql in the guard's session. What the server has said unasked is why
// it ended the session, and comes first: once something has been written there is
// nothing to be read any more, only a broken pipe.
func (g *Guard) exec(ctx context.Context, sql string) error {
	heard, cancel := context.WithTimeout(ctx, time.Millisecond)
	err := g.conn.PgConn().WaitForNotification(heard)
	cancel()
	if errorCode(err) != "" {
		return err
	}
	asked, cancel := context.WithTimeoutCause(ctx, answerTime, errSilent)
	defer cancel()
	if _, err = g.conn.Exec(asked, sql); err != nil && asked.Err() != nil {
		return context.Cause(asked) // what broke then, broke because of it
	}
	return err
}

// Abort ends the session without a comparison. It may follow Close.
func (g *Guard) Abort() {
	g.cut()
	g.stop()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = g.conn.Close(ctx)
}

func errorCode(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	return ""
}
