package maintain

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/bmad-forge/forgectl/pkg/postgres"
)

// Table is a table, a materialized view or a partitioned table, as the catalog
// and the statistics have it.
type Table struct {
	OID           uint32
	Schema, Table string
	Kind          byte   // pg_class.relkind: r, m, p, f
	Root          uint32 // of a partition: the topmost partitioned table; else 0
	Owner         string
	System        bool // of the catalog
	Shared        bool // of all databases

	Heap, TOAST, Indexes int64 // bytes on disk
	IndexCount           int
	TOASTTable           uint32
	Tablespace           string // path; "": that of the data directory

	Live, Dead           int64 // rows, by the statistics
	TOASTLive, TOASTDead int64
	Modified             int64 // rows since the last ANALYZE
	XIDAge, MXIDAge      int64 // of the oldest row, TOAST included
	Vacuumed, Analyzed   time.Time

	mayVacuum, mayReindex bool
}

// Name is the name for people and for SQL where no quoting is needed.
func (t Table) Name() string { return t.Schema + "." + t.Table }

// SQL is the name for the server.
func (t Table) SQL() string { return postgres.QuoteIdent(t.Schema, t.Table) }

// Bytes is all that the table has on disk.
func (t Table) Bytes() int64 { return t.Heap + t.TOAST + t.Indexes }

// DeadRatio is the share of dead rows.
func (t Table) DeadRatio() float64 {
	if t.Dead <= 0 {
		return 0
	}
	return float64(t.Dead) / float64(t.Dead+max(t.Live, 0))
}

// tablesSQL lists the tables of the database. Asking for the size of a relation
// takes a lock on it: where somebody holds, or waits for, one that excludes this,
// the pages that the last VACUUM counted have to do ($1: everywhere). It also makes
// the server look at a file: $2 are the tables that are wanted, null is all.
// %s: whether the role may maintain a table by a privilege of its own.
const tablesSQL = `
WITH taken AS MATERIALIZED (
	SELECT DISTINCT relation FROM pg_catalog.pg_locks
	WHERE locktype = 'relation' AND mode = 'AccessExclusiveLock' AND pid <> pg_catalog.pg_backend_pid()
		AND database IN (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()))
), me AS MATERIALIZED (
	SELECT pg_catalog.pg_has_role(datdba, 'USAGE') AS owner, pg_catalog.current_setting('block_size')::bigint AS block
	FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()
), wanted AS MATERIALIZED (
	SELECT oid FROM pg_catalog.pg_class WHERE oid = ANY ($2::bigint[]::oid[])
	UNION SELECT reltoastrelid FROM pg_catalog.pg_class WHERE oid = ANY ($2::bigint[]::oid[])
), sized AS (
	SELECT c.oid, CASE WHEN $1 OR c.oid IN (SELECT relation FROM taken) THEN c.relpages * (SELECT block FROM me)
		ELSE pg_catalog.pg_relation_size(c.oid) END AS bytes
	FROM pg_catalog.pg_class c WHERE c.relkind IN ('r', 'm', 't', 'i') AND c.relpersistence <> 't'
		AND ($2::bigint[] IS NULL OR c.oid IN (SELECT oid FROM wanted)
			OR c.oid IN (SELECT x.indexrelid FROM pg_catalog.pg_index x JOIN wanted ON wanted.oid = x.indrelid))
), indexed AS (
	SELECT i.indrelid, sum(s.bytes)::bigint AS bytes, count(*) AS count
	FROM pg_catalog.pg_index i JOIN sized s ON s.oid = i.indexrelid GROUP BY i.indrelid
)
SELECT c.oid, n.nspname::text, c.relname::text, c.relkind::text,
	CASE WHEN c.relispartition THEN coalesce(pg_catalog.pg_partition_root(c.oid)::oid, 0) ELSE 0 END,
	pg_catalog.pg_get_userbyid(c.relowner)::text,
	n.nspname IN ('pg_catalog', 'information_schema'), c.relisshared,
	coalesce(s.bytes, 0), coalesce(ts.bytes, 0) , coalesce(i.bytes, 0) + coalesce(ti.bytes, 0), coalesce(i.count, 0),
	c.reltoastrelid, coalesce(nullif(pg_catalog.pg_tablespace_location(c.reltablespace), ''), ''),
	coalesce(pg_catalog.pg_stat_get_live_tuples(c.oid), 0), coalesce(pg_catalog.pg_stat_get_dead_tuples(c.oid), 0),
	coalesce(pg_catalog.pg_stat_get_live_tuples(t.oid), 0), coalesce(pg_catalog.pg_stat_get_dead_tuples(t.oid), 0),
	coalesce(pg_catalog.pg_stat_get_mod_since_analyze(c.oid), 0),
	greatest(CASE WHEN c.relfrozenxid <> '0' THEN pg_catalog.age(c.relfrozenxid) ELSE 0 END,
		CASE WHEN t.relfrozenxid <> '0' THEN pg_catalog.age(t.relfrozenxid) ELSE 0 END)::bigint,
	greatest(CASE WHEN c.relminmxid <> '0' THEN pg_catalog.mxid_age(c.relminmxid) ELSE 0 END,
		CASE WHEN t.relminmxid <> '0' THEN pg_catalog.mxid_age(t.relminmxid) ELSE 0 END)::bigint,
	greatest(pg_catalog.pg_stat_get_last_vacuum_time(c.oid), pg_catalog.pg_stat_get_last_autovacuum_time(c.oid)),
	greatest(pg_catalog.pg_stat_get_last_analyze_time(c.oid), pg_catalog.pg_stat_get_last_autoanalyze_time(c.oid)),
	pg_catalog.pg_has_role(c.relowner, 'USAGE') OR (SELECT owner FROM me) AND NOT c.relisshared OR %[1]s,
	pg_catalog.pg_has_role(c.relowner, 'USAGE') OR %[1]s
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_class t ON t.oid = c.reltoastrelid
LEFT JOIN sized s ON s.oid = c.oid
LEFT JOIN sized ts ON ts.oid = t.oid
LEFT JOIN indexed i ON i.indrelid = c.oid
LEFT JOIN indexed ti ON ti.indrelid = t.oid
WHERE c.relkind IN ('r', 'm', 'p', 'f') AND c.relpersistence <> 't'
	AND ($2::bigint[] IS NULL OR c.oid = ANY ($2::bigint[]::oid[]))`

// readTables lists the tables of the database of conn; only those of a list that is
// not nil.
func readTables(ctx context.Context, conn *pgx.Conn, v postgres.Version, only []int64) ([]Table, error) {
	privilege := "false"
	if v.Major() >= 17 {
		privilege = "pg_catalog.has_table_privilege(c.oid, 'MAINTAIN')"
	}
	sql := fmt.Sprintf(tablesSQL, privilege)
	tables, err := queryTables(ctx, conn, sql, false, only)
	if code(err) == lockNotAvailable { // somebody was quicker than the look at pg_locks
		tables, err = queryTables(ctx, conn, sql, true, only)
	}
	if err != nil {
		return nil, fmt.Errorf("list tables: %w", err)
	}
	return tables, nil
}

func queryTables(ctx context.Context, conn *pgx.Conn, sql string, counted bool, only []int64) ([]Table, error) {
	rows, err := conn.Query(ctx, sql, counted, only)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (Table, error) {
		var t Table
		var kind string
		var vacuumed, analyzed *time.Time
		err := row.Scan(&t.OID, &t.Schema, &t.Table, &kind, &t.Root, &t.Owner, &t.System, &t.Shared,
			&t.Heap, &t.TOAST, &t.Indexes, &t.IndexCount, &t.TOASTTable, &t.Tablespace,
			&t.Live, &t.Dead, &t.TOASTLive, &t.TOASTDead, &t.Modified, &t.XIDAge, &t.MXIDAge, &vacuumed, &analyzed,
			&t.mayVacuum, &t.mayReindex)
		if err == nil {
			t.Kind = kind[0]
			t.Vacuumed, t.Analyzed = when(vacuumed), when(analyzed)
		}
		return t, err
	})
}

func when(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}

// Ages are those of the oldest transactions that the database may still hold.
type Ages struct {
	XID  int64 `json:"xid"`
	MXID int64 `json:"multixact"`
	Max  int64 `json:"autovacuum_freeze_max_age"` // at which autovacuum steps in by force
}

func readDatabase(ctx context.Context, conn *pgx.Conn) (oid uint32, a Ages, err error) {
	err = conn.QueryRow(ctx, `SELECT oid, pg_catalog.age(datfrozenxid), pg_catalog.mxid_age(datminmxid),
		pg_catalog.current_setting('autovacuum_freeze_max_age')::bigint
		FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()`).Scan(&oid, &a.XID, &a.MXID, &a.Max)
	if err != nil {
		return 0, a, fmt.Errorf("ask for the age of the database: %w", err)
	}
	return oid, a, nil
}

// SQLSTATEs that decide something.
const (
	lockNotAvailable = "55P03"
	undefinedTable   = "42P01"
	undefinedObject  = "42704"
	queryCanceled    = "57014"
)

// code is the SQLSTATE of an error of the server, or "".
func code(err error) string {
	var server *pgconn.PgError
	if errors.As(err, &server) {
		return server.Code
	}
	return ""
}
