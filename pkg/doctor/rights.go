package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/cutover"
	"github.com/bmad-forge/forgectl/pkg/postgres/pgdump"
	"github.com/bmad-forge/forgectl/pkg/proc"
)

// checkRights asks what the backup role may read, now and of what is made later.
func checkRights(ctx context.Context, x *exam) []Finding {
	s, err := x.reach(ctx)
	if err != nil {
		return unknown(err)
	}
	a, err := pgdump.CheckRights(ctx, s.Endpoint)
	var missing *pgdump.RightsError
	if err != nil && !errors.As(err, &missing) {
		return unknown(err)
	}
	return judgeRights(a, missing)
}

func judgeRights(a pgdump.Access, missing *pgdump.RightsError) []Finding {
	var all []Finding
	if missing != nil {
		all = append(all, found(Critical, remedies(a, missing), "%v", missing))
	}
	if later := unseenLater(a.Makers); !a.Everything && len(later) > 0 && (missing == nil || a.ReadAll == "") {
		remedy := []string{a.ReadAll}
		if a.ReadAll == "" {
			remedy = defaults(a.Server.Role, later)
		}
		var who []string
		for _, m := range later {
			who = append(who, fmt.Sprintf("%s in schema %s", m.Owner, m.Schema))
		}
		all = append(all, found(Warning, remedy, "role %s cannot read what is made later by %s: a backup will fail then", a.Server.Role, strings.Join(who, ", ")))
	}
	if len(a.Unseen) > 0 {
		all = append(all, found(Warning, nil, "sets will be incomplete, only a superuser can dump: %s", strings.Join(a.Unseen, ", ")))
	}
	if missing != nil {
		return all
	}
	if a.Server.Superuser {
		remedy := []string{"CREATE ROLE bmad_forge_backup LOGIN;", "GRANT pg_read_all_data TO bmad_forge_backup;", "forgectl config show database.url"}
		return append(all, found(Info, remedy, "role %s is a superuser: it reads and changes everything, a backup needs less", a.Server.Role))
	}
	return append(all, found(OK, nil, "role %s %s", a.Server.Role, reads(a)))
}

// reads is what the role may read, in words.
func reads(a pgdump.Access) string {
	what := []string{"reads " + count(a.Tables, "table") + " and " + count(a.Sequences, "sequence")}
	if a.Everything {
		what[0] += " and every later one, the password hashes of roles as well (pg_read_all_data)"
	}
	if a.BypassRLS {
		what = append(what, "all rows past row security (BYPASSRLS)")
	}
	if a.LargeObjects {
		what = append(what, "all large objects (lo_compat_privileges)")
	}
	return strings.Join(what, ", ")
}

// remedies are the statements for what is missing. Where there is no grant for
// everything, those for single tables become grants for their schemas: the next
// table would be missing again.
func remedies(a pgdump.Access, missing *pgdump.RightsError) []string {
	if a.ReadAll != "" {
		return missing.Remedies()
	}
	var all []string
	for _, sql := range missing.Remedies() {
		if !strings.HasPrefix(sql, "GRANT ") {
			all = append(all, sql)
		} else if len(all) == 0 || !strings.HasPrefix(all[0], "GRANT ") {
			all = append(schemaGrants(a.Server.Role, a.Makers), all...)
		}
	}
	return all
}

// schemaGrants let a role read everything that is in the schemas now.
func schemaGrants(role string, makers []pgdump.Maker) []string {
	role = postgres.QuoteIdent(role)
	var all []string
	for _, schema := range schemas(makers) {
		schema = postgres.QuoteIdent(schema)
		all = append(all,
			"GRANT USAGE ON SCHEMA "+schema+" TO "+role+";",
			"GRANT SELECT ON ALL TABLES IN SCHEMA "+schema+" TO "+role+";",
			"GRANT SELECT ON ALL SEQUENCES IN SCHEMA "+schema+" TO "+role+";")
	}
	return all
}

func schemas(makers []pgdump.Maker) []string {
	var names []string
	for _, m := range makers {
		names = append(names, m.Schema)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// defaults let a role read what the makers make from now on.
func defaults(role string, makers []pgdump.Maker) []string {
	var all []string
	for _, m := range makers {
		for _, kind := range []string{"TABLES", "SEQUENCES"} {
			all = append(all, fmt.Sprintf("ALTER DEFAULT PRIVILEGES FOR ROLE %s IN SCHEMA %s GRANT SELECT ON %s TO %s;",
				postgres.QuoteIdent(m.Owner), postgres.QuoteIdent(m.Schema), kind, postgres.QuoteIdent(role)))
		}
	}
	return all
}

func unseenLater(makers []pgdump.Maker) []pgdump.Maker {
	return slices.DeleteFunc(slices.Clone(makers), func(m pgdump.Maker) bool { return m.Future })
}

// checkAdmin asks whether the role of restores can make databases and exchange
// the live one. What a certain set needs beyond that, its dry run says.
func checkAdmin(ctx context.Context, x *exam) []Finding {
	s, err := x.adminServer(ctx)
	if err != nil {
		return unknown(fmt.Errorf("for restores: %w", err), "sudo forgectl doctor", "forgectl config show database.admin_url database.admin_os_user")
	}
	if s.Standby {
		return []Finding{found(Critical, []string{"forgectl config show database.admin_url"}, "%s is a standby: nothing can be restored into it", s.Endpoint)}
	}
	err = pgdump.AdminRights(ctx, s.Endpoint, nil, pgdump.Properties{}, x.Database)
	var missing *pgdump.RightsError
	switch {
	case errors.As(err, &missing):
		return []Finding{found(Critical, missing.Remedies(), "%v", missing)}
	case err != nil:
		return unknown(err)
	case s.Superuser:
		return ok("role %s can restore: it is a superuser", s.Role)
	}
	return ok("role %s can make databases and exchange %s; what a set needs beyond that: forgectl restore db --dry-run", s.Role, x.Database)
}

// checkKept lists the databases that restores have left, those of other databases
// than the configured one included: they take space all the same.
func checkKept(ctx context.Context, x *exam) []Finding {
	s, err := x.adminServer(ctx)
	if err != nil {
		return nil // check "restores" says why, and nothing is at stake here
	}
	kept, err := cutover.ListKept(ctx, s.Endpoint, "")
	if err != nil {
		return unknown(err)
	}
	var all []Finding
	for _, k := range kept {
		bytes := "size unknown to this role"
		if k.Bytes >= 0 {
			bytes = size(k.Bytes)
		}
		remedy := "forgectl restore drop-old"
		if k.Origin.Of != x.Database {
			remedy += " --database " + proc.ShellWord(k.Origin.Of)
		}
		all = append(all, found(Info, []string{remedy}, "a restore keeps database %s, %s", k.Name, bytes))
	}
	unmarked, err := cutover.ListUnmarked(ctx, s.Endpoint)
	if err != nil {
		return append(all, unknown(err)...)
	}
	for _, name := range unmarked {
		all = append(all, found(Warning, []string{"DROP DATABASE " + postgres.QuoteIdent(name) + ";"},
			"database %s is named like the work of a restore, but carries no mark: one that was killed at its start, unless somebody knows it", name))
	}
	if len(all) == 0 {
		return ok("no database is kept by a restore")
	}
	return all
}
