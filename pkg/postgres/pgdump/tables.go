package pgdump

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Relation is a table that a dump takes, or a partitioned parent of some.
type Relation struct {
	OID         uint32
	Schema      string
	Name        string
	Partitioned bool // no rows of its own
	Unlogged    bool
	Condition   string // WHERE clause of an extension's configuration table
	Bytes       int64  // main fork and TOAST

	filenode  int64
	columns   string
	extension bool // made by CREATE EXTENSION; only rows of it are dumped
}

// HasData reports whether the dump has a TABLE DATA entry for r. A standby has
// no rows of unlogged tables, and pg_dump does not ask for them there.
func (r Relation) HasData(standby bool) bool {
	return !r.Partitioned && !(r.Unlogged && standby)
}

// The same choice as pg_dump's getTables and processExtensionTables: nothing of
// the system, nothing temporary, of an extension only its configuration tables.
// Nothing in it takes a lock on a table: it runs while others hold theirs.
const relationsQuery = `
WITH config AS (
	SELECT u.oid, u.condition
	FROM pg_catalog.pg_extension x, unnest(x.extconfig, x.extcondition) AS u(oid, condition)
	WHERE x.oid >= 16384)
SELECT c.oid, n.nspname, c.relname, c.relkind = 'p', c.relpersistence = 'u', coalesce(config.condition, ''),
	config.oid IS NOT NULL,
	coalesce(pg_catalog.pg_relation_filenode(c.oid)::bigint, 0),
	coalesce((SELECT md5(string_agg(format('%s %s %s %s', a.attnum, a.attname, a.atttypid, a.atttypmod), ',' ORDER BY a.attnum))
		FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped), '')
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN config ON config.oid = c.oid
WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
	AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
	AND (config.oid IS NOT NULL OR NOT EXISTS (
		SELECT FROM pg_catalog.pg_depend d
		WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.objsubid = 0
			AND d.refclassid = 'pg_catalog.pg_extension'::regclass AND d.deptype = 'e'))
ORDER BY n.nspname, c.relname`

func listRelations(ctx context.Context, q querier) ([]Relation, error) {
	rows, err := q.Query(ctx, relationsQuery)
	if err != nil {
		return nil, fmt.Errorf("list tables: %w", err)
	}
	relations, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Relation, error) {
		var r Relation
		err := row.Scan(&r.OID, &r.Schema, &r.Name, &r.Partitioned, &r.Unlogged, &r.Condition, &r.extension, &r.filenode, &r.columns)
		return r, err
	})
	if err != nil {
		return nil, fmt.Errorf("list tables: %w", err)
	}
	return relations, nil
}

// measureSizes fills in Bytes. pg_table_size locks each table for a moment, so
// the caller must hold locks on all.
func measureSizes(ctx context.Context, q querier, relations []Relation) error {
	rows, err := q.Query(ctx, "SELECT oid, coalesce(pg_catalog.pg_table_size(oid), 0) FROM unnest($1::oid[]) oid", relationOIDs(relations))
	if err != nil {
		return fmt.Errorf("measure tables: %w", err)
	}
	sizes := make(map[uint32]int64, len(relations))
	var oid uint32
	var size int64
	if _, err := pgx.ForEachRow(rows, []any{&oid, &size}, func() error { sizes[oid] = size; return nil }); err != nil {
		return fmt.Errorf("measure tables: %w", err)
	}
	for i, r := range relations {
		relations[i].Bytes = sizes[r.OID]
	}
	return nil
}

// querier is what a connection and a transaction have in common.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}
