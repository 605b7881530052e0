package maintain

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/bmad-forge/forgectl/pkg/suggest"
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
			return s, notFound(ctx, conn, "schema", name)
		}
	}
	for _, name := range o.Tables {
		var oid *uint32
		err := conn.QueryRow(ctx, `SELECT c.oid FROM pg_catalog.pg_class c WHERE c.oid = pg_catalog.to_regclass($1) AND c.relkind IN ('r', 'm', 'p', 'f')`, name).Scan(&oid)
		switch {
		case errors.Is(err, pgx.ErrNoRows),
			code(err) != "" && code(err)[:2] == "42": // not a name at all
			return s, notFound(ctx, conn, "table", name)
		case err != nil:
			return s, fmt.Errorf("look for table %s: %w", name, err)
		}
		s.tables = append(s.tables, *oid)
	}
	return s, nil
}

// notFound names what was most likely meant: the same table in a schema that was
// not written, or one with a similar name.
func notFound(ctx context.Context, conn *pgx.Conn, what, name string) error {
	e := &NotFoundError{What: what, Name: name}
	schema, wanted, qualified := strings.Cut(name, ".")
	if !qualified {
		schema, wanted = "", name
	}
	var args []any
	sql := `SELECT pg_catalog.quote_ident(nspname), nspname::text FROM pg_catalog.pg_namespace WHERE nspname !~ '^pg_(toast|temp)' ORDER BY 1`
	if what == "table" {
		sql = `SELECT pg_catalog.format('%I.%I', n.nspname, c.relname), c.relname::text FROM pg_catalog.pg_class c
			JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'm', 'p') AND c.relpersistence <> 't'
			AND n.nspname <> 'pg_toast' ORDER BY n.nspname <> $1, n.nspname IN ('pg_catalog', 'information_schema'), 1`
		args = append(args, strings.Trim(schema, `"`))
	}
	rows, err := conn.Query(ctx, sql, args...)
	if err != nil {
		return e
	}
	var whole, bare []string
	var as [2]string
	if _, err := pgx.ForEachRow(rows, []any{&as[0], &as[1]}, func() error {
		whole, bare = append(whole, as[0]), append(bare, as[1])
		return nil
	}); err != nil {
		return e
	}
	if i := slices.Index(bare, suggest.Nearest(strings.Trim(wanted, `"`), bare)); i >= 0 {
		e.Near = whole[i]
	}
	return e
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
