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

// Needs are the things that a server must have before an archive can load.
type Needs struct {
	Extensions  []string
	Roles       []string
	Collations  []string // ICU locales, such as "de-u-co-phonebk"
	Tablespaces []string
}

// NeedsOf reads them from the pre-data archive's table of contents and the
// properties of the database.
func NeedsOf(toc *TOC, p Properties) Needs {
	var n Needs
	n.Roles = slices.Concat(toc.Owners(), Grantees(toc), p.Roles())
	for _, e := range toc.OfType("EXTENSION") {
		n.Extensions = append(n.Extensions, e.Name)
	}
	for _, e := range toc.OfType("COLLATION") {
		if m := icuLocale.FindStringSubmatch(e.Definition); m != nil {
			n.Collations = append(n.Collations, m[1])
		}
	}
	for _, e := range toc.Entries {
		if e.Tablespace != "" {
			n.Tablespaces = append(n.Tablespaces, e.Tablespace)
		}
	}
	if p.Tablespace != "" {
		n.Tablespaces = append(n.Tablespaces, p.Tablespace)
	}
	n.sort()
	return n
}

// Add makes n the needs of both.
func (n *Needs) Add(other Needs) {
	n.Extensions = append(n.Extensions, other.Extensions...)
	n.Roles = append(n.Roles, other.Roles...)
	n.Collations = append(n.Collations, other.Collations...)
	n.Tablespaces = append(n.Tablespaces, other.Tablespaces...)
	n.sort()
}

func (n *Needs) sort() {
	for _, list := range []*[]string{&n.Extensions, &n.Roles, &n.Collations, &n.Tablespaces} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
}

var icuLocale = regexp.MustCompile(`provider = icu,(?:.*, )?\s*locale = '([^']*)'`)

// MissingError says what a server lacks for an archive.
type MissingError struct {
	Extensions, Roles, Tablespaces []string
}

func (e *MissingError) Error() string {
	var parts []string
	for _, m := range []struct {
		what string
		list []string
	}{{"extension", e.Extensions}, {"role", e.Roles}, {"tablespace", e.Tablespaces}} {
		if len(m.list) > 0 {
			parts = append(parts, m.what+" "+strings.Join(m.list, ", "))
		}
	}
	return "the server lacks " + strings.Join(parts, "; ")
}

// Check asks a server for everything in n and returns a MissingError. With
// elsewhere, roles and tablespaces are not asked for: the caller makes the
// roles, and tablespaces are left out of the load.
func (n Needs) Check(ctx context.Context, admin *postgres.Endpoint, elsewhere bool) error {
	conn, err := admin.Connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	missing := &MissingError{}
	if missing.Extensions, err = absent(ctx, conn, n.Extensions, "SELECT name::text FROM pg_catalog.pg_available_extensions"); err != nil {
		return fmt.Errorf("look for extensions: %w", err)
	}
	if !elsewhere {
		if missing.Roles, err = absent(ctx, conn, n.Roles, "SELECT rolname::text FROM pg_catalog.pg_roles"); err != nil {
			return fmt.Errorf("look for roles: %w", err)
		}
		if missing.Tablespaces, err = absent(ctx, conn, n.Tablespaces, "SELECT spcname::text FROM pg_catalog.pg_tablespace"); err != nil {
			return fmt.Errorf("look for tablespaces: %w", err)
		}
	}
	if len(missing.Extensions)+len(missing.Roles)+len(missing.Tablespaces) > 0 {
		return missing
	}
	return nil
}

func absent(ctx context.Context, conn *pgx.Conn, want []string, sql string) ([]string, error) {
	if len(want) == 0 {
		return nil, nil
	}
	have, err := collectStrings(ctx, conn, sql, nil)
	if err != nil {
		return nil, err
	}
	var lacking []string
	for _, w := range want {
		if !slices.Contains(have, w) {
			lacking = append(lacking, w)
		}
	}
	return lacking, nil
}
