package maintain

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/bmad-forge/forgectl/pkg/postgres"
)

// session is one that works. It is used by one goroutine.
type session struct {
	conn     *pgx.Conn
	warnings []*pgconn.Notice // of the statement that runs
}

// openSession opens a session whose statements take as long as they take; only a
// lock is not waited for longer than lockWait.
func openSession(ctx context.Context, e *postgres.Endpoint, lockWait time.Duration) (*session, error) {
	s := &session{}
	var err error
	s.conn, err = e.ConnectNotices(ctx, func(n *pgconn.Notice) {
		if n.SeverityUnlocalized == "WARNING" {
			s.warnings = append(s.warnings, n)
		}
	})
	if err != nil {
		return nil, err
	}
	if err = postgres.RefusePooler(ctx, e, s.conn); err == nil {
		err = postgres.LiftTimeouts(ctx, s.conn)
	}
	if err == nil {
		err = set(ctx, s.conn, fmt.Sprintf(workSettings, milliseconds(lockWait)))
	}
	if err != nil {
		s.close(ctx)
		return nil, err
	}
	// A VACUUM for a host that is gone would go on to its end. Not every server can tell.
	_, _ = s.conn.Exec(ctx, "SELECT set_config('client_connection_check_interval', '5s', false) FROM pg_catalog.pg_settings WHERE name = 'client_connection_check_interval'")
	return s, nil
}

// workSettings are those of a session that works. What functions of indexes do
// must not depend on whose schemas come first. No table waits for the disk by
// itself: flush does once, for all of them.
const workSettings = "SET lock_timeout = %d; SET search_path = pg_catalog; SET synchronous_commit = off"

// set carries out several statements in one round trip.
func set(ctx context.Context, conn *pgx.Conn, sql string) error {
	if _, err := conn.PgConn().Exec(ctx, sql).ReadAll(); err != nil {
		return fmt.Errorf("prepare the session: %w", err)
	}
	return nil
}

// milliseconds is a time for the server, which takes 0 for no limit.
func milliseconds(d time.Duration) int64 { return max(d.Milliseconds(), 1) }

// flushSQL makes a transaction that has written something, since only such a one
// waits for the disk: for its own, as autovacuum does, and not for standbys.
const flushSQL = "BEGIN; SET LOCAL synchronous_commit = local; SELECT pg_catalog.lo_unlink(pg_catalog.lo_create(0)); COMMIT"

// flush returns when all that was committed before is on the disk of the server.
// Where a role may not do that, it waits for the server, which does it by itself
// several times a second.
func (s *session) flush(ctx context.Context) error {
	if _, err := s.run(ctx, flushSQL); err == nil {
		return nil
	}
	if _, err := s.run(ctx, "ROLLBACK"); err != nil {
		return fmt.Errorf("wait for the disk: %w", err)
	}
	var end string
	for {
		var flushed bool
		err := s.conn.QueryRow(ctx, `SELECT coalesce(nullif($1, '')::pg_lsn, pg_catalog.pg_current_wal_insert_lsn())::text,
			coalesce(pg_catalog.pg_current_wal_flush_lsn() >= nullif($1, '')::pg_lsn, false)`, end).Scan(&end, &flushed)
		if err != nil {
			return fmt.Errorf("wait for the disk: %w", err)
		}
		if flushed {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the disk: %w", context.Cause(ctx))
		case <-time.After(lookEvery / 10):
		}
	}
}

func (s *session) close(ctx context.Context) { _ = s.conn.Close(context.WithoutCancel(ctx)) }

func (s *session) pid() uint32 { return s.conn.PgConn().PID() }

const (
	cancelAgain = time.Second      // a cancellation can meet a server that does not look
	cancelGives = 20 * time.Second // then the connection is closed
)

// run runs one statement and returns what the server warned of. When ctx ends
// the server is told to cancel it, and is waited for: what it did is then known.
// The error then has the cause of the context in it.
func (s *session) run(ctx context.Context, sql string) ([]*pgconn.Notice, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	s.warnings = nil
	hard, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	ended, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-ended:
		case <-ctx.Done():
			s.cancelUntil(ended, giveUp)
		}
	}()
	_, err := s.conn.PgConn().Exec(hard, sql).ReadAll()
	close(ended)
	<-watched
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", context.Cause(ctx), err)
	}
	return s.warnings, err
}

func (s *session) cancelUntil(ended <-chan struct{}, giveUp func()) {
	deadline := time.NewTimer(cancelGives)
	defer deadline.Stop()
	for {
		ctx, done := context.WithTimeout(context.Background(), cancelAgain)
		_ = s.conn.PgConn().CancelRequest(ctx)
		done()
		select {
		case <-ended:
			return
		case <-deadline.C:
			giveUp()
			return
		case <-time.After(cancelAgain):
		}
	}
}
