package pgdump

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/bmad-forge/forgectl/pkg/postgres"
)

// Access is what a backup role may read, as far as a backup needs it.
type Access struct {
	Server    postgres.Server
	Tables    int // whose rows a dump reads
	Sequences int
	// Everything says that also what is made later can be read: a superuser, or
	// pg_read_all_data in effect.
	Everything bool
	// ReadAll is the one statement that makes it so; "" where there is none:
	// before PostgreSQL 14, and before 16 for a role that does not inherit.
	ReadAll      string
	BypassRLS    bool
	LargeObjects bool // lo_compat_privileges is on
	// Makers are the owners of tables and sequences in each schema: on servers
	// without ReadAll each of them has to let the role in.
	Makers []Maker
	Unseen []string // what pg_dump will leave out in silence
}

// Maker is a role that owns tables or sequences in a schema.
type Maker struct {
	Schema, Owner string
	// Future says that default privileges let the role read what Owner makes there later.
	Future bool
}

// CheckRights says what the role of e may read, in a session that locks nothing.
// What a backup would stop at is a *RightsError; the Access that comes with it
// is filled in all the same.
func CheckRights(ctx context.Context, e *postgres.Endpoint) (Access, error) {
	conn, err := e.Connect(ctx)
	if err != nil {
		return Access{}, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	g := &Guard{endpoint: e, conn: conn}
	listed, err := g.look(ctx)
	if err != nil {
		return Access{}, err
	}
	return g.access(ctx, listed)
}

func (g *Guard) access(ctx context.Context, listed []Relation) (a Access, err error) {
	a = Access{Server: g.Server}
	for _, r := range listed {
		if r.HasData(g.Server.Standby) {
			a.Tables++
		}
	}
	if a.ReadAll, err = g.readAllRemedy(ctx, postgres.QuoteIdent(g.Server.Role)); err != nil {
		return a, err
	}
	err = g.conn.QueryRow(ctx, `SELECT rolbypassrls, current_setting('lo_compat_privileges') = 'on',
			(SELECT count(*) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE `+dumpedSequence+`)
		FROM pg_catalog.pg_roles WHERE rolname = current_user`).Scan(&a.BypassRLS, &a.LargeObjects, &a.Sequences)
	if err != nil {
		return a, fmt.Errorf("check rights: %w", err)
	}
	a.Everything = g.Server.Superuser
	if g.Server.Version.Major() >= 14 && !a.Everything {
		if err := g.conn.QueryRow(ctx, "SELECT pg_has_role('pg_read_all_data', 'USAGE')").Scan(&a.Everything); err != nil {
			return a, fmt.Errorf("check rights: %w", err)
		}
	}
	rows, err := g.conn.Query(ctx, makersQuery, relationOIDs(listed))
	if err == nil {
		a.Makers, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Maker])
	}
	if err != nil {
		return a, fmt.Errorf("check default privileges: %w", err)
	}
	if a.Unseen, err = g.listUnseen(ctx); err != nil {
		return a, err
	}
	return a, g.checkRights(ctx, listed)
}

// Default privileges are those for one schema and those for all (defaclnamespace
// 0); what either grants to the role, to one of its roles, or to everybody counts.
const makersQuery = `
WITH owned AS (
	SELECT DISTINCT n.oid AS schema, n.nspname, c.relowner
	FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
	WHERE c.oid = ANY($1::oid[]) OR ` + dumpedSequence + `),
granted AS (
	SELECT d.defaclrole, d.defaclnamespace, d.defaclobjtype
	FROM pg_catalog.pg_default_acl d, pg_catalog.aclexplode(d.defaclacl) a
	WHERE a.privilege_type = 'SELECT' AND CASE WHEN a.grantee = 0 THEN true ELSE pg_has_role(a.grantee, 'USAGE') END)
SELECT o.nspname::text, pg_catalog.pg_get_userbyid(o.relowner)::text,
	pg_has_role(o.relowner, 'USAGE') OR (
		EXISTS (SELECT FROM granted g WHERE g.defaclrole = o.relowner AND g.defaclnamespace IN (0, o.schema) AND g.defaclobjtype = 'r')
		AND EXISTS (SELECT FROM granted g WHERE g.defaclrole = o.relowner AND g.defaclnamespace IN (0, o.schema) AND g.defaclobjtype = 'S'))
FROM owned o ORDER BY 1, 2`
