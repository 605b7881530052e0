package insight

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/bmad-forge/forgectl/pkg/postgres"
)

// foreignKey is a row: a constraint whose columns have no index.
type foreignKey struct {
	Schema, Table string // quoted, as Refers and Quoted are
	Bare, Name    string
	Refers        string
	Columns       []string
	Quoted        []string
	Bytes         int64
}

// An index serves a foreign key when its first columns are those of the key, in
// any order, and it holds every row.
const foreignKeysQuery = `
SELECT pg_catalog.quote_ident(n.nspname), pg_catalog.format('%I.%I', n.nspname, c.relname), c.relname, k.conname, pg_catalog.format('%I.%I', rn.nspname, r.relname),
	(SELECT array_agg(a.attname::text ORDER BY p.n) FROM pg_catalog.unnest(k.conkey) WITH ORDINALITY p(attnum, n)
		JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = p.attnum),
	(SELECT array_agg(pg_catalog.quote_ident(a.attname) ORDER BY p.n) FROM pg_catalog.unnest(k.conkey) WITH ORDINALITY p(attnum, n)
		JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = p.attnum),
	c.relpages * current_setting('block_size')::bigint
FROM pg_catalog.pg_constraint k
JOIN pg_catalog.pg_class c ON c.oid = k.conrelid AND c.relkind = 'r'
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_class r ON r.oid = k.confrelid
JOIN pg_catalog.pg_namespace rn ON rn.oid = r.relnamespace
WHERE k.contype = 'f' AND (c.reltuples < 0 OR c.reltuples >= $1)
	AND NOT EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisvalid AND i.indpred IS NULL
		AND i.indnkeyatts >= cardinality(k.conkey)
		AND (SELECT array_agg(i.indkey[q] ORDER BY i.indkey[q]) FROM pg_catalog.generate_series(0, cardinality(k.conkey) - 1) q)
			= (SELECT array_agg(q ORDER BY q) FROM pg_catalog.unnest(k.conkey) q))
	AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY c.relpages DESC, 1, 2, 3`

// missing suggests indexes.
func (s *Session) missing(ctx context.Context, tx pgx.Tx, list []index, l IndexLimits) ([]IndexFinding, error) {
	keys, err := collect[foreignKey](ctx, tx, "foreign keys", foreignKeysQuery, l.Rows)
	if err != nil {
		return nil, err
	}
	taken, proposed := map[string]bool{}, map[string]bool{}
	for _, x := range list {
		taken[x.Name] = true
	}
	var found []IndexFinding
	for _, k := range keys {
		sql := fmt.Sprintf("ON %s (%s);", k.Table, strings.Join(k.Quoted, ", "))
		if proposed[sql] {
			continue // two keys over the same columns
		}
		name := freeName(k.Schema, k.Bare+"_"+strings.Join(k.Columns, "_"), taken)
		index := k.Schema + "." + name
		taken[index], proposed[sql] = true, true
		found = append(found, IndexFinding{
			Kind: Missing, Index: index, Table: k.Table, Bytes: max(k.Bytes, 0),
			Why: fmt.Sprintf("foreign key %s: each row that is deleted from %s reads this table whole", k.Name, k.Refers),
			SQL: "CREATE INDEX CONCURRENTLY " + name + " " + sql, Back: "DROP INDEX CONCURRENTLY " + index + ";",
		})
	}
	tables, err := s.scannedTables(ctx, tx, l.Rows, taken, proposed)
	return append(found, tables...), err
}

var plainName = regexp.MustCompile(`^[a-z_][a-z0-9_]*$`)

// freeName is a name that no index has, quoted where SQL wants it. No keyword ends
// like that.
func freeName(schema, base string, taken map[string]bool) string {
	for n := 0; ; n++ {
		suffix := "_idx"
		if n > 0 {
			suffix = fmt.Sprintf("_idx%d", n)
		}
		name := postgres.CutName(base, suffix)
		if !plainName.MatchString(name) {
			name = postgres.QuoteIdent(name)
		}
		if !taken[schema+"."+name] {
			return name
		}
	}
}
