package pgdump

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/bmad-forge/forgectl/pkg/postgres"
)

// AdminRights finds what the admin role lacks to load these archives (their
// tables of contents) and to give the database its properties; live, if not
// empty, is the database whose place it is to take. A superuser lacks nothing.
// The error is a *RightsError, each part with the SQL that mends it.
func AdminRights(ctx context.Context, admin *postgres.Endpoint, tocs []*TOC, p Properties, live string) error {
	conn, err := admin.Connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	server, err := postgres.Facts(ctx, conn)
	if err != nil {
		return err
	}
	if server.Superuser {
		return nil
	}
	c := &rightsCheck{conn: conn, server: server, role: postgres.QuoteIdent(server.Role)}
	for _, check := range []func(context.Context) error{
		c.attributes(p),
		c.membership(tocs, p),
		c.extensions(tocs),
		c.settings(p),
		c.replacing(live),
	} {
		if err := check(ctx); err != nil {
			return fmt.Errorf("check rights: %w", err)
		}
	}
	c.superuserOnly(tocs)
	if len(c.missing) > 0 {
		return &RightsError{Role: server.Role, Verb: "restore", Missing: c.missing}
	}
	return nil
}

type rightsCheck struct {
	conn    *pgx.Conn
	server  postgres.Server
	role    string // quoted
	missing []MissingRight
}

func (c *rightsCheck) lacks(object, sql string) {
	m := MissingRight{Object: object, SQL: sql}
	if !slices.Contains(c.missing, m) {
		c.missing = append(c.missing, m)
	}
}

func (c *rightsCheck) attributes(p Properties) func(context.Context) error {
	return func(ctx context.Context) error {
		var createDB, createRole bool
		err := c.conn.QueryRow(ctx, "SELECT rolcreatedb, rolcreaterole FROM pg_catalog.pg_roles WHERE rolname = current_user").Scan(&createDB, &createRole)
		if err != nil {
			return err
		}
		if !createDB {
			c.lacks("a new database (CREATEDB)", "ALTER ROLE "+c.role+" CREATEDB;")
		}
		for _, s := range p.Settings {
			if s.Role != "" && s.Role != c.server.Role && !createRole {
				c.lacks("the settings of role "+postgres.QuoteIdent(s.Role)+" in the database (CREATEROLE)", "ALTER ROLE "+c.role+" CREATEROLE;")
			}
		}
		return nil
	}
}

// membership: objects are given to their owners, which only members can do.
func (c *rightsCheck) membership(tocs []*TOC, p Properties) func(context.Context) error {
	return func(ctx context.Context) error {
		owners := []string{p.Owner}
		for _, toc := range tocs {
			owners = append(owners, toc.Owners()...)
			for _, e := range toc.OfType("DEFAULT ACL") {
				owners = append(owners, forRoles(e.Definition)...)
			}
		}
		slices.Sort(owners)
		// Before 16 whoever is a member may become the role.
		right := "MEMBER"
		if c.server.Version.Major() >= 16 {
			right = "SET"
		}
		for _, owner := range slices.Compact(owners) {
			if strings.HasPrefix(owner, "pg_") {
				continue // pg_database_owner: whoever is a member of the owner's role
			}
			var member, super bool
			err := c.conn.QueryRow(ctx, `SELECT coalesce(bool_and(pg_has_role(oid, $2) AND pg_has_role(oid, 'USAGE')), true), coalesce(bool_or(rolsuper), false)
				FROM pg_catalog.pg_roles WHERE rolname = $1`, owner, right).Scan(&member, &super)
			if err != nil {
				return err
			}
			quoted := postgres.QuoteIdent(owner)
			switch {
			case member:
			case super: // membership would make a superuser of it
				c.superuser("what belongs to the superuser " + quoted)
			default:
				c.lacks("what belongs to role "+quoted, "GRANT "+quoted+" TO "+c.role+";")
			}
		}
		return nil
	}
}

// extensions: those that are not trusted take a superuser.
func (c *rightsCheck) extensions(tocs []*TOC) func(context.Context) error {
	return func(ctx context.Context) error {
		for _, toc := range tocs {
			for _, e := range toc.OfType("EXTENSION") {
				var usable bool
				err := c.conn.QueryRow(ctx, `SELECT coalesce(bool_or(NOT superuser OR trusted), true)
					FROM pg_catalog.pg_available_extension_versions WHERE name = $1`, e.Name).Scan(&usable)
				if err != nil {
					return err
				}
				if !usable {
					c.superuser("the extension " + postgres.QuoteIdent(e.Name))
				}
			}
		}
		return nil
	}
}

func (c *rightsCheck) superuser(object string) {
	c.lacks(object+" (superusers only)", "ALTER ROLE "+c.role+" SUPERUSER;")
}

// settings that only a superuser may change, or since 15 whoever was granted that.
func (c *rightsCheck) settings(p Properties) func(context.Context) error {
	return func(ctx context.Context) error {
		for _, s := range p.Settings {
			query := "SELECT coalesce((SELECT context <> 'superuser' FROM pg_catalog.pg_settings WHERE lower(name) = lower($1)), true)"
			if c.server.Version.Major() >= 15 {
				query = "SELECT coalesce((SELECT context <> 'superuser' OR has_parameter_privilege(name, 'SET') FROM pg_catalog.pg_settings WHERE lower(name) = lower($1)), true)"
			}
			var may bool
			if err := c.conn.QueryRow(ctx, query, s.Name).Scan(&may); err != nil {
				return err
			}
			switch {
			case may:
			case c.server.Version.Major() >= 15:
				c.lacks("the setting "+s.Name, "GRANT SET ON PARAMETER "+s.Name+" TO "+c.role+";")
			default:
				c.superuser("the setting " + s.Name)
			}
		}
		return nil
	}
}

// replacing: whoever renames a database owns it, and ends the sessions of others.
func (c *rightsCheck) replacing(live string) func(context.Context) error {
	return func(ctx context.Context) error {
		if live == "" {
			return nil
		}
		var owner string
		var owns, signals bool
		err := c.conn.QueryRow(ctx, `SELECT coalesce(max(pg_get_userbyid(datdba)::text), ''), coalesce(bool_or(pg_has_role(datdba, 'USAGE')), true), pg_has_role('pg_signal_backend', 'USAGE')
			FROM pg_catalog.pg_database WHERE datname = $1`, live).Scan(&owner, &owns, &signals)
		if err != nil {
			return err
		}
		if !owns {
			quoted := postgres.QuoteIdent(owner)
			c.lacks("the database "+postgres.QuoteIdent(live)+" of role "+quoted, "GRANT "+quoted+" TO "+c.role+";")
		}
		if !signals {
			c.lacks("the sessions in the way (pg_signal_backend)", "GRANT pg_signal_backend TO "+c.role+";")
		}
		return nil
	}
}

var (
	// Functions in C, and in languages that are not trusted, run with the server's rights.
	untrustedLanguage = regexp.MustCompile(`(?m)^\s+LANGUAGE (c|internal|[a-z0-9]+u)\b`)
	allTables         = regexp.MustCompile(`FOR ALL TABLES|TABLES IN SCHEMA`)
)

// superuserOnly names what the server's source keeps for superusers
// (src/backend/commands).
func (c *rightsCheck) superuserOnly(tocs []*TOC) {
	for _, toc := range tocs {
		for _, e := range toc.Entries {
			switch e.Type {
			case "EVENT TRIGGER", "FOREIGN DATA WRAPPER", "PROCEDURAL LANGUAGE", "ACCESS METHOD", "OPERATOR CLASS", "OPERATOR FAMILY", "SHELL TYPE",
				"TEXT SEARCH PARSER", "TEXT SEARCH TEMPLATE":
				c.superuser(strings.ToLower(e.Type) + " " + postgres.QuoteIdent(e.Name))
			case "SUBSCRIPTION":
				if c.server.Version.Major() >= 16 {
					c.lacksMembership("subscription "+postgres.QuoteIdent(e.Name), "pg_create_subscription")
				} else {
					c.superuser("subscription " + postgres.QuoteIdent(e.Name))
				}
			case "PUBLICATION", "PUBLICATION TABLES IN SCHEMA":
				if allTables.MatchString(e.Definition) {
					c.superuser("publication " + postgres.QuoteIdent(e.Name))
				}
			case "FUNCTION", "PROCEDURE":
				if untrustedLanguage.MatchString(e.Definition) {
					c.superuser(strings.ToLower(e.Type) + " " + e.Name)
				}
			}
		}
	}
}

func (c *rightsCheck) lacksMembership(object, role string) {
	c.lacks(object, "GRANT "+role+" TO "+c.role+";")
}
