package cutover

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/bmad-forge/forgectl/pkg/postgres"
)

// Live is what stands in the place that another database is to take.
type Live struct {
	Name    string
	OID     uint32
	Owner   string
	Bytes   int64 // -1: this role may not know
	Comment string

	Sessions []Session // who is connected now, grouped by who they are
	// Unendable are sessions that this role may not end: a swap would fail.
	Unendable []Session
	// Prepared are the names of prepared transactions: they belong to no session,
	// and a swap fails as long as there is one.
	Prepared []string
	// Slots and Subscriptions stay with the database under its new name: whoever
	// reads from the slot goes on reading there.
	Slots         []string
	Subscriptions []string
}

// Session is one or more sessions of one kind.
type Session struct {
	Role        string
	Application string
	Client      string // address, or "local"
	Count       int
}

func (s Session) String() string {
	name := s.Application
	if name == "" {
		name = "unnamed program"
	}
	return fmt.Sprintf("%d × %s (role %s, %s)", s.Count, name, s.Role, s.Client)
}

// Inspect looks at a database through another one of the same server; nil when
// it does not exist.
func Inspect(ctx context.Context, admin *postgres.Endpoint, name string) (*Live, error) {
	conn, err := admin.Connect(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	live, err := inspect(ctx, conn, name)
	if err != nil {
		return nil, fmt.Errorf("look at database %s: %w", name, err)
	}
	return live, nil
}

func inspect(ctx context.Context, conn *pgx.Conn, name string) (*Live, error) {
	l := Live{Name: name}
	rows, err := conn.Query(ctx, `SELECT d.oid, pg_get_userbyid(d.datdba)::text, coalesce(shobj_description(d.oid, 'pg_database'), ''),
			CASE WHEN has_database_privilege(d.oid, 'CONNECT') OR pg_has_role('pg_read_all_stats', 'USAGE') THEN coalesce(pg_database_size(d.oid), -1) ELSE -1 END
		FROM pg_catalog.pg_database d WHERE d.datname = $1`, name)
	if err != nil {
		return nil, err
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (bool, error) {
		return true, row.Scan(&l.OID, &l.Owner, &l.Comment, &l.Bytes)
	})
	if err != nil || len(found) == 0 {
		return nil, err
	}
	if l.Sessions, err = sessions(ctx, conn, l.OID, "true"); err != nil {
		return nil, err
	}
	// As pg_terminate_backend has it: nobody but a superuser ends one's sessions;
	// those of others need membership, in their role or in pg_signal_backend.
	const unendable = `NOT (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user)
		AND (r.rolsuper OR NOT (pg_has_role(a.usesysid, 'USAGE') OR pg_has_role('pg_signal_backend', 'USAGE')))`
	if l.Unendable, err = sessions(ctx, conn, l.OID, unendable); err != nil {
		return nil, err
	}
	for _, list := range []struct {
		into *[]string
		sql  string
	}{
		{&l.Prepared, `SELECT gid FROM pg_catalog.pg_prepared_xacts WHERE database = $1 ORDER BY 1`},
		{&l.Slots, `SELECT slot_name::text FROM pg_catalog.pg_replication_slots WHERE database = $1 ORDER BY 1`},
		{&l.Subscriptions, `SELECT s.subname::text FROM pg_catalog.pg_subscription s JOIN pg_catalog.pg_database d ON d.oid = s.subdbid WHERE d.datname = $1 ORDER BY 1`},
	} {
		rows, err := conn.Query(ctx, list.sql, name)
		if err == nil {
			*list.into, err = pgx.CollectRows(rows, pgx.RowTo[string])
		}
		if err != nil {
			return nil, err
		}
	}
	return &l, nil
}

func sessions(ctx context.Context, conn *pgx.Conn, database uint32, condition string) ([]Session, error) {
	rows, err := conn.Query(ctx, `SELECT coalesce(a.usename, '?')::text, coalesce(a.application_name, ''), coalesce(host(a.client_addr), 'local'), count(*)
		FROM pg_catalog.pg_stat_activity a LEFT JOIN pg_catalog.pg_roles r ON r.oid = a.usesysid
		WHERE a.datid = $1 AND a.usesysid IS NOT NULL AND a.pid <> pg_backend_pid() AND `+condition+`
		GROUP BY 1, 2, 3 ORDER BY 4 DESC, 1, 2, 3`, database)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[Session])
}
