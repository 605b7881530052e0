package filecolumns

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/bmad-forge/forgectl/pkg/postgres"
)

var (
	// ErrName is what is no name of a column.
	ErrName = errors.New("neither table.column nor schema.table.column")
	// ErrNoColumn means that the database has no such column, or none that can hold names.
	ErrNoColumn = errors.New("no such column of text in an ordinary table")
)

// Column is one column. Schema is "public" unless it is given.
type Column struct{ Schema, Table, Name string }

// Parse reads table.column or schema.table.column.
func Parse(s string) (Column, error) {
	parts := strings.Split(s, ".")
	if len(parts) == 2 {
		parts = append([]string{"public"}, parts...)
	}
	if len(parts) != 3 || parts[0] == "" || parts[1] == "" || parts[2] == "" {
		return Column{}, fmt.Errorf("%q: %w", s, ErrName)
	}
	return Column{parts[0], parts[1], parts[2]}, nil
}

// String is what Parse reads, without the schema where that is "public".
func (c Column) String() string {
	if c.Schema == "public" {
		return c.Table + "." + c.Name
	}
	return c.Schema + "." + c.Table + "." + c.Name
}

func (c Column) sql() (table, name string) {
	return postgres.QuoteIdent(c.Schema) + "." + postgres.QuoteIdent(c.Table), postgres.QuoteIdent(c.Name)
}

// readable finds the columns of string types in ordinary tables, partitioned ones included.
const readable = `SELECT n.nspname, c.relname, a.attname
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) a.attrelid
JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
JOIN pg_catalog.pg_type t ON t.oid OPERATOR(pg_catalog.=) a.atttypid
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped
AND t.oid IN ('pg_catalog.text'::pg_catalog.regtype, 'pg_catalog.varchar'::pg_catalog.regtype, 'pg_catalog.bpchar'::pg_catalog.regtype)`

// Read hands every name in the column to found, in no order and as often as it occurs; NULL and "" are none. The error of
// found ends it. A column that is not there, or is not of text in an ordinary table, is ErrNoColumn.
func Read(ctx context.Context, conn *pgx.Conn, c Column, found func(name string) error) error {
	var exists bool
	err := conn.QueryRow(ctx, "SELECT EXISTS ("+readable+" AND n.nspname OPERATOR(pg_catalog.=) $1 AND c.relname OPERATOR(pg_catalog.=) $2 AND a.attname OPERATOR(pg_catalog.=) $3)",
		c.Schema, c.Table, c.Name).Scan(&exists)
	if err == nil && !exists {
		err = ErrNoColumn
	}
	if err == nil {
		table, name := c.sql()
		err = each(ctx, conn, "SELECT "+name+" FROM "+table+" WHERE "+name+" IS NOT NULL", found)
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", c, err)
	}
	return nil
}

func each(ctx context.Context, conn *pgx.Conn, query string, found func(name string) error) error {
	rows, err := conn.Query(ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return err
		}
		if name == "" {
			continue
		}
		if err := found(name); err != nil {
			return err
		}
	}
	return rows.Err()
}
