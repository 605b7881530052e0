package insight

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// view is pg_stat_statements as this server has it.
type view struct {
	schema  string // quoted
	version string
	columns []string
}

// findStatements looks for the extension in this database, whichever its schema,
// and for the library in the server.
func (s *Session) findStatements(ctx context.Context, tx pgx.Tx) (*view, error) {
	var v view
	var preloaded, available, seen bool
	err := tx.QueryRow(ctx, `SELECT coalesce(max(pg_catalog.quote_ident(n.nspname)), ''), coalesce(max(e.extversion), ''),
			EXISTS (SELECT FROM pg_catalog.pg_settings WHERE name = 'pg_stat_statements.max' AND context = 'postmaster'),
			EXISTS (SELECT FROM pg_catalog.pg_available_extensions WHERE name = 'pg_stat_statements'),
			coalesce(bool_or(pg_catalog.has_schema_privilege(n.oid, 'USAGE')), true)
		FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'pg_stat_statements'`).
		Scan(&v.schema, &v.version, &preloaded, &available, &seen)
	if err != nil {
		return nil, fmt.Errorf("look for pg_stat_statements: %w", err)
	}
	const preload = "a superuser runs: ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements' (with what it holds already), then restart PostgreSQL"
	create := "CREATE EXTENSION pg_stat_statements; in the database " + s.o.Endpoint.Database() + ", by a superuser"
	switch {
	case v.schema == "" && !available:
		return nil, &StatementsError{"the server does not have the extension", "apt-get install postgresql-contrib; " + preload + "; then " + create}
	case !preloaded:
		hint := preload
		if v.schema == "" {
			hint += "; then " + create
		}
		return nil, &StatementsError{"the server has not loaded the library", hint}
	case v.schema == "":
		return nil, &StatementsError{"the extension is not in this database", create}
	case !seen:
		return nil, &StatementsError{"the role may not use the schema " + v.schema, "GRANT USAGE ON SCHEMA " + v.schema + " TO the role"}
	}
	type column struct{ Name string }
	columns, err := collect[column](ctx, tx, "columns of pg_stat_statements", `SELECT a.attname FROM pg_catalog.pg_attribute a
		WHERE a.attrelid = (SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
			WHERE c.relname = 'pg_stat_statements' AND pg_catalog.quote_ident(n.nspname) = $1) AND a.attnum > 0 AND NOT a.attisdropped`, v.schema)
	for _, c := range columns {
		v.columns = append(v.columns, c.Name)
	}
	return &v, err
}

// choose is the first of these columns that this version has; "0" without any. The
// extension may be older than its server: what counts is the view itself.
func (v *view) choose(names ...string) string {
	for _, n := range names {
		if slices.Contains(v.columns, n) {
			return n
		}
	}
	return "0"
}

// read returns all statements of this database; those of several roles are one.
func (v *view) read(ctx context.Context, tx pgx.Tx) ([]Statement, error) {
	sum := func(names ...string) string { return "coalesce(sum(" + v.choose(names...) + "), 0)" }
	sql := strings.Join([]string{
		"SELECT coalesce(queryid, 0), coalesce(max(query), '')",
		sum("calls") + "::bigint",
		sum("total_exec_time", "total_time") + "::float8", // until 1.7: total_time
		sum("rows") + "::bigint",
		"(" + sum("temp_blks_read") + " + " + sum("temp_blks_written") + ")::bigint",
		sum("shared_blks_read") + "::bigint",
		sum("shared_blk_read_time", "blk_read_time") + "::float8", // until 1.10: blk_read_time
		sum("wal_bytes") + "::bigint",
	}, ", ") + " FROM " + v.schema + `.pg_stat_statements
		WHERE dbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()) GROUP BY queryid`
	rows, err := tx.Query(ctx, sql)
	if err != nil {
		return nil, fmt.Errorf("read pg_stat_statements: %w", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Statement, error) {
		var st Statement
		err := row.Scan(&st.ID, &st.text, &st.Calls, &st.TotalMS, &st.Rows, &st.Temp, &st.Reads, &st.ReadMS, &st.WAL)
		st.Query = oneLine(st.text)
		return st, err
	})
	if err != nil {
		return nil, fmt.Errorf("read pg_stat_statements: %w", err)
	}
	return list, nil
}

// since is when counting began (from 1.9 on), and says when too little room made
// the server forget statements.
func (v *view) since(ctx context.Context, tx pgx.Tx, h *Head) (*time.Time, error) {
	var has bool
	err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relname = 'pg_stat_statements_info' AND pg_catalog.quote_ident(n.nspname) = $1)`, v.schema).Scan(&has)
	if err != nil || !has {
		return nil, err
	}
	var reset *time.Time
	var forgotten int64
	if err := tx.QueryRow(ctx, "SELECT stats_reset, dealloc FROM "+v.schema+".pg_stat_statements_info").Scan(&reset, &forgotten); err != nil {
		return nil, fmt.Errorf("read pg_stat_statements_info: %w", err)
	}
	if forgotten > 0 {
		h.note("the server forgot statements %d times for lack of room: raise pg_stat_statements.max", forgotten)
	}
	return reset, nil
}
