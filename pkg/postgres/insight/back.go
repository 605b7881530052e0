package insight

import (
	"context"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/bmad-forge/forgectl/pkg/postgres"
)

// definition is a row: what makes an index again.
type definition struct {
	OID        uint32
	SQL        string
	Tablespace string // quoted; "": that of the database
	Comment    string
}

// takeBack adds the way back to findings that drop an index. The server takes long
// to write definitions, so it is asked for these only. A finding about an index
// that is gone meanwhile is none.
func takeBack(ctx context.Context, tx pgx.Tx, findings []IndexFinding) ([]IndexFinding, error) {
	var oids []int64
	for _, f := range findings {
		if f.drops() {
			oids = append(oids, int64(f.oid))
		}
	}
	list, err := collect[definition](ctx, tx, "definitions of indexes", `SELECT c.oid, coalesce(pg_catalog.pg_get_indexdef(c.oid), ''),
			coalesce((SELECT pg_catalog.quote_ident(t.spcname) FROM pg_catalog.pg_tablespace t WHERE t.oid = c.reltablespace), ''),
			coalesce(pg_catalog.obj_description(c.oid, 'pg_class'), '')
		FROM pg_catalog.pg_class c WHERE c.oid = ANY ($1::bigint[]::oid[])`, oids)
	if err != nil {
		return nil, err
	}
	known := map[uint32]definition{}
	for _, d := range list {
		known[d.OID] = d
	}
	gone := func(f IndexFinding) bool { return f.drops() && known[f.oid].SQL == "" }
	findings = slices.DeleteFunc(findings, gone)
	for i, f := range findings {
		if f.drops() {
			findings[i].Back = known[f.oid].back(f.Index)
		}
	}
	return findings, nil
}

// drops reports whether its SQL drops an index, and what takes that back is to be
// found out.
func (f IndexFinding) drops() bool { return f.oid != 0 && f.SQL != "" && f.Back == "" }

// back is the SQL that makes the index again, as it was.
func (d definition) back(name string) string {
	sql := strings.Replace(d.SQL, " INDEX ", " INDEX CONCURRENTLY ", 1) + ";"
	if d.Tablespace != "" {
		sql = "SET default_tablespace = " + d.Tablespace + "; " + sql
	}
	if d.Comment != "" {
		sql += " COMMENT ON INDEX " + name + " IS " + postgres.QuoteLiteral(d.Comment) + ";"
	}
	return sql
}
