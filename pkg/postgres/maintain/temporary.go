package maintain

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// temporarySQL lists temporary tables that are at least $1 transactions old. The
// number in the name of their schema is that of the session that made them; %s is
// how its process is found.
const temporarySQL = `
SELECT c.oid, n.nspname::text, c.relname::text, pg_catalog.pg_get_userbyid(c.relowner)::text, a.age, p.pid,
	coalesce(s.usename::text, ''), coalesce(s.application_name, '')
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_class t ON t.oid = c.reltoastrelid
CROSS JOIN LATERAL (SELECT greatest(pg_catalog.age(c.relfrozenxid), CASE WHEN t.relfrozenxid <> '0' THEN pg_catalog.age(t.relfrozenxid) END)::bigint AS age) a
CROSS JOIN LATERAL (SELECT %s AS pid) p
LEFT JOIN pg_catalog.pg_stat_activity s ON s.pid = p.pid
WHERE c.relkind = 'r' AND c.relpersistence = 't' AND c.relfrozenxid <> '0' AND a.age >= $1
ORDER BY a.age DESC, 2, 3`

// sessionOfSchema is null before 16, where no function knows a session by that number.
const sessionOfSchema = `(SELECT pg_catalog.pg_stat_get_backend_pid(id) FROM pg_catalog.pg_stat_get_backend_idset() id
	WHERE n.nspname = 'pg_temp_' || id LIMIT 1)`

// readTemporary finds the temporary tables of other sessions that hold the age of
// the database: nobody else can vacuum them, and no freezing gets past them.
func readTemporary(ctx context.Context, conn *pgx.Conn, o Options, ages Ages) ([]Left, error) {
	if o.Action != Vacuum && o.Action != Full || len(o.Schemas) > 0 || len(o.Tables) > 0 {
		return nil, nil
	}
	limit := o.Need.XIDAge
	if limit <= 0 {
		limit = ages.Max / 2
	}
	session := "NULL::int"
	if o.major >= 16 {
		session = sessionOfSchema
	}
	rows, err := conn.Query(ctx, fmt.Sprintf(temporarySQL, session), limit)
	if err != nil {
		return nil, fmt.Errorf("look for temporary tables: %w", err)
	}
	left, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Left, error) {
		t := Table{Kind: 'r'}
		var pid *int32
		var user, application string
		err := row.Scan(&t.OID, &t.Schema, &t.Table, &t.Owner, &t.XIDAge, &pid, &user, &application)
		l := Left{Table: t, Remedy: "end the session that made it"}
		whose := "a session of " + t.Owner
		if pid != nil {
			whose = person(int(*pid), user, application, "")
			l.Remedy = fmt.Sprintf("SELECT pg_terminate_backend(%d);", *pid)
		}
		l.Why = fmt.Sprintf("it is a temporary table of %s, which alone can vacuum it; its oldest row is %s transactions old, and the database no younger", whose, count(t.XIDAge))
		return l, err
	})
	if err != nil {
		return nil, fmt.Errorf("look for temporary tables: %w", err)
	}
	return left, nil
}
