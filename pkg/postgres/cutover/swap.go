package cutover

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/bmad-forge/forgectl/pkg/postgres"
)

// Rename is one step of a swap. OID, if not 0, says which database must have the
// name From: names change hands. Comment, if not nil, replaces the comment of the
// database; an empty one removes it.
type Rename struct {
	From, To string
	OID      uint32
	Comment  *string
}

// Options of Swap.
type Options struct {
	// Admin reaches another database of the same server, as a role that owns the
	// databases (or is a superuser) and may end the sessions in them.
	Admin *postgres.Endpoint
	// Renames happen in this order, all of them or none.
	Renames []Rename
	// LockTimeout bounds the wait for the lock on a database; default 10 seconds.
	LockTimeout time.Duration
	Logger      *slog.Logger
	// Step, if set, is called at named points, for tests that interfere there:
	// "begun", "renamed" after each rename, "committed".
	Step func(name string)
}

// Result says what a swap cost the clients.
type Result struct {
	// Gap is how long new connections had to wait at most: from the first lock
	// to the end of the transaction.
	Gap time.Duration
	// Ended is how many sessions were terminated.
	Ended int
}

// ErrBusy is wrapped by a BusyError.
var ErrBusy = errors.New("database is in use and cannot be freed")

// BusyError says what kept a database from being renamed. Nothing was changed.
type BusyError struct {
	Database string
	Err      error
}

func (e *BusyError) Error() string { return fmt.Sprintf("rename %s: %v", e.Database, e.Err) }

// Unwrap makes errors.Is(err, ErrBusy) true and keeps the cause.
func (e *BusyError) Unwrap() []error { return []error{ErrBusy, e.Err} }

// ErrOther means that a database is not the one that was looked at before:
// somebody has renamed or replaced it meanwhile. Nothing was changed.
var ErrOther = errors.New("another database has the name by now")

// ErrUnknownOutcome means that the connection was lost while the transaction was
// being committed: ask the server which names it has.
var ErrUnknownOutcome = errors.New("connection lost during commit: the swap may have happened or not")

// Swap renames databases in one transaction and ends the sessions that are in
// the way. After an error nothing has changed, except for ErrUnknownOutcome.
func Swap(ctx context.Context, o Options) (Result, error) {
	if o.LockTimeout <= 0 {
		o.LockTimeout = 10 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Step == nil {
		o.Step = func(string) {}
	}
	renamer, err := o.Admin.Connect(ctx)
	if err != nil {
		return Result{}, fmt.Errorf("swap databases: %w", err)
	}
	defer func() { _ = renamer.Close(context.WithoutCancel(ctx)) }()
	// Both connections are there before anything is locked: none may be left then.
	ender, err := o.Admin.Connect(ctx)
	if err != nil {
		return Result{}, fmt.Errorf("swap databases: %w", err)
	}
	defer func() { _ = ender.Close(context.WithoutCancel(ctx)) }()
	if err := postgres.RefusePooler(ctx, o.Admin, renamer); err != nil {
		return Result{}, fmt.Errorf("swap databases: %w", err)
	}
	for _, conn := range []*pgx.Conn{renamer, ender} { // either is idle for a while
		if err := postgres.LiftTimeouts(ctx, conn); err != nil {
			return Result{}, fmt.Errorf("swap databases: %w", err)
		}
	}
	s := &swap{Options: o, renamer: renamer, ender: ender}
	result, err := s.run(ctx)
	if err != nil {
		return result, fmt.Errorf("swap databases: %w", err)
	}
	return result, nil
}

type swap struct {
	Options
	renamer, ender *pgx.Conn
	result         Result
	locked         time.Time
}

func (s *swap) run(ctx context.Context) (Result, error) {
	for _, sql := range []string{
		"SET synchronous_commit = on", fmt.Sprintf("SET lock_timeout = %d", s.LockTimeout.Milliseconds()), "BEGIN",
	} {
		if _, err := s.renamer.Exec(ctx, sql); err != nil {
			return s.result, fmt.Errorf("%s: %w", sql, err)
		}
	}
	s.Step("begun")
	for _, r := range s.Renames {
		if err := s.rename(ctx, r); err != nil { // closing the session rolls back
			if ctx.Err() != nil {
				err = context.Cause(ctx)
			}
			return s.result, err
		}
		s.Step("renamed")
	}
	// What has been sent cannot be taken back: the end of ctx must not make the outcome unknown.
	commit, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	if _, err := s.renamer.Exec(commit, "COMMIT"); err != nil {
		var refused *pgconn.PgError
		if errors.As(err, &refused) && refused.Severity == "ERROR" {
			return s.result, fmt.Errorf("commit: %w", err)
		}
		return s.result, fmt.Errorf("%w: %w", ErrUnknownOutcome, err)
	}
	s.result.Gap = time.Since(s.locked)
	s.Step("committed")
	return s.result, nil
}

// rename renames one database. ALTER DATABASE takes the lock, then waits up to
// five seconds for the sessions in the database to go away: during that time
// they are ended. One that cannot be ended ends the attempt at once, because
// every client waits as long as it lasts.
func (s *swap) rename(ctx context.Context, r Rename) error {
	if err := s.checkPrepared(ctx, r.From); err != nil {
		return err
	}
	renaming, abandon := context.WithCancel(ctx)
	defer abandon()
	ending, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		err := s.endSessions(ending, r.From)
		if err != nil {
			abandon()
		}
		ended <- err
	}()
	_, err := s.renamer.Exec(renaming, "ALTER DATABASE "+postgres.QuoteIdent(r.From)+" RENAME TO "+postgres.QuoteIdent(r.To))
	stop()
	endErr := <-ended
	switch code := errorCode(err); {
	case err == nil:
	case endErr != nil:
		return &BusyError{Database: r.From, Err: endErr}
	case code == "55006" || code == "55P03": // object_in_use, lock_not_available
		return &BusyError{Database: r.From, Err: withDetail(err)}
	default:
		return fmt.Errorf("rename %s to %s: %w", r.From, r.To, err)
	}
	if s.locked.IsZero() {
		s.locked = time.Now()
	}
	if err := s.checkIdentity(ctx, r); err != nil {
		return err
	}
	if r.Comment == nil {
		return nil
	}
	comment := "NULL"
	if *r.Comment != "" {
		comment = postgres.QuoteLiteral(*r.Comment)
	}
	if _, err := s.renamer.Exec(ctx, "COMMENT ON DATABASE "+postgres.QuoteIdent(r.To)+" IS "+comment); err != nil {
		return fmt.Errorf("mark %s: %w", r.To, err)
	}
	return nil
}

// checkIdentity: what has just been renamed is what was meant.
func (s *swap) checkIdentity(ctx context.Context, r Rename) error {
	var oid uint32
	if err := s.renamer.QueryRow(ctx, "SELECT oid FROM pg_catalog.pg_database WHERE datname = $1", r.To).Scan(&oid); err != nil {
		return fmt.Errorf("look at %s again: %w", r.To, err)
	}
	if r.OID != 0 && oid != r.OID {
		return fmt.Errorf("rename %s: %w", r.From, ErrOther)
	}
	return nil
}

// checkPrepared finds prepared transactions before anybody has to wait: they
// belong to no session that could be ended.
func (s *swap) checkPrepared(ctx context.Context, database string) error {
	var gids []string
	if err := s.ender.QueryRow(ctx, "SELECT coalesce(array_agg(gid), '{}') FROM pg_catalog.pg_prepared_xacts WHERE database = $1", database).Scan(&gids); err != nil {
		return fmt.Errorf("look for prepared transactions in %s: %w", database, err)
	}
	if len(gids) > 0 {
		return &BusyError{Database: database, Err: fmt.Errorf("prepared transactions are open in it: %s", strings.Join(gids, ", "))}
	}
	return nil
}

// withDetail adds what the server says beside its message: who is in the way.
func withDetail(err error) error {
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Detail != "" {
		return fmt.Errorf("%w: %s", err, pg.Detail)
	}
	return err
}

// endEvery is the pause between two looks at who is still connected.
const endEvery = 5 * time.Millisecond

// endSessions waits until the renamer holds its lock, so that nobody can come
// back, and then terminates whoever is in the database until it is told to stop.
func (s *swap) endSessions(ctx context.Context, database string) error {
	tick := time.NewTicker(endEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		// Not under ctx: a query that is cut off would end the session that the next rename needs.
		query, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		rows, err := s.ender.Query(query, endQuery, database, int32(s.renamer.PgConn().PID()))
		var pids []int32
		if err == nil {
			pids, err = pgx.CollectRows(rows, pgx.RowTo[int32])
		}
		cancel()
		if err != nil {
			return fmt.Errorf("end sessions in %s: %w", database, err)
		}
		if len(pids) > 0 && s.locked.IsZero() {
			s.locked = time.Now()
		}
		s.result.Ended += len(pids)
	}
}

// endQuery terminates the sessions of a database, once the lock that keeps new
// ones out is held. Whom it concerns is settled in a MATERIALIZED part of its
// own: in one join the planner would be free to terminate first and to look at
// the database afterwards, and every session of the server would be gone.
const endQuery = `
WITH concerned AS MATERIALIZED (
	SELECT a.pid FROM pg_catalog.pg_stat_activity a
	JOIN pg_catalog.pg_database d ON d.oid = a.datid
	JOIN pg_catalog.pg_locks l ON l.locktype = 'object' AND l.classid = 'pg_catalog.pg_database'::regclass AND l.objid = d.oid
	WHERE d.datname = $1 AND l.pid = $2 AND l.mode = 'AccessExclusiveLock' AND l.granted AND a.pid NOT IN ($2, pg_backend_pid())
		AND a.usesysid IS NOT NULL) -- autovacuum is nobody's: ALTER DATABASE sends it away, and only a superuser could end it
SELECT pid FROM concerned WHERE pg_catalog.pg_terminate_backend(pid)`

func errorCode(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	return ""
}
