package bloat

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Index is an index with pages of its own; that of a partitioned table has none.
type Index struct {
	OID      uint32 `json:"oid"`
	Schema   string `json:"schema"`
	Name     string `json:"name"`
	TableOID uint32 `json:"table_oid"`
	Table    string `json:"table"`
	Method   string `json:"method"` // btree, gin, …
	Space    Space  `json:"space"`
}

// Indexes lists the space of indexes, largest first.
func Indexes(ctx context.Context, conn Conn, f Filter) ([]Index, error) {
	reader, err := find(ctx, conn, "pgstattuple", "pgstatindex")
	if err != nil {
		return nil, err
	}
	freemap, err := find(ctx, conn, "pg_freespacemap", "pg_freespace")
	if err != nil {
		return nil, err
	}
	rows, err := conn.Query(ctx, indexesQuery, f.oids())
	if err != nil {
		return nil, fmt.Errorf("estimate the space of indexes: %w", err)
	}
	facts, err := pgx.CollectRows(rows, pgx.RowToStructByPos[indexFacts])
	if err != nil {
		return nil, fmt.Errorf("estimate the space of indexes: %w", err)
	}
	indexes := make([]Index, len(facts))
	for i, fact := range facts {
		x := Index{OID: fact.OID, Schema: fact.Schema, Name: fact.Name, TableOID: fact.TableOID, Table: fact.Table, Method: fact.Method}
		if x.Space, err = fact.space(ctx, conn, f, reader, freemap); err != nil {
			return nil, err
		}
		indexes[i] = x
	}
	return indexes, nil
}

// indexFacts is a row of indexesQuery.
type indexFacts struct {
	OID          uint32
	Schema, Name string
	TableOID     uint32
	Table        string
	Method       string
	Valid        bool
	Locked       bool
	Readable     bool
	Bytes        int64
	Rows         int64
	Fill         float64
	Columns      int // key and included ones
	Known        int // of them with statistics
	Width        float64
	Padding      float64 // at most, for alignment
	Nulls        bool
	Distinct     float64 // the product over the columns; 0: not known
	MayShare     bool    // equal keys may be stored once
}

// An index that was made before its table was filled counts no rows until ANALYZE,
// so a whole one has at least those of its table, and of a table that was never
// analyzed nothing is known (which servers before 14 write as 0 rows in 0 pages).
// The statistics of an expression are kept under the index itself, in the place
// of its column.
const indexesQuery = `
WITH exclusive AS MATERIALIZED (
	SELECT DISTINCT l.relation FROM pg_catalog.pg_locks l WHERE l.mode = 'AccessExclusiveLock' AND l.locktype = 'relation'
		AND l.pid <> pg_catalog.pg_backend_pid()
		AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = current_database())
), stats AS MATERIALIZED (
	SELECT s.schemaname, s.tablename, s.attname, s.null_frac, s.avg_width, s.n_distinct FROM pg_catalog.pg_stats s WHERE NOT s.inherited
), columns AS MATERIALIZED (
	SELECT i.indexrelid, count(*)::int AS columns, count(s.avg_width)::int AS known,
		sum((1 - s.null_frac) * s.avg_width)::float8 AS width,
		sum(CASE ia.attalign WHEN 'd' THEN CASE WHEN ia.attlen > 0 THEN 4 ELSE 1 END WHEN 'i' THEN 1 ELSE 0 END)::float8 AS padding,
		coalesce(bool_or(s.null_frac > 0), false) AS nulls,
		CASE WHEN bool_and(coalesce(s.n_distinct, 0) <> 0)
			THEN exp(sum(ln(CASE WHEN s.n_distinct > 0 THEN s.n_distinct WHEN s.n_distinct < 0 THEN greatest(-s.n_distinct * greatest(c.reltuples, 1), 1) END::float8)))
			ELSE 0 END AS distinct_keys,
		bool_and(ia.atttypid NOT IN ('numeric'::regtype, 'jsonb'::regtype, 'float4'::regtype, 'float8'::regtype)
			AND coalesce(co.collisdeterministic, true)) AS equal
	FROM pg_catalog.pg_index i
	JOIN pg_catalog.pg_class ic ON ic.oid = i.indexrelid AND ic.relkind = 'i'
	JOIN pg_catalog.pg_class c ON c.oid = i.indrelid
	JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
	JOIN pg_catalog.pg_attribute ia ON ia.attrelid = i.indexrelid
	LEFT JOIN pg_catalog.pg_attribute ta ON ta.attrelid = i.indrelid AND ta.attnum = i.indkey[ia.attnum - 1] AND ta.attnum > 0
	LEFT JOIN pg_catalog.pg_collation co ON co.oid = ia.attcollation
	LEFT JOIN stats s ON s.schemaname = n.nspname
		AND s.tablename = CASE WHEN i.indkey[ia.attnum - 1] = 0 THEN ic.relname ELSE c.relname END
		AND s.attname = CASE WHEN i.indkey[ia.attnum - 1] = 0 THEN ia.attname ELSE ta.attname END
	WHERE ` + ours + ` AND ($1::bigint[] IS NULL OR c.oid::bigint = ANY ($1))
	GROUP BY i.indexrelid
), block AS (SELECT current_setting('block_size')::bigint AS size)
SELECT ic.oid, n.nspname, ic.relname, c.oid, c.relname, am.amname, i.indisvalid AND i.indisready, x.relation IS NOT NULL,
	pg_catalog.has_table_privilege(c.oid, 'SELECT'),
	CASE WHEN x.relation IS NULL THEN coalesce(pg_catalog.pg_relation_size(ic.oid), 0) ELSE ic.relpages * block.size END,
	CASE WHEN c.reltuples < 0 OR c.relpages = 0 AND c.reltuples = 0 THEN -1 WHEN i.indpred IS NOT NULL THEN ic.reltuples::bigint
		ELSE greatest(ic.reltuples, c.reltuples)::bigint END,
	coalesce((SELECT option_value::float8 FROM pg_catalog.pg_options_to_table(ic.reloptions) WHERE option_name = 'fillfactor'), 90) / 100,
	k.columns, k.known, coalesce(k.width, 0), coalesce(k.padding, 0), k.nulls, k.distinct_keys,
	k.equal AND i.indnatts = i.indnkeyatts AND NOT i.indisunique AND NOT EXISTS (SELECT FROM pg_catalog.pg_options_to_table(ic.reloptions)
		WHERE option_name = 'deduplicate_items' AND option_value::bool = false)
FROM columns k
JOIN pg_catalog.pg_index i ON i.indexrelid = k.indexrelid
JOIN pg_catalog.pg_class ic ON ic.oid = i.indexrelid
JOIN pg_catalog.pg_am am ON am.oid = ic.relam
JOIN pg_catalog.pg_class c ON c.oid = i.indrelid
JOIN pg_catalog.pg_namespace n ON n.oid = ic.relnamespace
CROSS JOIN block
LEFT JOIN exclusive x ON x.relation = ic.oid
ORDER BY 10 DESC, 2, 3`

func (x indexFacts) space(ctx context.Context, conn Conn, f Filter, reader, freemap extension) (Space, error) {
	switch {
	case x.Bytes == 0:
		return Space{How: Estimate}, nil
	case !x.Valid:
		return unknown(x.Bytes, whyInvalid), nil
	case x.Locked:
		return unknown(x.Bytes, whyLocked), nil
	case x.Method == "btree" && f.exactly(reader, x.Bytes):
		return x.exact(ctx, conn, reader.schema)
	case x.Method == "btree":
		return f.explain(x.estimate(), reader), nil
	case x.Method == "gin" && freemap.usable() != "":
		return x.freePages(ctx, conn, freemap.schema)
	case x.Method == "gin":
		return unknown(x.Bytes, whyGIN), nil
	}
	return unknown(x.Bytes, fmt.Sprintf(whyMethod, x.Method)), nil
}

// What an entry of a btree needs besides the values.
const (
	indexHeader  = 8
	indexNulls   = 8 // the bitmap, aligned
	indexSpecial = 16
	rowPointer   = 6
	postingMost  = pageBytes / 10 // a posting list is cut before it is longer
)

// estimate is for a btree: leaf pages as REINDEX would fill them, the pages above
// them, and the first page.
func (x indexFacts) estimate() Space {
	switch {
	case x.Known < x.Columns && !x.Readable:
		return unknown(x.Bytes, whyUnreadable)
	case x.Rows < 0, x.Known < x.Columns && x.Rows > 0:
		return unknown(x.Bytes, whyUnanalyzed)
	}
	key := float64(indexHeader) + align(x.Width+x.Padding)
	if x.Nulls {
		key += indexNulls
	}
	usable := float64(pageBytes-pageHeader-indexSpecial)*x.Fill - key
	leaves := math.Ceil(x.leafBytes(key) / usable)
	pages := 1 + leaves
	for above := leaves; above > 1; {
		above = math.Ceil(above * (key + linePointer) / (float64(pageBytes-pageHeader-indexSpecial) * 0.7))
		pages += above
	}
	return found(x.Bytes, int64(pages)*pageBytes, Estimate)
}

// leafBytes is the size of all entries. Equal keys are stored once for a list of
// rows; how many there are is known by the product of the columns at most, which
// makes the entries larger and the dead space smaller than they are.
func (x indexFacts) leafBytes(key float64) float64 {
	rows := float64(x.Rows)
	if !x.MayShare || x.Distinct <= 0 || x.Distinct >= rows {
		return rows * (key + linePointer)
	}
	each := rows / x.Distinct // rows of one key
	lists := math.Ceil(each * rowPointer / postingMost)
	return x.Distinct * (lists*(key+linePointer) + each*rowPointer)
}

// exact reads all pages of a btree.
func (x indexFacts) exact(ctx context.Context, conn Conn, schema string) (Space, error) {
	var size, leaves, unused int64
	var density float64
	err := conn.QueryRow(ctx, `SELECT index_size, leaf_pages, empty_pages + deleted_pages,
		CASE WHEN avg_leaf_density = 'NaN' THEN 0 ELSE avg_leaf_density END
		FROM `+schema+`.pgstatindex($1::bigint::oid::regclass)`, int64(x.OID)).Scan(&size, &leaves, &unused, &density)
	if gone(err) {
		return unknown(x.Bytes, "dropped meanwhile"), nil
	}
	if err != nil {
		return Space{}, fmt.Errorf("read index %s with pgstattuple: %w", x.Name, err)
	}
	full := int64(math.Ceil(float64(leaves) * density / 100 / x.Fill))
	return found(size, size-(leaves-min(full, leaves)+unused)*pageBytes, Exact), nil
}

// freePages counts the pages that VACUUM has found to be empty.
func (x indexFacts) freePages(ctx context.Context, conn Conn, schema string) (Space, error) {
	var free int64
	// Page by page: the function for all of them works only with its schema in search_path.
	err := conn.QueryRow(ctx, `SELECT count(*) FROM pg_catalog.generate_series(0, $2::bigint - 1) page
		WHERE `+schema+`.pg_freespace($1::bigint::oid::regclass, page) > 0`, int64(x.OID), x.Bytes/pageBytes).Scan(&free)
	if gone(err) {
		return unknown(x.Bytes, "dropped meanwhile"), nil
	}
	if err != nil {
		return Space{}, fmt.Errorf("read the free space map of index %s: %w", x.Name, err)
	}
	s := found(x.Bytes, x.Bytes-free*pageBytes, FreeMap)
	s.Why = whyLeastGIN
	return s, nil
}

// gone reports whether the relation was dropped since it was listed.
func gone(err error) bool {
	var server *pgconn.PgError
	return errors.As(err, &server) && (server.Code == "42P01" || server.Code == "XX000" && server.Routine == "relation_open")
}
