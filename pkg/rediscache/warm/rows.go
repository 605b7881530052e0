package warm

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/bmad-forge/forgectl/pkg/postgres"
)

// column is one of the query's result. decode is nil where its type is not known.
type column struct {
	name    string
	kind    string // its type, as PostgreSQL calls it
	oid     uint32
	textual bool // a type of no fixed number that is text to Python
	decode  decoder
}

// binary says whether its values are bytes.
func (c column) binary() bool { return c.oid == pgtype.ByteaOID }

// whole says whether its values are whole numbers.
func (c column) whole() bool {
	switch c.oid {
	case pgtype.Int2OID, pgtype.Int4OID, pgtype.Int8OID, pgtype.OIDOID:
		return true
	}
	return false
}

// source is the query's result, read a piece at a time within one snapshot.
type source struct {
	conn    *pgx.Conn
	tx      pgx.Tx
	columns []column
}

// fetch is how many rows come at once.
const fetch = 5000

// session makes the server write each type in one form only, and keeps the query from changing anything.
const session = `SET LOCAL datestyle = 'ISO, MDY'; SET LOCAL intervalstyle = 'postgres'; SET LOCAL timezone = 'UTC';
SET LOCAL bytea_output = 'hex'; SET LOCAL extra_float_digits = 1; SET LOCAL xmlbinary = 'base64'`

// openSource begins the transaction and describes the query. The caller closes it.
func openSource(ctx context.Context, conn *pgx.Conn, query string) (*source, error) {
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return nil, err
	}
	s := &source{conn: conn, tx: tx}
	if err := s.open(ctx, strings.TrimRight(query, "; \n\t")); err != nil {
		s.close(ctx)
		return nil, err
	}
	return s, nil
}

func (s *source) close(ctx context.Context) { _ = s.tx.Rollback(context.WithoutCancel(ctx)) }

func (s *source) open(ctx context.Context, query string) error {
	if _, err := s.conn.PgConn().Exec(ctx, session).ReadAll(); err != nil {
		return err
	}
	// The extended protocol takes one statement only.
	if err := s.conn.PgConn().ExecParams(ctx, "DECLARE forgectl_warm NO SCROLL CURSOR FOR "+query, nil, nil, nil, nil).Read().Err; err != nil {
		return fmt.Errorf("query: %w", err)
	}
	r := s.conn.PgConn().ExecParams(ctx, "FETCH 0 FROM forgectl_warm", nil, nil, nil, nil)
	for r.NextRow() { // there is none: only the description
	}
	fields := slices.Clone(r.FieldDescriptions()) // the next result takes their place
	if _, err := r.Close(); err != nil {
		return err
	}
	return s.describe(ctx, fields)
}

func (s *source) describe(ctx context.Context, fields []pgconn.FieldDescription) error {
	for _, f := range fields {
		var kind string
		var textual bool
		err := s.tx.QueryRow(ctx, `SELECT pg_catalog.format_type(oid, NULL), typtype OPERATOR(pg_catalog.=) 'e' OR typname OPERATOR(pg_catalog.=) 'citext'
FROM pg_catalog.pg_type WHERE oid OPERATOR(pg_catalog.=) $1`, f.DataTypeOID).Scan(&kind, &textual)
		if err != nil {
			return fmt.Errorf("type of column %q: %w", f.Name, err)
		}
		s.columns = append(s.columns, column{f.Name, kind, f.DataTypeOID, textual, decoderOf(f.DataTypeOID, func(uint32) bool { return textual })})
	}
	return nil
}

// count is how many rows there are, in the same snapshot.
func (s *source) count(ctx context.Context, query string) (n int64, err error) {
	err = s.tx.QueryRow(ctx, "SELECT pg_catalog.count(*) FROM ("+strings.TrimRight(query, "; \n\t")+"\n) AS forgectl_warm_rows").Scan(&n)
	return n, err
}

// next hands up to most rows to row, in these formats, and says whether there were any. The values are valid during the
// call.
func (s *source) next(ctx context.Context, most int, formats []int16, row func(values [][]byte) error) (bool, error) {
	r := s.conn.PgConn().ExecParams(ctx, "FETCH "+strconv.Itoa(most)+" FROM forgectl_warm", nil, nil, nil, formats)
	any, failed := false, error(nil)
	for r.NextRow() {
		any = true
		if failed == nil {
			failed = row(r.Values())
		}
	}
	if _, err := r.Close(); err != nil {
		return any, err
	}
	return any, failed
}

// concrete are the columns of a model's table, as Django calls the attributes.
func (s *source) concrete(ctx context.Context, table string) ([]string, error) {
	schema, name, ok := strings.Cut(table, ".")
	quoted := postgres.QuoteIdent(table)
	if ok {
		quoted = postgres.QuoteIdent(schema) + "." + postgres.QuoteIdent(name)
	}
	rows, err := s.tx.Query(ctx, `SELECT attname FROM pg_catalog.pg_attribute
WHERE attrelid OPERATOR(pg_catalog.=) pg_catalog.to_regclass($1) AND attnum OPERATOR(pg_catalog.>) 0 AND NOT attisdropped ORDER BY attnum`, quoted)
	if err != nil {
		return nil, err
	}
	columns, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err == nil && len(columns) == 0 {
		err = fmt.Errorf("%w: there is no table %s", ErrEntry, table)
	}
	return columns, err
}

// complete says whether the query returns every column of the model, and nothing else: what is missing Django would ask
// the database for, one query for each instance.
func (s *source) complete(ctx context.Context, e Entry) error {
	want, err := s.concrete(ctx, e.table())
	if err != nil {
		return err
	}
	var names []string
	for _, c := range s.columns {
		names = append(names, c.name)
		if indexOf(want, c.name) < 0 {
			return fmt.Errorf("%w: the query returns %q, which is no column of %s", ErrEntry, c.name, e.table())
		}
	}
	for _, name := range want {
		if indexOf(names, name) < 0 {
			return fmt.Errorf("%w: the query does not return the column %q of %s, and a model needs all", ErrEntry, name, e.table())
		}
	}
	return nil
}
