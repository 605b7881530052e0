package insight

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/bmad-forge/forgectl/pkg/postgres"
)

// scanned is a row: a table that is often read whole.
type scanned struct {
	Schema, Bare string // as they are
	In           string // the schema, quoted
	Table        string // quoted, as Quoted is
	Scans, Read  int64
	Bytes        int64
	Columns      []string // that an index would tell rows apart by, and none does
	Quoted       []string
}

const scannedQuery = `
SELECT s.schemaname, s.relname, pg_catalog.quote_ident(s.schemaname), pg_catalog.format('%I.%I', s.schemaname, s.relname), s.seq_scan, s.seq_tup_read,
	c.relpages * current_setting('block_size')::bigint, k.columns, k.quoted
FROM pg_catalog.pg_stat_user_tables s JOIN pg_catalog.pg_class c ON c.oid = s.relid
CROSS JOIN LATERAL (
	SELECT coalesce(array_agg(a.attname::text ORDER BY a.attnum), '{}') AS columns, coalesce(array_agg(pg_catalog.quote_ident(a.attname) ORDER BY a.attnum), '{}') AS quoted
	FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_stats d ON d.schemaname = s.schemaname AND d.tablename = s.relname AND d.attname = a.attname AND NOT d.inherited
	WHERE a.attrelid = c.oid AND a.attnum > 0 AND (d.n_distinct >= 100 OR d.n_distinct < 0 AND -d.n_distinct * c.reltuples >= 100)
		AND NOT EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisvalid AND i.indpred IS NULL AND i.indkey[0] = a.attnum)
) k
WHERE c.relkind = 'r' AND c.reltuples >= greatest($1::bigint, 10000) AND s.seq_scan >= 100 AND s.seq_scan > coalesce(s.idx_scan, 0)
	AND s.seq_tup_read / s.seq_scan >= c.reltuples / 2
ORDER BY s.seq_tup_read DESC, 4`

// scannedTables suggests an index where the statements of the server tell by which
// column a table is searched, else the statement to look with.
func (s *Session) scannedTables(ctx context.Context, tx pgx.Tx, rows int64, taken, proposed map[string]bool) ([]IndexFinding, error) {
	tables, err := collect[scanned](ctx, tx, "sequential scans", scannedQuery, rows)
	if err != nil || len(tables) == 0 {
		return nil, err
	}
	v, statements := s.statementsIfAny(ctx, tx)
	var found []IndexFinding
	for _, t := range tables {
		f := IndexFinding{Kind: Scanned, Table: t.Table, Bytes: t.Bytes, Why: fmt.Sprintf("read whole %d times, about %d rows each", t.Scans, t.Read/t.Scans)}
		column, cost := t.searchedBy(statements)
		sql := ""
		if column >= 0 {
			sql = fmt.Sprintf("ON %s (%s);", t.Table, t.Quoted[column])
		}
		switch {
		case column >= 0 && !proposed[sql]:
			name := freeName(t.In, t.Bare+"_"+t.Columns[column], taken)
			f.Index = t.In + "." + name
			taken[f.Index] = true
			f.Why += fmt.Sprintf("; statements that search it by %s took %d ms in all", t.Columns[column], int64(cost))
			f.SQL, f.Back = "CREATE INDEX CONCURRENTLY "+name+" "+sql, "DROP INDEX CONCURRENTLY "+f.Index+";"
		case v != nil:
			f.Why += ": an index on what those queries search may help"
			f.SQL = fmt.Sprintf("SELECT calls, rows, query FROM %s.pg_stat_statements WHERE strpos(query, %s) > 0 ORDER BY %s DESC LIMIT 10;",
				v.schema, postgres.QuoteLiteral(t.Bare), v.choose("total_exec_time", "total_time"))
			f.Back = "-- nothing to take back: it only reads"
		default:
			f.Why += ": an index on what those queries search may help; with the extension pg_stat_statements, forgectl db slow shows them"
		}
		found = append(found, f)
	}
	return found, nil
}

// statementsIfAny reads pg_stat_statements where that is possible. The transaction
// survives where it is not.
func (s *Session) statementsIfAny(ctx context.Context, tx pgx.Tx) (*view, []Statement) {
	inner, err := tx.Begin(ctx)
	if err != nil {
		return nil, nil
	}
	defer func() { _ = inner.Rollback(context.WithoutCancel(ctx)) }()
	v, err := s.findStatements(ctx, inner)
	if err != nil {
		return nil, nil
	}
	list, err := v.read(ctx, inner)
	if err != nil {
		return nil, nil
	}
	return v, list
}

// searchedBy is the column by whose value the costliest statements search a table,
// and what these took in milliseconds; -1 when no statement tells.
func (t scanned) searchedBy(statements []Statement) (column int, cost float64) {
	column = -1
	named := regexp.MustCompile(`(?i)\b(?:from|join|update|into)\s+(?:only\s+)?(?:` + either(t.Schema) + `\.)?` + either(t.Bare) + `(?:\s+(?:as\s+)?("[^"]+"|\w+))?`)
	for i, name := range t.Columns {
		var sum float64
		for _, st := range statements {
			if m := named.FindStringSubmatch(st.text); m != nil && searches(st.text, t.Bare, m[1], name) {
				sum += st.TotalMS
			}
		}
		if sum > cost {
			column, cost = i, sum
		}
	}
	return column, cost
}

// several are statements over more than one table: there a column without a table
// may be anybody's.
var several = regexp.MustCompile(`(?is)\bjoin\b|\bfrom\b.*\bfrom\b|\bfrom\s+[^\s,]+(?:\s+\w+)?\s*,`)

// searches reports whether a statement compares the column of the table with a
// value.
func searches(sql, table, alias, column string) bool {
	qualifier := `(?:` + either(table) + `|` + either(strings.Trim(alias, `"`)) + `)\.`
	if alias == "" {
		qualifier = either(table) + `\.`
	}
	if !several.MatchString(sql) {
		qualifier = `(?:` + qualifier + `)?`
	}
	return regexp.MustCompile(`(?i)(?:\bwhere|\band|\bor|\()[\s(]*` + qualifier + either(column) + `\s*(?:=|\bin\s*\()\s*[$'\d(]`).MatchString(sql)
}

// either is a name with or without its quotes.
func either(name string) string {
	return `(?:"` + regexp.QuoteMeta(strings.ReplaceAll(name, `"`, `""`)) + `"|\b` + regexp.QuoteMeta(name) + `\b)`
}
