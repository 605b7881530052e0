package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// ConnectPatient is Connect for work that takes as long as it takes, or for a
// session that must stay although it is idle: no timeout that the server, the
// database or the role carries ends it. A pooler that hands each transaction to
// another backend is refused (ErrPooled): what is set there would be the next
// client's. The caller closes the connection.
func (e *Endpoint) ConnectPatient(ctx context.Context) (*pgx.Conn, error) {
	conn, err := e.Connect(ctx)
	if err != nil {
		return nil, err
	}
	if err = RefusePooler(ctx, e, conn); err == nil {
		err = LiftTimeouts(ctx, conn)
	}
	if err != nil {
		_ = conn.Close(context.WithoutCancel(ctx))
		return nil, err
	}
	return conn, nil
}

// LiftTimeouts turns off the timeouts of a session that is this process's own
// (RefusePooler), those that its server knows, and a default of reading only.
func LiftTimeouts(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, `SELECT pg_catalog.set_config(name, CASE vartype WHEN 'bool' THEN 'off' ELSE '0' END, false)
		FROM pg_catalog.pg_settings WHERE name IN ('statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout',
			'idle_session_timeout', 'transaction_timeout', 'default_transaction_read_only')`)
	if err != nil {
		return fmt.Errorf("turn off the session's timeouts: %w", err)
	}
	return nil
}
