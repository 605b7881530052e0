package doctor

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/cutover"
	"github.com/bmad-forge/forgectl/pkg/postgres/pgdump"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
)

// Promise: what the role lacks is critical, what it will lack a warning, and the
// SQL of the remedy, run as it stands, is enough; then it is said what may be read.
func TestRights(t *testing.T) {
	t.Parallel()
	const tables = "CREATE TABLE t (id serial); CREATE SCHEMA s CREATE TABLE u (id int)"
	for _, c := range []struct {
		name, sql string
		want      []string
		after     string
	}{
		{"well", tables + "; GRANT pg_read_all_data TO @", nil, "reads 2 tables and 1 sequence and every later one, the password hashes"},
		{"no grant", tables, []string{`critical: schema s, table public.t | GRANT pg_read_all_data TO "@";`}, "every later one"},
		{
			"only what is there today", tables + "; GRANT USAGE ON SCHEMA s TO @; GRANT SELECT ON ALL TABLES IN SCHEMA public, s TO @; GRANT SELECT ON ALL SEQUENCES IN SCHEMA public, s TO @",
			[]string{`warning: made later by postgres in schema public, postgres in schema s | GRANT pg_read_all_data TO "@";`, "ok: role"}, "every later one",
		},
		{
			"row security and large objects", tables + "; GRANT pg_read_all_data TO @; ALTER TABLE t ENABLE ROW LEVEL SECURITY; SELECT lo_create(0)",
			[]string{"critical: row security of public.t, 1 large objects | BYPASSRLS;\nALTER ROLE"}, "past row security (BYPASSRLS), all large objects (lo_compat_privileges)",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			superuser, role := h.server()
			scratchtest.Exec(t, superuser, "REVOKE pg_read_all_data FROM "+role, strings.ReplaceAll(c.sql, "@", role))
			findings := h.only("rights")
			if c.want != nil {
				for i := range c.want {
					c.want[i] = strings.ReplaceAll(c.want[i], "@", role)
				}
				wants(t, findings, c.want...)
			}
			for _, f := range findings {
				scratchtest.Exec(t, superuser, f.Remedy...)
			}
			wants(t, h.only("rights"), "ok: "+c.after)
		})
	}
}

// Promise: where there is no grant for everything (before PostgreSQL 14), the
// remedies are grants for whole schemas and default privileges for whoever makes
// tables there, and they are enough too. The version is pretended.
func TestRightsBefore14(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	superuser, role := h.server(`CREATE TABLE t (id serial); CREATE SCHEMA "S p" CREATE TABLE u (id int); ALTER TABLE t ENABLE ROW LEVEL SECURITY`)
	maker := scratchtest.Role(t, superuser, "NOLOGIN")
	scratchtest.Exec(t, superuser, "REVOKE pg_read_all_data FROM "+role, `CREATE TABLE "S p".v (); ALTER TABLE "S p".v OWNER TO `+maker)
	look := func() []Finding {
		e, err := h.Backup(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		a, err := pgdump.CheckRights(t.Context(), e)
		var missing *pgdump.RightsError
		if err != nil && !errors.As(err, &missing) {
			t.Fatal(err)
		}
		a.ReadAll, a.Server.Version = "", postgres.Version(130014)
		if missing != nil { // as that version has it
			for i, m := range missing.Missing {
				if strings.HasPrefix(m.SQL, "GRANT") {
					missing.Missing[i].SQL = "GRANT SELECT ON " + m.Object + " TO " + role + ";"
				}
			}
		}
		return judgeRights(a, missing)
	}
	findings := look()
	wants(t, findings, "critical: cannot read", "warning: made later by")
	quoted := func(s string) string {
		return strings.NewReplacer("@role", `"`+role+`"`, "@maker", `"`+maker+`"`).Replace(s)
	}
	if diff := cmp.Diff([]string{
		quoted(`GRANT USAGE ON SCHEMA "S p" TO @role;`), quoted(`GRANT SELECT ON ALL TABLES IN SCHEMA "S p" TO @role;`), quoted(`GRANT SELECT ON ALL SEQUENCES IN SCHEMA "S p" TO @role;`),
		quoted(`GRANT USAGE ON SCHEMA "public" TO @role;`), quoted(`GRANT SELECT ON ALL TABLES IN SCHEMA "public" TO @role;`), quoted(`GRANT SELECT ON ALL SEQUENCES IN SCHEMA "public" TO @role;`),
		quoted(`ALTER ROLE @role BYPASSRLS;`),
	}, findings[0].Remedy); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{
		quoted(`ALTER DEFAULT PRIVILEGES FOR ROLE "postgres" IN SCHEMA "S p" GRANT SELECT ON TABLES TO @role;`), quoted(`ALTER DEFAULT PRIVILEGES FOR ROLE "postgres" IN SCHEMA "S p" GRANT SELECT ON SEQUENCES TO @role;`),
		quoted(`ALTER DEFAULT PRIVILEGES FOR ROLE @maker IN SCHEMA "S p" GRANT SELECT ON TABLES TO @role;`), quoted(`ALTER DEFAULT PRIVILEGES FOR ROLE @maker IN SCHEMA "S p" GRANT SELECT ON SEQUENCES TO @role;`),
		quoted(`ALTER DEFAULT PRIVILEGES FOR ROLE "postgres" IN SCHEMA "public" GRANT SELECT ON TABLES TO @role;`), quoted(`ALTER DEFAULT PRIVILEGES FOR ROLE "postgres" IN SCHEMA "public" GRANT SELECT ON SEQUENCES TO @role;`),
	}, findings[1].Remedy); diff != "" {
		t.Error(diff)
	}
	for _, f := range findings {
		scratchtest.Exec(t, superuser, f.Remedy...)
	}
	scratchtest.Exec(t, superuser, "CREATE TABLE later (id serial)", `GRANT ALL ON SCHEMA "S p" TO `+maker+`; SET ROLE `+maker+`; CREATE TABLE "S p".latest (id serial)`)
	wants(t, look(), "ok: reads 5 tables and 3 sequences, all rows")
}

// Promise: a role of restores that cannot do its work is named with the SQL, and
// databases that restores have kept are listed with their size.
func TestRestores(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	superuser, _ := h.server()
	wants(t, h.only("restores"), "ok: it is a superuser")
	wants(t, h.only("kept"), "ok: no database is kept")

	admin := scratchtest.Role(t, superuser, "LOGIN")
	h.Admin = func(context.Context) (*postgres.Endpoint, error) {
		return scratchtest.Connect(t, scratchtest.Server(t), "postgres", admin), nil
	}
	findings := h.only("restores")
	wants(t, findings, `critical: a new database (CREATEDB) | ALTER ROLE "`+admin+`" CREATEDB;`)
	scratchtest.Exec(t, superuser, findings[0].Remedy...)
	wants(t, h.only("restores"), "ok: can make databases and exchange "+h.Database)

	origin := cutover.Origin{Forgectl: cutover.Before, Of: h.Database, Run: "20261123t020000z"}
	kept := scratchtest.NamedDatabase(t, cutover.Name(origin.Of, origin.Forgectl, origin.Run))
	scratchtest.Exec(t, kept, "COMMENT ON DATABASE "+kept.Database()+" IS "+postgres.QuoteLiteral(origin.String()))
	wants(t, h.only("kept"), "info: keeps database "+kept.Database()+", 7.")
	rescue := cutover.Origin{Forgectl: cutover.Candidate, Of: "rescue", Run: "20261123t020000z"}
	left := scratchtest.NamedDatabase(t, cutover.Name(rescue.Of, rescue.Forgectl, rescue.Run))
	scratchtest.Exec(t, left, "COMMENT ON DATABASE "+left.Database()+" IS "+postgres.QuoteLiteral(rescue.String()))
	if got := h.only("kept"); len(got) != 2 || got[0].Remedy[0] != "forgectl restore drop-old --database rescue" && got[1].Remedy[0] != "forgectl restore drop-old --database rescue" {
		t.Errorf("%+v", got)
	}
	scratchtest.Exec(t, left, "COMMENT ON DATABASE "+left.Database()+" IS NULL")
	if got := h.only("kept"); len(got) != 2 || got[1].Level != Warning || got[1].Remedy[0] != `DROP DATABASE "`+left.Database()+`";` || !strings.Contains(got[1].Message, "carries no mark") {
		t.Errorf("%+v", got)
	}
	if got := h.only("kept"); got[0].Remedy[0] != "forgectl restore drop-old" || !strings.Contains(got[0].Message, "MiB") {
		t.Errorf("%+v", got)
	}
}
