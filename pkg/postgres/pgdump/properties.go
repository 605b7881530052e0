package pgdump

import (
	"context"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"github.com/bmad-forge/forgectl/pkg/postgres"
)

// Properties are those of a database that neither pg_dump without --create nor
// pg_dumpall --globals-only writes: 05-database.sql holds them, as one JSON
// comment line for programs and as SQL for people.
type Properties struct {
	Name            string    `json:"name"`
	Owner           string    `json:"owner"`
	Encoding        string    `json:"encoding"`
	LocaleProvider  string    `json:"locale_provider"` // libc | icu | builtin
	Collate         string    `json:"collate"`
	CType           string    `json:"ctype"`
	Locale          string    `json:"locale,omitempty"` // of icu and builtin
	ICURules        string    `json:"icu_rules,omitempty"`
	Tablespace      string    `json:"tablespace,omitempty"` // "": pg_default
	ConnectionLimit int       `json:"connection_limit"`     // -1: none
	IsTemplate      bool      `json:"is_template,omitempty"`
	Comment         string    `json:"comment,omitempty"`
	ACL             []Grant   `json:"acl,omitempty"` // nil: the default privileges
	HasACL          bool      `json:"has_acl,omitempty"`
	Labels          []Label   `json:"security_labels,omitempty"`
	Settings        []Setting `json:"settings,omitempty"`
	Preload         []string  `json:"preload_libraries,omitempty"` // shared_preload_libraries of the server
	Extensions      []string  `json:"extensions,omitempty"`
}

// Grant is one entry of a database's access list. Grantee "" is PUBLIC.
type Grant struct {
	Grantee   string `json:"grantee"`
	Privilege string `json:"privilege"`
	Grantable bool   `json:"grantable,omitempty"`
}

// Label is a security label of the database. Its provider is a library of the server.
type Label struct {
	Provider string `json:"provider"`
	Label    string `json:"label"`
}

// Setting is an ALTER DATABASE … SET, or ALTER ROLE … IN DATABASE … SET when Role is set.
type Setting struct {
	Role  string `json:"role,omitempty"`
	Name  string `json:"name"`
	Value string `json:"value"`
}

const propertiesHead = "-- forgectl database "

// WriteProperties writes 05-database.sql for the database of the guard, as its
// snapshot sees it.
func WriteProperties(ctx context.Context, g *Guard, w io.Writer) (Properties, error) {
	conn, err := g.Session(ctx)
	if err != nil {
		return Properties{}, fmt.Errorf("read database properties: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	// The catalogs that all databases share hold the bytes of whichever database
	// something was written from: mostly UTF-8, even when this one is LATIN1. What
	// is not UTF-8 as it lies there is of this database's own encoding.
	var p Properties
	for _, encoding := range []string{"SQL_ASCII", "UTF8"} {
		if _, err := conn.Exec(ctx, "SET LOCAL client_encoding = "+encoding); err != nil {
			return p, fmt.Errorf("set client_encoding: %w", err)
		}
		if p, err = readProperties(ctx, conn, g.Server.Version); err != nil {
			return p, fmt.Errorf("read database properties: %w", err)
		}
		if p.isUTF8() {
			break
		}
	}
	p.Preload = g.Server.Preload
	if err := writeHead(w, propertiesHead, p); err != nil {
		return p, err
	}
	_, err = io.WriteString(w, p.script(g.Server.Version))
	return p, err
}

func (p Properties) isUTF8() bool {
	all := []string{p.Name, p.Owner, p.Comment, p.Tablespace}
	for _, g := range p.ACL {
		all = append(all, g.Grantee)
	}
	for _, s := range p.Settings {
		all = append(all, s.Role, s.Value)
	}
	for _, l := range p.Labels {
		all = append(all, l.Provider, l.Label)
	}
	return utf8.ValidString(strings.Join(all, "\n"))
}

// PropertiesOf reads the properties of a database that is there.
func PropertiesOf(ctx context.Context, e *postgres.Endpoint) (Properties, error) {
	conn, err := e.Connect(ctx)
	if err != nil {
		return Properties{}, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	server, err := postgres.Facts(ctx, conn)
	if err != nil {
		return Properties{}, err
	}
	p, err := readProperties(ctx, conn, server.Version)
	if err != nil {
		return p, fmt.Errorf("read database properties: %w", err)
	}
	return p, nil
}

// ReadProperties reads the head of 05-database.sql.
func ReadProperties(r io.Reader) (Properties, error) {
	var p Properties
	err := readHead(r, propertiesHead, &p)
	return p, err
}

// localeColumns selects provider, ICU or builtin locale, and rules by version:
// the columns came with 15, 16 and were renamed in 17.
func localeColumns(v postgres.Version) string {
	switch {
	case v.Major() >= 17:
		return "d.datlocprovider::text, coalesce(d.datlocale, ''), coalesce(d.daticurules, '')"
	case v.Major() == 16:
		return "d.datlocprovider::text, coalesce(d.daticulocale, ''), coalesce(d.daticurules, '')"
	case v.Major() == 15:
		return "d.datlocprovider::text, coalesce(d.daticulocale, ''), ''"
	}
	return "'c', '', ''"
}

func readProperties(ctx context.Context, conn *pgx.Conn, v postgres.Version) (Properties, error) {
	var p Properties
	var provider string
	err := conn.QueryRow(ctx, `SELECT d.datname, r.rolname, pg_encoding_to_char(d.encoding), d.datcollate, d.datctype,
			d.datconnlimit, d.datistemplate, coalesce(shobj_description(d.oid, 'pg_database'), ''), d.datacl IS NOT NULL,
			coalesce((SELECT s.spcname::text FROM pg_catalog.pg_tablespace s WHERE s.oid = d.dattablespace AND s.spcname <> 'pg_default'), ''), `+localeColumns(v)+`
		FROM pg_catalog.pg_database d JOIN pg_catalog.pg_roles r ON r.oid = d.datdba WHERE d.datname = current_database()`).
		Scan(&p.Name, &p.Owner, &p.Encoding, &p.Collate, &p.CType, &p.ConnectionLimit, &p.IsTemplate, &p.Comment, &p.HasACL, &p.Tablespace, &provider, &p.Locale, &p.ICURules)
	if err != nil {
		return p, err
	}
	p.LocaleProvider = map[string]string{"c": "libc", "i": "icu", "b": "builtin"}[provider]
	rows, err := conn.Query(ctx, `SELECT coalesce(r.rolname, ''), a.privilege_type, a.is_grantable
		FROM pg_catalog.pg_database d, aclexplode(d.datacl) a LEFT JOIN pg_catalog.pg_roles r ON r.oid = a.grantee
		WHERE d.datname = current_database() AND (a.grantee = 0 OR r.rolname IS NOT NULL) ORDER BY 1, 2`)
	if err == nil {
		p.ACL, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Grant])
	}
	if err != nil {
		return p, fmt.Errorf("privileges: %w", err)
	}
	rows, err = conn.Query(ctx, `SELECT l.provider, l.label FROM pg_catalog.pg_shseclabel l JOIN pg_catalog.pg_database d ON d.oid = l.objoid
		WHERE l.classoid = 'pg_catalog.pg_database'::regclass AND d.datname = current_database() ORDER BY 1`)
	if err == nil {
		p.Labels, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Label])
	}
	if err != nil {
		return p, fmt.Errorf("security labels: %w", err)
	}
	rows, err = conn.Query(ctx, `SELECT coalesce(r.rolname, ''), split_part(c, '=', 1), substr(c, strpos(c, '=') + 1)
		FROM pg_catalog.pg_db_role_setting s JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase
			LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.setrole, unnest(s.setconfig) c
		WHERE d.datname = current_database() AND (s.setrole = 0 OR r.rolname IS NOT NULL) ORDER BY 1, 2`)
	if err == nil {
		p.Settings, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Setting])
	}
	if err != nil {
		return p, fmt.Errorf("settings: %w", err)
	}
	rows, err = conn.Query(ctx, `SELECT extname::text FROM pg_catalog.pg_extension ORDER BY 1`)
	if err == nil {
		p.Extensions, err = pgx.CollectRows(rows, pgx.RowTo[string])
	}
	if err != nil {
		return p, fmt.Errorf("extensions: %w", err)
	}
	return p, nil
}

// Create is the CREATE DATABASE statement for a server of version v. The new
// database belongs to whoever runs it until After is run.
func (p Properties) Create(name string, v postgres.Version) string {
	var b strings.Builder
	fmt.Fprintf(&b, "CREATE DATABASE %s TEMPLATE template0 ENCODING %s LC_COLLATE %s LC_CTYPE %s",
		postgres.QuoteIdent(name), postgres.QuoteLiteral(p.Encoding), postgres.QuoteLiteral(p.Collate), postgres.QuoteLiteral(p.CType))
	if v.Major() >= 15 {
		fmt.Fprintf(&b, " LOCALE_PROVIDER %s", p.LocaleProvider)
		switch p.LocaleProvider {
		case "icu":
			fmt.Fprintf(&b, " ICU_LOCALE %s", postgres.QuoteLiteral(p.Locale))
			if p.ICURules != "" && v.Major() >= 16 {
				fmt.Fprintf(&b, " ICU_RULES %s", postgres.QuoteLiteral(p.ICURules))
			}
		case "builtin":
			fmt.Fprintf(&b, " BUILTIN_LOCALE %s", postgres.QuoteLiteral(p.Locale))
		}
	}
	if p.Tablespace != "" {
		b.WriteString(" TABLESPACE " + postgres.QuoteIdent(p.Tablespace))
	}
	return b.String()
}

// settingTo stands between a setting's name and its value.
const settingTo = " TO "

// After are the statements that give a loaded database the rest of its
// properties: owner, limit, comment, labels, privileges, settings. They come last,
// because a setting such as default_transaction_read_only would hinder the load.
func (p Properties) After(name string) []string {
	db := postgres.QuoteIdent(name)
	all := []string{"ALTER DATABASE " + db + " OWNER TO " + postgres.QuoteIdent(p.Owner)}
	if p.ConnectionLimit != -1 {
		all = append(all, fmt.Sprintf("ALTER DATABASE %s CONNECTION LIMIT %d", db, p.ConnectionLimit))
	}
	if p.Comment != "" {
		all = append(all, "COMMENT ON DATABASE "+db+" IS "+postgres.QuoteLiteral(p.Comment))
	}
	for _, l := range p.Labels {
		all = append(all, "SECURITY LABEL FOR "+postgres.QuoteIdent(l.Provider)+" ON DATABASE "+db+" IS "+postgres.QuoteLiteral(l.Label))
	}
	if p.HasACL {
		all = append(all, "REVOKE ALL ON DATABASE "+db+" FROM PUBLIC", "REVOKE ALL ON DATABASE "+db+" FROM "+postgres.QuoteIdent(p.Owner))
		for _, g := range p.ACL {
			grantee := "PUBLIC"
			if g.Grantee != "" {
				grantee = postgres.QuoteIdent(g.Grantee)
			}
			grant := "GRANT " + g.Privilege + " ON DATABASE " + db + " TO " + grantee
			if g.Grantable {
				grant += " WITH GRANT OPTION"
			}
			all = append(all, grant)
		}
	}
	for _, s := range p.Settings {
		subject := "DATABASE " + db
		if s.Role != "" {
			subject = "ROLE " + postgres.QuoteIdent(s.Role) + " IN DATABASE " + db
		}
		all = append(all, "ALTER "+subject+" SET "+postgres.QuoteIdent(s.Name)+settingTo+settingValue(s.Name, s.Value))
	}
	if p.IsTemplate {
		all = append(all, "ALTER DATABASE "+db+" IS_TEMPLATE true")
	}
	return all
}

// Roles are the roles that After and Create name.
func (p Properties) Roles() []string {
	roles := []string{p.Owner}
	for _, g := range p.ACL {
		if g.Grantee != "" {
			roles = append(roles, g.Grantee)
		}
	}
	for _, s := range p.Settings {
		if s.Role != "" {
			roles = append(roles, s.Role)
		}
	}
	return roles
}

// settingValue writes a stored value for SET. Lists of identifiers
// (GUC_LIST_QUOTE in guc.c; the names are those of pg_dump's
// variable_is_guc_list_quote) are stored quoted and must be given element by
// element, or the whole list would become one identifier.
func settingValue(name, value string) string {
	switch strings.ToLower(name) {
	case "local_preload_libraries", "search_path", "session_preload_libraries", "shared_preload_libraries", "temp_tablespaces", "unix_socket_directories":
	default:
		return postgres.QuoteLiteral(value)
	}
	elements := splitIdentifiers(value)
	if len(elements) == 0 {
		return "''" // no element and one empty element are written alike
	}
	for i, e := range elements {
		elements[i] = postgres.QuoteLiteral(e)
	}
	return strings.Join(elements, ", ")
}

// splitIdentifiers splits `"$user", public` at its commas and takes the quotes off.
func splitIdentifiers(list string) []string {
	var all []string
	var b strings.Builder
	quoted, wasQuoted := false, false
	flush := func() {
		if b.Len() > 0 || wasQuoted {
			all = append(all, b.String())
		}
		b.Reset()
		wasQuoted = false
	}
	for i := 0; i < len(list); i++ {
		switch c := list[i]; {
		case c == '"' && quoted && i+1 < len(list) && list[i+1] == '"':
			b.WriteByte('"')
			i++
		case c == '"':
			quoted, wasQuoted = !quoted, true
		case c == ' ' && !quoted: // only between the elements
		case c == ',' && !quoted:
			flush()
		default:
			b.WriteByte(c)
		}
	}
	flush()
	return all
}

// script is the part of 05-database.sql for people. The name of the new
// database is psql's variable "db", so that one file serves any name:
//
//	psql -v db=NAME -f 05-database.sql postgres        creates it
//	psql -v db=NAME -v after=1 -f 05-database.sql postgres   after the load
//
// On a server without the database's tablespace, -v tablespace=pg_default.
func (p Properties) script(v postgres.Version) string {
	const marker, space = "forgectl:database:name", "forgectl:database:tablespace"
	name := func(sql string) string {
		sql = strings.ReplaceAll(sql, postgres.QuoteIdent(marker), `:"db"`)
		return strings.ReplaceAll(sql, postgres.QuoteIdent(space), `:"tablespace"`) + ";\n"
	}
	var b strings.Builder
	b.WriteString("\\set ON_ERROR_STOP on\n\\encoding UTF8\n\\if :{?db}\n\\else\n\\set db " + psqlQuote(p.Name) + "\n\\endif\n\\if :{?after}\n")
	for _, sql := range p.After(marker) {
		b.WriteString(name(sql))
	}
	b.WriteString("\\else\n")
	if p.Tablespace != "" {
		b.WriteString("\\if :{?tablespace}\n\\else\n\\set tablespace " + psqlQuote(p.Tablespace) + "\n\\endif\n")
		p.Tablespace = space
	}
	b.WriteString(name(p.Create(marker, v)))
	b.WriteString("\\endif\n")
	return b.String()
}

// psqlQuote quotes an argument of a psql meta-command.
func psqlQuote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", `''`, "\n", `\n`, "\r", `\r`).Replace(s) + "'"
}
