package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Backend is a session as its server knows it, to be found again when the
// connection to it is lost.
type Backend struct {
	pid   int32
	start string // its pid may be another's by then
}

// BackendOf is the session behind conn.
func BackendOf(ctx context.Context, conn *pgx.Conn) (Backend, error) {
	var b Backend
	err := conn.QueryRow(ctx, "SELECT pid, "+backendStart+" FROM pg_catalog.pg_stat_activity WHERE pid = pg_catalog.pg_backend_pid()").Scan(&b.pid, &b.start)
	if err != nil {
		return b, fmt.Errorf("ask for the session's own process: %w", err)
	}
	return b, nil
}

const backendStart = "extract(epoch FROM backend_start)::text"

// endTime bounds End.
const endTime = 30 * time.Second

// End ends the session and waits until it is gone, also when ctx has ended. A
// server goes on with what a lost connection has begun, and keeps its locks: once
// the session is gone, that has happened or will not. e reaches the same server
// with the same role. That it is gone already is no error.
func (b Backend) End(ctx context.Context, e *Endpoint) error {
	if b.pid == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), endTime, fmt.Errorf("no end of it within %s", endTime))
	defer cancel()
	conn, err := e.Connect(ctx)
	if err != nil {
		return fmt.Errorf("end the lost session %d: %w", b.pid, err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	for there := true; there; {
		err := conn.QueryRow(ctx, "SELECT count(pg_catalog.pg_terminate_backend(pid)) > 0 FROM pg_catalog.pg_stat_activity WHERE pid = $1 AND "+backendStart+" = $2", b.pid, b.start).Scan(&there)
		if err == nil && there {
			select {
			case <-ctx.Done():
			case <-time.After(20 * time.Millisecond):
			}
		}
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			return fmt.Errorf("end the lost session %d: %w", b.pid, err)
		}
	}
	return nil
}
