package pgdump

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/bmad-forge/forgectl/pkg/postgres"
)

// ErrRights is what every RightsError is.
var ErrRights = errors.New("the role lacks rights")

// MissingRight is one thing that the role cannot read, and the SQL that lets it.
type MissingRight struct {
	Object string // `table "public"."forge_template"`, `12 large objects`
	SQL    string
}

// RightsError lists what a role cannot read. A dump without it would not be of
// the whole database, and views and keys that need it would not restore, so
// nothing is dumped.
type RightsError struct {
	Role    string
	Verb    string // what it cannot do; default: "read"
	Missing []MissingRight
}

func (e *RightsError) Error() string {
	const shown = 5
	names := make([]string, 0, shown)
	for i, m := range e.Missing {
		if i == shown {
			names = append(names, fmt.Sprintf("and %d more", len(e.Missing)-shown))
			break
		}
		names = append(names, m.Object)
	}
	return fmt.Sprintf("role %s cannot %s %s", postgres.QuoteIdent(e.Role), cmp.Or(e.Verb, "read"), strings.Join(names, ", "))
}

// Is makes errors.Is(err, ErrRights) true.
func (e *RightsError) Is(target error) bool { return target == ErrRights }

// Remedies are the statements that a superuser runs, each once.
func (e *RightsError) Remedies() []string {
	var all []string
	seen := map[string]bool{}
	for _, m := range e.Missing {
		if !seen[m.SQL] {
			seen[m.SQL] = true
			all = append(all, m.SQL)
		}
	}
	return all
}

// checkRights finds what pg_dump would stumble over, or worse, what it would
// leave out in silence, before anything is dumped.
func (g *Guard) checkRights(ctx context.Context, listed []Relation) error {
	if g.Server.Superuser {
		return nil
	}
	e := &RightsError{Role: g.Server.Role}
	role := postgres.QuoteIdent(g.Server.Role)
	readAll, err := g.readAllRemedy(ctx, role)
	if err != nil {
		return err
	}
	for _, find := range []struct {
		what, sql string
		remedy    func(object string) string
	}{
		{"schema", schemasQuery, func(o string) string {
			return cmp.Or(readAll, "GRANT USAGE ON SCHEMA "+o+" TO "+role+";")
		}},
		{"table", tablesQuery, func(o string) string {
			return cmp.Or(readAll, "GRANT SELECT ON "+o+" TO "+role+";")
		}},
		{"sequence", sequencesQuery, func(o string) string {
			return cmp.Or(readAll, "GRANT SELECT ON SEQUENCE "+o+" TO "+role+";")
		}},
		{"rows hidden by row security of", rowSecurityQuery, func(string) string { return "ALTER ROLE " + role + " BYPASSRLS;" }},
	} {
		objects, err := collectStrings(ctx, g.conn, find.sql, relationOIDs(listed))
		if err != nil {
			return fmt.Errorf("check rights: %w", err)
		}
		for _, o := range objects {
			e.Missing = append(e.Missing, MissingRight{Object: find.what + " " + o, SQL: find.remedy(o)})
		}
	}
	var hidden int
	if err := g.conn.QueryRow(ctx, largeObjectsQuery).Scan(&hidden); err != nil {
		return fmt.Errorf("check rights: %w", err)
	}
	if hidden > 0 {
		e.Missing = append(e.Missing, MissingRight{
			Object: fmt.Sprintf("%d large objects of other roles", hidden),
			SQL:    "ALTER ROLE " + role + " SET lo_compat_privileges = on;",
		})
	}
	if len(e.Missing) > 0 {
		return e
	}
	return nil
}

// readAllRemedy is the one grant that covers schemas, tables and sequences, or
// "" where there is none: before PostgreSQL 14, and before 16 for a role that
// does not inherit.
func (g *Guard) readAllRemedy(ctx context.Context, role string) (string, error) {
	var inherits bool
	err := g.conn.QueryRow(ctx, "SELECT rolinherit FROM pg_catalog.pg_roles WHERE rolname = current_user").Scan(&inherits)
	switch major := g.Server.Version.Major(); {
	case err != nil:
		return "", fmt.Errorf("check rights: %w", err)
	case major >= 14 && inherits:
		return "GRANT pg_read_all_data TO " + role + ";", nil
	case major >= 16:
		return "GRANT pg_read_all_data TO " + role + " WITH INHERIT TRUE;", nil
	}
	return "", nil
}

// listUnseen names what pg_dump leaves out without a word, because the role is
// no superuser: the options (passwords among them) of other roles' user mappings.
// And what a standby does not have: whatever is unlogged.
func (g *Guard) listUnseen(ctx context.Context) (unseen []string, err error) {
	if g.Server.Standby {
		if unseen, err = collectStrings(ctx, g.conn, unloggedQuery, nil); err != nil {
			return nil, fmt.Errorf("look for unlogged tables: %w", err)
		}
	}
	if g.Server.Superuser {
		return unseen, nil
	}
	mappings, err := collectStrings(ctx, g.conn, `
		SELECT format('options of the user mapping of %s for server %s', coalesce(m.usename, 'public'), quote_ident(m.srvname))
		FROM pg_catalog.pg_user_mappings m JOIN pg_catalog.pg_foreign_server s ON s.oid = m.srvid
		WHERE m.umoptions IS NULL AND NOT (
			(m.umuser <> 0 AND m.usename = current_user AND (pg_has_role(s.srvowner, 'USAGE') OR has_server_privilege(s.oid, 'USAGE')))
			OR (m.umuser = 0 AND pg_has_role(s.srvowner, 'USAGE')))
		ORDER BY 1`, nil)
	if err != nil {
		return nil, fmt.Errorf("look for user mappings: %w", err)
	}
	return append(unseen, mappings...), nil
}

func relationOIDs(listed []Relation) []uint32 {
	oids := make([]uint32, len(listed))
	for i, r := range listed {
		oids[i] = r.OID
	}
	return oids
}

func collectStrings(ctx context.Context, q querier, sql string, oids []uint32) ([]string, error) {
	var args []any
	if oids != nil {
		args = append(args, oids)
	}
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

const (
	unloggedQuery = `SELECT CASE WHEN c.relkind = 'S' THEN 'value of the unlogged sequence ' ELSE 'rows of the unlogged table ' END || format('%I.%I', n.nspname, c.relname) || ': a standby has none'
		FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind IN ('r', 'S') AND c.relpersistence = 'u' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' ORDER BY 1`
	schemasQuery = `SELECT DISTINCT quote_ident(n.nspname) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE (c.oid = ANY($1::oid[]) OR ` + dumpedSequence + `) AND NOT has_schema_privilege(n.oid, 'USAGE') ORDER BY 1`
	tablesQuery = `SELECT format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE c.oid = ANY($1::oid[]) AND NOT has_table_privilege(c.oid, 'SELECT') ORDER BY 1`
	// The argument is not needed, but every query of the list gets it. CASE, because the planner may ask for the
	// privilege before it looks at the kind, and has_sequence_privilege fails for what is no sequence.
	sequencesQuery = `SELECT format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE ` + dumpedSequence + ` AND c.oid <> ALL($1::oid[]) AND CASE WHEN c.relkind = 'S' THEN NOT has_sequence_privilege(c.oid, 'SELECT') END ORDER BY 1`
	// Of an extension's own sequences pg_dump reads those that it configures.
	dumpedSequence = `(c.relkind = 'S' AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
		AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension x ON x.oid = d.refobjid
			WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
				AND d.refclassid = 'pg_catalog.pg_extension'::regclass AND c.oid <> ALL(coalesce(x.extconfig, '{}'))))`
	// The session runs with row_security=off, under which row_security_active
	// still answers true for a table whose policies apply to the role.
	rowSecurityQuery = `SELECT format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE c.oid = ANY($1::oid[]) AND c.relrowsecurity AND NOT (SELECT rolbypassrls FROM pg_catalog.pg_roles WHERE rolname = current_user)
			AND (c.relforcerowsecurity OR NOT pg_has_role(c.relowner, 'USAGE')) ORDER BY 1`
	largeObjectsQuery = `SELECT count(*) FROM pg_catalog.pg_largeobject_metadata m
		WHERE current_setting('lo_compat_privileges') = 'off' AND NOT pg_has_role(m.lomowner, 'USAGE')
			AND NOT EXISTS (SELECT FROM aclexplode(m.lomacl) a WHERE a.privilege_type = 'SELECT'
				AND (a.grantee = 0 OR pg_has_role(a.grantee, 'USAGE')))`
)
