package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Server is what the other end of a connection says of itself.
type Server struct {
	Version          Version
	SystemIdentifier string // "" when the role may not ask
	Standby          bool   // in recovery
	Superuser        bool   // this session's role
	Role             string
	DataDirectory    string // "" when the role may not ask
	Preload          []string
	DatabaseBytes    int64 // 0 until Measure
}

// querier is a connection or a transaction.
type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// Measure asks for the size of the database. It is no part of Facts: the server
// looks at each file, of which there are thousands.
func (s *Server) Measure(ctx context.Context, conn querier) error {
	if err := conn.QueryRow(ctx, `SELECT pg_catalog.pg_database_size(current_database())`).Scan(&s.DatabaseBytes); err != nil {
		return fmt.Errorf("ask for the size of the database: %w", err)
	}
	return nil
}

// Facts asks the server behind conn, which is in no transaction: some of the
// questions may be refused.
func Facts(ctx context.Context, conn *pgx.Conn) (Server, error) {
	return facts(ctx, conn, func(sql string, value *string) { _ = conn.QueryRow(ctx, sql).Scan(value) })
}

// FactsWithin is Facts in a transaction, under its timeouts. What is refused does
// not end it.
func FactsWithin(ctx context.Context, tx pgx.Tx) (Server, error) {
	return facts(ctx, tx, func(sql string, value *string) {
		if inner, err := tx.Begin(ctx); err == nil {
			_ = inner.QueryRow(ctx, sql).Scan(value)
			_ = inner.Rollback(context.WithoutCancel(ctx))
		}
	})
}

// facts asks; try is for what may be forbidden, and nothing depends on that.
func facts(ctx context.Context, conn querier, try func(sql string, value *string)) (Server, error) {
	var s Server
	var version int
	err := conn.QueryRow(ctx, `SELECT current_setting('server_version_num')::int, pg_is_in_recovery(),
		(SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user), current_user::text`).
		Scan(&version, &s.Standby, &s.Superuser, &s.Role)
	if err != nil {
		return s, fmt.Errorf("ask server for its facts: %w", err)
	}
	s.Version = Version(version)
	var preload string
	try(`SELECT system_identifier::text FROM pg_catalog.pg_control_system()`, &s.SystemIdentifier)
	try(`SELECT current_setting('data_directory')`, &s.DataDirectory)
	try(`SELECT current_setting('shared_preload_libraries')`, &preload)
	for lib := range strings.SplitSeq(preload, ",") {
		if lib = strings.Trim(strings.TrimSpace(lib), `"`); lib != "" {
			s.Preload = append(s.Preload, lib)
		}
	}
	return s, nil
}

// ErrPooled means that a pooler hands each transaction to another backend:
// settings and snapshots of such a session are not its own.
var ErrPooled = errors.New("the connection goes through a pooler in transaction mode")

// RefusePooler returns ErrPooled when e leads through a transaction-pooling
// pgbouncer or its like. Direct connections cost nothing: the backend's pid is
// the one that the server announced at login. Behind a pooler it is not, and
// then a second session decides: if it can be given the first one's backend
// while the first is still open, or moves the first to another, sessions are
// not kept apart. A pooler that deals its idle backends out in turn needs as
// many tries as it has of them. A session-pooling one passes.
func RefusePooler(ctx context.Context, e *Endpoint, conn *pgx.Conn) error {
	first, err := backendPID(ctx, conn)
	if err != nil {
		return err
	}
	if first == conn.PgConn().PID() {
		return nil
	}
	other, err := e.Connect(ctx)
	if err != nil {
		return err
	}
	defer other.Close(context.WithoutCancel(ctx))
	for range poolerTries {
		apart, err := keptApart(ctx, first, conn, other)
		if err != nil {
			return fmt.Errorf("probe for a pooler: %w", err)
		}
		if !apart {
			return ErrPooled
		}
	}
	return nil
}

// poolerTries is more than the backends of a pool by pgbouncer's default (20).
const poolerTries = 25

func keptApart(ctx context.Context, first uint32, conn, other *pgx.Conn) (bool, error) {
	tx, err := other.Begin(ctx) // holds whichever backend it was given
	if err != nil {
		var server *pgconn.PgError
		if errors.As(err, &server) && server.Code == "08P01" { // statement pooling allows no transaction
			return false, nil
		}
		return false, err
	}
	defer tx.Rollback(context.WithoutCancel(ctx))
	second, err := backendPID(ctx, other)
	if err != nil {
		return false, err
	}
	again, err := backendPID(ctx, conn)
	if err != nil {
		return false, err
	}
	return second != first && again == first, nil
}

func backendPID(ctx context.Context, conn *pgx.Conn) (uint32, error) {
	var pid uint32
	if err := conn.QueryRow(ctx, `SELECT pg_backend_pid()`).Scan(&pid); err != nil {
		return 0, fmt.Errorf("ask for the backend's pid: %w", err)
	}
	return pid, nil
}
