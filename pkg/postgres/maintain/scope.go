package maintain

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
)

// scope is what of the database was asked for.
type scope struct {
	schemas []string
	tables  []uint32
}

// readScope looks up what was named. A name that does not exist is an error: it
// must not look as if there were nothing to do.
func readScope(ctx context.Context, conn *pgx.Conn, o Options) (scope, error) {
	s := scope{schemas: o.Schemas}
	for _, name := range o.Schemas {
		var exists bool
		if err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1)`, name).Scan(&exists); err != nil {
			return s, fmt.Errorf("look for schema %s: %w", name, err)
		}
		if !exists {
			return s, fmt.Errorf("schema %s: %w", name, ErrNotFound)
		}
	}
	for _, name := range o.Tables {
		var oid *uint32
		err := conn.QueryRow(ctx, `SELECT c.oid FROM pg_catalog.pg_class c WHERE c.oid = pg_catalog.to_regclass($1) AND c.relkind IN ('r', 'm', 'p', 'f')`, name).Scan(&oid)
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			return s, fmt.Errorf("table %s: %w", name, ErrNotFound)
		case code(err) != "" && code(err)[:2] == "42": // not a name at all
			return s, fmt.Errorf("table %s: %w", name, ErrNotFound)
		case err != nil:
			return s, fmt.Errorf("look for table %s: %w", name, err)
		}
		s.tables = append(s.tables, *oid)
	}
	return s, nil
}

// has reports whether t was asked for.
func (s scope) has(t Table) bool {
	if len(s.tables) > 0 && (slices.Contains(s.tables, t.OID) || t.Root != 0 && slices.Contains(s.tables, t.Root)) {
		return true
	}
	if len(s.schemas) > 0 {
		return slices.Contains(s.schemas, t.Schema)
	}
	return len(s.tables) == 0
}

// named reports whether t was not only meant among all others.
func (s scope) named(t Table) bool { return (len(s.tables) > 0 || len(s.schemas) > 0) && s.has(t) }
