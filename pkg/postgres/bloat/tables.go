package bloat

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Table is a table, a partition, or a materialized view. A partitioned table
// itself has no space.
type Table struct {
	OID    uint32 `json:"oid"`
	Schema string `json:"schema"`
	Name   string `json:"name"`
	Rows   int64  `json:"rows"` // as the server estimates them; -1: it does not
	Heap   Space  `json:"heap"`
	Toast  Space  `json:"toast"` // zero without one
}

// Tables lists the space of tables, largest first. It fails as a whole: errors of
// the server are returned as they are.
func Tables(ctx context.Context, conn Conn, f Filter) ([]Table, error) {
	reader, err := find(ctx, conn, "pgstattuple", "pgstattuple")
	if err != nil {
		return nil, err
	}
	rows, err := conn.Query(ctx, tablesQuery, f.oids())
	if err != nil {
		return nil, fmt.Errorf("estimate the space of tables: %w", err)
	}
	facts, err := pgx.CollectRows(rows, pgx.RowToStructByPos[tableFacts])
	if err != nil {
		return nil, fmt.Errorf("estimate the space of tables: %w", err)
	}
	tables := make([]Table, len(facts))
	for i, fact := range facts {
		t := Table{OID: fact.OID, Schema: fact.Schema, Name: fact.Name, Rows: fact.Rows, Heap: f.explain(fact.heap(), reader), Toast: f.explain(fact.toast(), reader)}
		if f.exactly(reader, t.Heap.Bytes) && !fact.Locked {
			if t.Heap, err = exactHeap(ctx, conn, reader.schema, fact.OID, t.Heap); err != nil {
				return nil, err
			}
		}
		if f.exactly(reader, t.Toast.Bytes) && !fact.Locked {
			if t.Toast, err = exactHeap(ctx, conn, reader.schema, fact.ToastOID, t.Toast); err != nil {
				return nil, err
			}
		}
		tables[i] = t
	}
	return tables, nil
}

// tableFacts is a row of tablesQuery.
type tableFacts struct {
	OID          uint32
	Schema, Name string
	Rows         int64
	Bytes        int64
	Fill         float64 // share of a page that is filled
	Columns      int     // of the table
	Known        int     // of them with statistics
	Readable     bool
	Width        float64 // of a row's values
	Nulls        bool
	Locked       bool

	ToastOID   uint32
	ToastRows  int64
	ToastBytes int64
}

// Rows are those of the statistics while these run, which see a DELETE at once;
// after a reset, and on a standby, those of the last VACUUM or ANALYZE.
const tablesQuery = `
WITH exclusive AS MATERIALIZED (
	SELECT DISTINCT l.relation FROM pg_catalog.pg_locks l WHERE l.mode = 'AccessExclusiveLock' AND l.locktype = 'relation'
		AND l.pid <> pg_catalog.pg_backend_pid()
		AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = current_database())
), widths AS MATERIALIZED (
	SELECT s.schemaname, s.tablename, count(*)::int AS known,
		sum((1 - s.null_frac) * s.avg_width)::float8 AS width, bool_or(s.null_frac > 0) AS nulls
	FROM pg_catalog.pg_stats s WHERE NOT s.inherited GROUP BY 1, 2
), block AS (SELECT current_setting('block_size')::bigint AS size)
SELECT c.oid, n.nspname, c.relname,
	CASE WHEN s.last_vacuum IS NULL AND s.last_autovacuum IS NULL AND s.last_analyze IS NULL AND s.last_autoanalyze IS NULL
		THEN CASE WHEN c.relpages = 0 AND c.reltuples = 0 THEN -1 ELSE c.reltuples::bigint END ELSE s.n_live_tup END,
	CASE WHEN x.relation IS NULL THEN coalesce(pg_catalog.pg_relation_size(c.oid), 0) ELSE c.relpages * block.size END,
	coalesce((SELECT option_value::float8 FROM pg_catalog.pg_options_to_table(c.reloptions) WHERE option_name = 'fillfactor'), 100) / 100,
	(SELECT count(*)::int FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
	coalesce(w.known, 0), pg_catalog.has_table_privilege(c.oid, 'SELECT') OR pg_catalog.has_any_column_privilege(c.oid, 'SELECT'),
	coalesce(w.width, 0), coalesce(w.nulls, false), x.relation IS NOT NULL,
	coalesce(t.oid, 0), coalesce(t.reltuples, 0)::bigint,
	CASE WHEN t.oid IS NULL THEN 0 WHEN x.relation IS NULL THEN coalesce(pg_catalog.pg_relation_size(t.oid), 0) ELSE t.relpages * block.size END
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN block
LEFT JOIN pg_catalog.pg_stat_all_tables s ON s.relid = c.oid
LEFT JOIN pg_catalog.pg_class t ON t.oid = c.reltoastrelid
LEFT JOIN widths w ON w.schemaname = n.nspname AND w.tablename = c.relname
LEFT JOIN exclusive x ON x.relation = c.oid
WHERE c.relkind IN ('r', 'm') AND ` + ours + `
	AND ($1::bigint[] IS NULL OR c.oid::bigint = ANY ($1))
ORDER BY 5 DESC, 2, 3`

// What a page and a row need besides the values.
const (
	pageBytes    = 8192
	pageHeader   = 24
	linePointer  = 4
	heapHeader   = 24 // 23, aligned
	alignment    = 8
	chunkRow     = 2032 // a whole chunk of TOAST
	chunksByPage = (pageBytes - pageHeader) / (chunkRow + linePointer)
)

func align(n float64) float64 {
	whole := int64(n)
	if float64(whole) < n {
		whole++
	}
	return float64((whole + alignment - 1) / alignment * alignment)
}

func (t tableFacts) heap() Space {
	switch {
	case t.Bytes == 0:
		return Space{How: Estimate}
	case t.Rows < 0:
		return unknown(t.Bytes, whyUnanalyzed)
	case t.Rows == 0:
		return found(t.Bytes, 0, Estimate)
	case t.Known < t.Columns && !t.Readable:
		return unknown(t.Bytes, whyUnreadable)
	case t.Known < t.Columns:
		return unknown(t.Bytes, whyUnanalyzed)
	}
	header := float64(heapHeader)
	if t.Nulls {
		header = align(23 + float64((t.Columns+7)/8))
	}
	// Padding between columns is not known: half of the most that there can be.
	row := header + align(t.Width+float64(t.Columns)) + linePointer
	pages := pagesFor(t.Rows, row, (pageBytes-pageHeader)*t.Fill)
	return found(t.Bytes, pages*pageBytes, Estimate)
}

// pagesFor is how many pages hold so many rows, which are not cut.
func pagesFor(rows int64, row, usable float64) int64 {
	each := max(int64(usable/row), 1)
	if row > usable/20 { // few fit: the remainder counts
		return (rows + each - 1) / each
	}
	return int64(float64(rows)*row/usable) + 1
}

// toast takes every chunk for a whole one: none can be larger.
func (t tableFacts) toast() Space {
	switch {
	case t.ToastBytes == 0:
		return Space{How: Estimate}
	case t.ToastRows < 0:
		return unknown(t.ToastBytes, whyToast)
	}
	needed := (t.ToastRows + chunksByPage - 1) / chunksByPage * pageBytes
	s := found(t.ToastBytes, needed, Estimate)
	s.Why = "at least: as if every chunk were a whole one"
	return s
}

// exactHeap reads all pages of a table.
func exactHeap(ctx context.Context, conn Conn, schema string, oid uint32, s Space) (Space, error) {
	var length, live, count int64
	err := conn.QueryRow(ctx, `SELECT table_len, tuple_len, tuple_count FROM `+schema+`.pgstattuple($1::bigint::oid::regclass)`, int64(oid)).
		Scan(&length, &live, &count)
	if gone(err) {
		return s, nil
	}
	if err != nil {
		return s, fmt.Errorf("read table %d with pgstattuple: %w", oid, err)
	}
	if length == 0 {
		return Space{How: Exact}, nil
	}
	needed := int64(0)
	if count > 0 {
		row := align(float64(live)/float64(count)) + linePointer
		needed = pagesFor(count, row, pageBytes-pageHeader) * pageBytes
	}
	return found(length, needed, Exact), nil
}
