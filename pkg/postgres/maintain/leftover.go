package maintain

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/bmad-forge/forgectl/pkg/postgres"
)

// Leftover is an invalid index that a REINDEX CONCURRENTLY left when it died. It
// serves no query, and every write pays for it.
type Leftover struct {
	OID           uint32
	Schema, Index string
	Of            string // the table that it belongs to
	Bytes         int64

	table    uint32 // whose index it is: that table, or its TOAST table
	building bool   // somebody is at it
}

// SQL is the statement that removes it.
func (l Leftover) SQL() string {
	return "DROP INDEX CONCURRENTLY IF EXISTS " + postgres.QuoteIdent(l.Schema, l.Index)
}

// leftoversSQL finds invalid indexes by the names that the server gives them.
// Whoever builds one holds a lock on its table from beginning to end, which
// everybody can see, as opposed to pg_stat_progress_create_index.
const leftoversSQL = `
SELECT i.indexrelid, n.nspname::text, c.relname::text, i.indrelid,
	CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_locks l WHERE l.relation = i.indexrelid AND l.mode = 'AccessExclusiveLock') THEN 0
		ELSE pg_catalog.pg_relation_size(i.indexrelid) END,
	EXISTS (SELECT FROM pg_catalog.pg_locks l
		WHERE l.locktype = 'relation' AND l.relation = i.indrelid AND l.granted AND l.mode = 'ShareUpdateExclusiveLock'
		AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
		AND l.pid <> pg_catalog.pg_backend_pid())
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE NOT i.indisvalid AND c.relkind = 'i' AND c.relname ~ '_cc(new|old)[0-9]*$'
ORDER BY 2, 3`

// readLeftovers finds all of the database, also those that somebody is building.
func readLeftovers(ctx context.Context, conn *pgx.Conn) ([]Leftover, error) {
	rows, err := conn.Query(ctx, leftoversSQL)
	if err != nil {
		return nil, fmt.Errorf("look for invalid indexes: %w", err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (l Leftover, err error) {
		err = row.Scan(&l.OID, &l.Schema, &l.Index, &l.table, &l.Bytes, &l.building)
		return l, err
	})
	if err != nil {
		return nil, fmt.Errorf("look for invalid indexes: %w", err)
	}
	return all, nil
}

// leftoversOf are those that tables of the scope have, and that nobody is building.
func leftoversOf(all []Leftover, scope scope, tables []Table) (found []Leftover) {
	if len(all) == 0 {
		return nil
	}
	owners := map[uint32]Table{}
	for _, t := range tables {
		if scope.has(t) {
			owners[t.OID] = t
			if t.TOASTTable != 0 {
				owners[t.TOASTTable] = t
			}
		}
	}
	for _, l := range all {
		if t, ok := owners[l.table]; ok && !l.building {
			l.Of = t.Name()
			found = append(found, l)
		}
	}
	return found
}

// dropLeftovers removes what it can, and returns what remains and why. It waits
// for older transactions no longer than the session waits for locks.
func dropLeftovers(ctx context.Context, s *session, all []Leftover) (remain []Leftover, err error) {
	var errs []error
	for _, l := range all {
		if _, err := s.run(ctx, l.SQL()); err != nil {
			remain = append(remain, l)
			errs = append(errs, err)
		}
	}
	return remain, errors.Join(errs...)
}
