package pgdump

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bmad-forge/forgectl/pkg/postgres"
)

// sessionSettings make a session live as long as it must and print every value
// the same way wherever it runs. An application role may carry any of them.
// Names that a server does not know yet are left out by its version.
var sessionSettings = []struct {
	since       int
	name, value string
}{
	{0, "statement_timeout", "0"},
	{0, "lock_timeout", "0"},
	{0, "idle_in_transaction_session_timeout", "0"},
	{14, "idle_session_timeout", "0"},
	{17, "transaction_timeout", "0"},
	{0, "row_security", "off"}, // an error instead of missing rows
	{0, "DateStyle", "ISO, YMD"},
	{0, "IntervalStyle", "postgres"},
	{0, "TimeZone", "UTC"},
	{0, "extra_float_digits", "3"},
	{0, "bytea_output", "hex"},
	{0, "lc_monetary", "C"},
	{0, "xmloption", "content"},
	{0, "quote_all_identifiers", "off"}, // the text of a regclass
	{0, "search_path", "pg_catalog"},
	{0, "client_encoding", "UTF8"},
	{0, "default_transaction_read_only", "off"},
	{0, "standard_conforming_strings", "on"},
}

// pin applies sessionSettings.
func pin(ctx context.Context, conn *pgx.Conn, version postgres.Version) error {
	for _, s := range sessionSettings {
		if s.since > version.Major() {
			continue
		}
		if _, err := conn.Exec(ctx, "SELECT set_config($1, $2, false)", s.name, s.value); err != nil {
			return fmt.Errorf("set %s: %w", s.name, err)
		}
	}
	for _, sql := range leaveNothing {
		_, _ = conn.Exec(ctx, sql) // not every server can
	}
	return nil
}

// leaveNothing makes the server notice, within minutes at most, that this host or
// the way to it is gone: until then the session's locks are in the way of whoever
// wants to alter a table. Without it TCP waits for two hours, and a statement that
// runs goes on to its end for nobody.
var leaveNothing = []string{
	"SELECT set_config('client_connection_check_interval', '5s', false) FROM pg_catalog.pg_settings WHERE name = 'client_connection_check_interval'",
	"SELECT set_config('tcp_keepalives_idle', '60', false), set_config('tcp_keepalives_interval', '10', false), set_config('tcp_keepalives_count', '6', false)",
}

// sessionLockWait bounds a wait for a lock in a session beside the guard's. It
// only ever waits behind somebody who waits for the guard, and would for ever.
func (g *Guard) sessionLockWait() time.Duration { return min(g.options.LockTimeout, ownLockWait) }

// Session opens another session in the guard's snapshot, read only. The caller closes it.
func (g *Guard) Session(ctx context.Context) (*pgx.Conn, error) {
	conn, err := g.endpoint.Connect(ctx)
	if err != nil {
		return nil, err
	}
	if err := beginIn(ctx, conn, g.Server.Version, g.Snapshot); err != nil {
		_ = conn.Close(context.WithoutCancel(ctx))
		return nil, err
	}
	if _, err := conn.Exec(ctx, fmt.Sprintf("SET LOCAL lock_timeout = %d", g.sessionLockWait().Milliseconds())); err != nil {
		_ = conn.Close(context.WithoutCancel(ctx))
		return nil, fmt.Errorf("set lock_timeout: %w", err)
	}
	return conn, nil
}

func beginIn(ctx context.Context, conn *pgx.Conn, version postgres.Version, snapshot string) error {
	if err := pin(ctx, conn, version); err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	if _, err := conn.Exec(ctx, "SET TRANSACTION SNAPSHOT "+postgres.QuoteLiteral(snapshot)); err != nil {
		return fmt.Errorf("import snapshot: %w", err)
	}
	return nil
}
