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
	lockWait time.Duration    // as it is set
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
		err = s.waitForLocks(ctx, lockWait)
	}
	// What functions of indexes do must not depend on whose schemas come first.
	if err == nil {
		_, err = s.conn.Exec(ctx, "SET search_path = pg_catalog")
	}
	if err != nil {
		s.close(ctx)
		return nil, err
	}
	// A VACUUM for a host that is gone would go on to its end. Not every server can tell.
	_, _ = s.conn.Exec(ctx, "SELECT set_config('client_connection_check_interval', '5s', false) FROM pg_catalog.pg_settings WHERE name = 'client_connection_check_interval'")
	return s, nil
}

// waitForLocks asks the server only when it is another time than before: not for
// each of thousands of tables.
func (s *session) waitForLocks(ctx context.Context, d time.Duration) error {
	if d == s.lockWait {
		return nil
	}
	if _, err := s.conn.Exec(ctx, fmt.Sprintf("SET lock_timeout = %d", max(d.Milliseconds(), 1))); err != nil {
		return fmt.Errorf("set lock_timeout: %w", err)
	}
	s.lockWait = d
	return nil
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
