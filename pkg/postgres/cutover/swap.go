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
	s := &swap{Options: o}
	defer s.close(ctx)
	err := inTime(ctx, answerTime, s.open)
	if err == nil {
		err = s.run(ctx)
	}
	if err != nil {
		return s.result, fmt.Errorf("swap databases: %w", err)
	}
	return s.result, nil
}

type swap struct {
	Options
	renamer, ender *pgx.Conn
	backend        postgres.Backend // of renamer
	result         Result
	locked         time.Time
}

// answerTime bounds the wait for an answer that needs no lock. The application
// stands still meanwhile, and a network that has gone silent does not say so.
const answerTime = 30 * time.Second

// inTime calls f with a context that ends after limit, and says so if that was it.
func inTime(ctx context.Context, limit time.Duration, f func(context.Context) error) error {
	limited, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("no answer from the server within %s", limit))
	defer cancel()
	err := f(limited)
	if err != nil && limited.Err() != nil {
		return context.Cause(limited)
	}
	return err
}

// open makes both connections, before anything is locked: none may be left then.
func (s *swap) open(ctx context.Context) (err error) {
	for _, conn := range []**pgx.Conn{&s.renamer, &s.ender} { // either is idle for a while
		if *conn, err = s.Admin.ConnectPatient(ctx); err != nil {
			return err
		}
	}
	if s.backend, err = postgres.BackendOf(ctx, s.renamer); err != nil {
		return err
	}
	for _, sql := range []string{
		"SET synchronous_commit = on", fmt.Sprintf("SET lock_timeout = %d", s.LockTimeout.Milliseconds()),
		// If this process, its host or the network goes, nobody ends the session that keeps every client out.
		fmt.Sprintf("SET idle_in_transaction_session_timeout = %d", abandonedTime.Milliseconds()), "BEGIN",
	} {
		if _, err := s.renamer.Exec(ctx, sql); err != nil {
			return fmt.Errorf("%s: %w", sql, err)
		}
	}
	return nil
}

// abandonedTime is after how long of silence the server itself takes back the
// renames. Between two of them there are milliseconds.
const abandonedTime = time.Minute

func (s *swap) close(ctx context.Context) {
	for _, conn := range []*pgx.Conn{s.renamer, s.ender} {
		if conn != nil {
			_ = conn.Close(context.WithoutCancel(ctx))
		}
	}
}

func (s *swap) run(ctx context.Context) error {
	s.Step("begun")
	for _, r := range s.Renames {
		// The server waits for its lock, and then five seconds for sessions to go.
		err := inTime(ctx, s.LockTimeout+answerTime, func(ctx context.Context) error { return s.rename(ctx, r) })
		if err != nil {
			return s.giveUp(ctx, err)
		}
		s.Step("renamed")
	}
	// What has been sent cannot be taken back: the end of ctx must not make the outcome unknown.
	commit, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	if _, err := s.renamer.Exec(commit, "COMMIT"); err != nil {
		var refused *pgconn.PgError
		if errors.As(err, &refused) && refused.Severity == "ERROR" {
			return fmt.Errorf("commit: %w", err)
		}
		return fmt.Errorf("%w: %w", ErrUnknownOutcome, err)
	}
	s.result.Gap = time.Since(s.locked)
	s.Step("committed")
	return nil
}

// giveUp takes the renames back. The end of the session does that; but the server
// need not hear of the end of a connection, and goes on keeping every client out.
func (s *swap) giveUp(ctx context.Context, err error) error {
	if !s.renamer.IsClosed() {
		return err // Swap closes it
	}
	if endErr := s.backend.End(ctx, s.Admin); endErr != nil {
		return fmt.Errorf("%w; the server may keep clients out for up to %s: %w", err, abandonedTime, endErr)
	}
	return err
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
