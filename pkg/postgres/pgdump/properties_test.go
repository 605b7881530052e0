package pgdump

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
	"github.com/bmad-forge/forgectl/pkg/proc"
)

// propertiesOf reads what a database is, through its head line and back.
func propertiesOf(t testing.TB, e *postgres.Endpoint) (Properties, []byte) {
	t.Helper()
	g, ctx := openGuard(t, e, GuardOptions{})
	var b bytes.Buffer
	written, err := WriteProperties(ctx, g, &b)
	if err != nil {
		t.Fatal(err)
	}
	g.Abort()
	read, err := ReadProperties(bytes.NewReader(b.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	if !cmp.Equal(written, read, cmpopts.EquateEmpty()) {
		t.Errorf("written %+v, read %+v", written, read)
	}
	return read, b.Bytes()
}

// rawProperties is what the catalogs hold of a database, read without any of our code.
const rawProperties = `jsonb_pretty(jsonb_build_object(
	'database', (SELECT to_jsonb(d) - 'oid' - 'datname' - 'datfrozenxid' - 'datminmxid' - 'dattablespace' - 'datacl' FROM pg_database d WHERE datname = current_database()),
	'acl', (SELECT jsonb_agg(to_jsonb(a) ORDER BY a.grantee, a.privilege_type) FROM pg_database d, aclexplode(d.datacl) a WHERE datname = current_database()),
	'has acl', (SELECT datacl IS NOT NULL FROM pg_database WHERE datname = current_database()),
	'comment', (SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = current_database()),
	'settings', (SELECT jsonb_agg(jsonb_build_array(setrole, setting) ORDER BY setrole, setting) FROM pg_db_role_setting, unnest(setconfig) setting
		WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database()))))`

// Promise: owner, privileges, comment, settings, limit, encoding and locale
// come back as they were, both through Candidate and through psql, for any name.
func TestProperties(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string // "": a plain one
		create  string // clauses of CREATE DATABASE
		sql     string // @ is the database, %[1]s and %[2]s are roles
		missing string // the server cannot make it
	}{
		{sql: ""},
		{sql: `ALTER DATABASE @ OWNER TO %[1]s; ALTER DATABASE @ CONNECTION LIMIT 7;
			COMMENT ON DATABASE @ IS E'it''s a \\ back\\slash\nand :db, :"db", :''db'' \\q ü €';
			ALTER DATABASE @ SET search_path TO "$user", public, " Odd, ""one"" ", "UPPER";
			ALTER ROLE %[1]s IN DATABASE @ SET search_path TO '';
			ALTER ROLE %[2]s IN DATABASE @ SET search_path TO '', public;
			ALTER ROLE %[2]s IN DATABASE @ SET work_mem TO '64MB';
			ALTER DATABASE @ SET session_preload_libraries TO 'auto_explain', 'pg_stat_statements';
			ALTER DATABASE @ SET temp_tablespaces TO pg_default, '';
			ALTER DATABASE @ SET DateStyle TO 'ISO, DMY'; ALTER DATABASE @ SET TimeZone TO 'Europe/Vienna';
			ALTER DATABASE @ SET "app.Odd" TO E'a=b, "c" ''d'' \\e\n'; ALTER DATABASE @ SET app.empty TO '';
			ALTER DATABASE @ SET statement_timeout TO 0; ALTER DATABASE @ SET default_transaction_read_only TO on`},
		{sql: "REVOKE ALL ON DATABASE @ FROM PUBLIC; ALTER DATABASE @ CONNECTION LIMIT 0; ALTER DATABASE @ IS_TEMPLATE true; ALTER DATABASE @ SET search_path TO ''"},
		{sql: "REVOKE ALL ON DATABASE @ FROM PUBLIC, postgres"},
		{sql: "ALTER DATABASE @ OWNER TO %[1]s; REVOKE CONNECT ON DATABASE @ FROM PUBLIC; REVOKE CREATE ON DATABASE @ FROM %[1]s; GRANT CONNECT ON DATABASE @ TO %[2]s WITH GRANT OPTION; GRANT TEMPORARY ON DATABASE @ TO %[2]s"},
		{name: "with 'quotes' and \"quotes\""},
		{name: " spaces  and a tab\t"},
		{name: "ünïcödé €𝄞"},
		{name: "two\nlines"},
		{name: "a=b"},
		{name: "--help"},
		{name: `back\slash\`},
		{name: ":db $user %s"},
		{name: "postgres://nowhere"},
		{name: strings.Repeat("x", 40)},
		{create: "ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'", sql: "COMMENT ON DATABASE @ IS 'plain'"},
		{name: "grün", create: "ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'", sql: "COMMENT ON DATABASE @ IS 'grün'; ALTER DATABASE @ SET app.color TO 'grün'"},
		{name: "grün", create: "ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'", sql: "COMMENT ON DATABASE @ IS 'grün'"},
		{create: "LC_COLLATE 'C.UTF-8' LC_CTYPE 'C'"},
		{create: "LOCALE_PROVIDER icu ICU_LOCALE 'de-AT' LC_COLLATE 'C.UTF-8' LC_CTYPE 'C.UTF-8'", missing: "ICU is not supported"},
	} {
		t.Run(fmt.Sprintf("%.40s", c.name+c.create+c.sql), func(t *testing.T) {
			t.Parallel()
			admin := scratchtest.Admin(t)
			name := c.name + scratchtest.Name("p")
			conn := scratchtest.Open(t, admin)
			roles := []any{scratchtest.Role(t, admin, ""), scratchtest.Role(t, admin, "")}
			if _, err := conn.Exec(t.Context(), "CREATE DATABASE "+postgres.QuoteIdent(name)+" TEMPLATE template0 "+c.create); err != nil {
				if c.missing != "" && strings.Contains(err.Error(), c.missing) {
					scratchtest.Skip(t, err)
				}
				t.Fatal(err)
			}
			drop(t, name)
			if c.sql != "" {
				sql := strings.ReplaceAll(c.sql, "@", postgres.QuoteIdent(name))
				if strings.Contains(sql, "%[") {
					sql = fmt.Sprintf(sql+"; SELECT '%[1]s%[2]s'", roles...)
				}
				mustExec(t, conn, sql)
			}
			e := admin.WithDatabase(name)
			p, script := propertiesOf(t, e)
			want := scratchtest.Query(t, e, rawProperties)

			restored := c.name + scratchtest.Name("r")
			candidate := Candidate{Admin: admin, Name: scratchtest.Name("candidate")}
			drop(t, restored)
			drop(t, candidate.Name)
			if err := candidate.Create(t.Context(), p, "a note"); err != nil {
				t.Fatal(err)
			}
			if err := candidate.Finish(t.Context(), p, restored); err != nil {
				t.Fatal(err)
			}
			if got := scratchtest.Query(t, admin.WithDatabase(restored), rawProperties); got != want {
				t.Errorf("through Candidate:\n%s\nnot\n%s", got, want)
			}

			// Without a name the script makes the original one.
			if c.create == "" && c.sql == "" {
				scratchtest.Exec(t, admin, "DROP DATABASE "+postgres.QuoteIdent(name))
				psql(t, admin, string(script))
				psql(t, admin, string(script), "after=1")
				if got := scratchtest.Query(t, e, "current_database()"); got != name {
					t.Errorf("made %q, not %q", got, name)
				}
				return
			}
			// psql asks the environment for the encoding of what it reads; the script knows its own.
			byHand := scratchtest.Name("h")
			drop(t, byHand)
			psql(t, admin, string(script), "db="+byHand)
			psql(t, admin, string(script), "db="+byHand, "after=1")
			if got := scratchtest.Query(t, admin.WithDatabase(byHand), rawProperties); got != want {
				t.Errorf("through psql:\n%s\nnot\n%s", got, want)
			}
		})
	}
}

// drop drops a database that may be a template when the test ends.
func drop(t testing.TB, name string) {
	t.Helper()
	scratchtest.Drop(t, name)
	admin := scratchtest.Admin(t)
	t.Cleanup(func() {
		scratchtest.Exec(unended{t}, admin, "UPDATE pg_database SET datistemplate = false WHERE datistemplate AND datname = "+postgres.QuoteLiteral(name))
	})
}

func psql(t testing.TB, admin *postgres.Endpoint, script string, variables ...string) {
	t.Helper()
	cmd, done, err := childCmd(admin, tools(t).Path("psql"))
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	cmd.Args = append(cmd.Args, "--no-psqlrc", "--quiet", "--file=-")
	for _, v := range variables {
		cmd.Args = append(cmd.Args, "--set="+v)
	}
	cmd.Env = append(cmd.Env, "PGCLIENTENCODING=LATIN1")
	cmd.Stdin = strings.NewReader(script)
	var said []string
	cmd.Stderr = func(line string) { said = append(said, line) }
	if err := scratchtest.Runner().Run(t.Context(), cmd); err != nil || len(said) > 0 {
		t.Fatalf("psql: %v: %q\n%s", err, said, script)
	}
}

// Promise: the settings of the server that a restore must know are recorded, and the extensions.
func TestPropertiesOfServer(t *testing.T) {
	t.Parallel()
	p, _ := propertiesOf(t, scratchtest.Database(t, "CREATE EXTENSION citext"))
	if !slices.Equal(p.Extensions, []string{"citext", "plpgsql"}) || len(p.Preload) > 0 || p.LocaleProvider != "libc" || p.HasACL {
		t.Errorf("%+v", p)
	}
}

// Promise: CREATE DATABASE is written for the server that it is for.
func TestCreateByVersion(t *testing.T) {
	p := Properties{Encoding: "UTF8", Collate: "C", CType: "C"}
	const head = `CREATE DATABASE "d" TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'`
	for _, c := range []struct {
		version                 postgres.Version
		provider, locale, rules string
		want                    string
	}{
		{140000, "libc", "", "", ""},
		{150000, "libc", "", "", " LOCALE_PROVIDER libc"},
		{150000, "icu", "de", "&a<b", " LOCALE_PROVIDER icu ICU_LOCALE 'de'"},
		{160000, "icu", "de", "&a<b", " LOCALE_PROVIDER icu ICU_LOCALE 'de' ICU_RULES '&a<b'"},
		{170000, "builtin", "C.UTF-8", "", " LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'"},
	} {
		p.LocaleProvider, p.Locale, p.ICURules = c.provider, c.locale, c.rules
		if got := p.Create("d", c.version); got != head+c.want {
			t.Errorf("%s for %s: %s", c.provider, c.version, got)
		}
	}
}

// Promise: lists of names are taken apart as the server wrote them.
func TestSettingValue(t *testing.T) {
	for _, c := range []struct{ name, value, want string }{
		{"search_path", `"$user", public`, `'$user', 'public'`},
		{"Search_Path", `a,b`, `'a', 'b'`},
		{"search_path", `""`, `''`},
		{"search_path", ``, `''`},
		{"search_path", `"", x`, `'', 'x'`},
		{"search_path", `" a ", "b""c", "d,e"`, `' a ', 'b"c', 'd,e'`},
		{"search_path", `"it's"`, `'it''s'`},
		{"temp_tablespaces", `a, "b c"`, `'a', 'b c'`},
		{"DateStyle", "ISO, DMY", "'ISO, DMY'"},
		{"work_mem", "64MB", "'64MB'"},
	} {
		if got := settingValue(c.name, c.value); got != c.want {
			t.Errorf("%s = %s: %s, not %s", c.name, c.value, got, c.want)
		}
	}
}

// Promise: a candidate is never taken for, nor put in the place of, another
// database; it is marked while it is one, and Drop removes it with its sessions.
func TestCandidate(t *testing.T) {
	t.Parallel()
	admin := scratchtest.Admin(t)
	taken := scratchtest.Database(t, subject)
	p, _ := propertiesOf(t, taken)
	p.Comment = "the original's"
	if err := (Candidate{Admin: admin, Name: taken.Database()}).Create(t.Context(), p, ""); !errors.Is(err, ErrExists) {
		t.Errorf("create over another: %v", err)
	}
	c := Candidate{Admin: admin, Name: scratchtest.Name(`cand"idate`)}
	exists := func() bool {
		yes, err := Exists(t.Context(), admin, c.Name)
		if err != nil {
			t.Fatal(err)
		}
		return yes
	}
	if exists() {
		t.Error("it exists before")
	}
	if err := c.Create(t.Context(), p, `{"note": "it's"}`); err != nil {
		t.Fatal(err)
	}
	const comment = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = current_database()"
	if got := scratchtest.Query(t, c.Endpoint(), comment); got != `{"note": "it's"}` || !exists() {
		t.Errorf("note %q, exists %v", got, exists())
	}
	if err := c.Analyze(t.Context(), 2); err != nil {
		t.Error(err)
	}
	// The name of another stays that of the other, and nothing is half done.
	if err := c.Finish(t.Context(), p, taken.Database()); !errors.Is(err, ErrExists) {
		t.Errorf("finish over another: %v", err)
	}
	if got := scratchtest.Query(t, c.Endpoint(), comment); got != `{"note": "it's"}` {
		t.Errorf("half finished: %q", got)
	}
	// A value that the server refuses is not repeated by us: it may be a secret.
	bad := p
	bad.Settings = []Setting{{Name: "app.key", Value: "sesame"}, {Name: "work_mem", Value: "open sesame"}}
	err := c.Finish(t.Context(), bad, "x")
	if err == nil || strings.Contains(err.Error(), "TO 'open sesame'") || !strings.Contains(err.Error(), `SET "work_mem"`) {
		t.Errorf("got %v", err)
	}
	open := scratchtest.Open(t, c.Endpoint())
	if err := c.Drop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := open.Ping(t.Context()); err == nil || exists() {
		t.Error("it is still there")
	}
	if err := c.Drop(t.Context()); err != nil {
		t.Errorf("drop of what is gone: %v", err)
	}
	if err := c.Analyze(t.Context(), 2); err == nil {
		t.Error("what is gone was analyzed")
	}
}

// Promise: a run that ends while the server makes the candidate leaves none.
func TestCreateEnded(t *testing.T) {
	t.Parallel()
	admin := scratchtest.Admin(t)
	spare := scratchtest.Database(t)
	p, _ := propertiesOf(t, spare)
	c := Candidate{Admin: admin, Name: scratchtest.Name("candidate")}
	// Whoever wants the name must wait for the end of this transaction.
	blocker := scratchtest.Open(t, admin)
	mustExec(t, blocker, "BEGIN; ALTER DATABASE "+spare.Database()+" RENAME TO "+c.Name)
	ctx, end := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	made := make(chan error, 1)
	go func() { made <- c.Create(ctx, p, "a note") }()
	await(t, admin, "EXISTS (SELECT FROM pg_stat_activity WHERE query LIKE 'CREATE DATABASE "+postgres.QuoteIdent(c.Name)+"%' AND wait_event_type = 'Lock')")
	end(enough)
	mustExec(t, blocker, "ROLLBACK")
	if err := <-made; !errors.Is(err, enough) {
		t.Errorf("got %v", err)
	}
	if yes, err := Exists(t.Context(), admin, c.Name); yes || err != nil {
		t.Error(yes, err)
	}
}

// Promise: a load that failed leaves nothing: Drop works after the run has ended.
func TestDropAfterEnd(t *testing.T) {
	t.Parallel()
	admin := scratchtest.Admin(t)
	p, _ := propertiesOf(t, scratchtest.Database(t))
	c := Candidate{Admin: admin, Name: scratchtest.Name("candidate")}
	if err := c.Create(t.Context(), p, ""); err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(t.Context())
	end()
	if err := c.Drop(ctx); err != nil {
		t.Error(err)
	}
	if yes, err := Exists(t.Context(), admin, c.Name); yes || err != nil {
		t.Error(yes, err)
	}
}

// Promise: a comment that was written inside a database of another encoding is
// read as what it is, and roles keep their names.
func TestOtherEncodingInside(t *testing.T) {
	t.Parallel()
	admin := scratchtest.Admin(t)
	name, role := scratchtest.Name("inside"), scratchtest.Name("grün")
	scratchtest.Exec(t, admin, "CREATE DATABASE "+name+" TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'", "CREATE ROLE "+role)
	t.Cleanup(func() { dropRole(t, role) })
	scratchtest.Drop(t, name)
	e := admin.WithDatabase(name)
	scratchtest.Exec(t, e, "COMMENT ON DATABASE "+name+" IS 'grün'")
	if p, _ := propertiesOf(t, e); p.Comment != "grün" {
		t.Errorf("comment %q", p.Comment)
	}
	g, ctx := openGuard(t, e, GuardOptions{})
	var b bytes.Buffer
	if _, err := dumper(t, e).Globals(ctx, g, false, &b); err != nil {
		t.Fatal(err)
	}
	head, err := ReadGlobals(bytes.NewReader(b.Bytes()))
	if err != nil || !slices.Contains(head.Roles, Role{Name: role}) {
		t.Errorf("%+v, %v", head, err)
	}
	if !strings.Contains(b.String(), `CREATE ROLE "`+role+`"`) && !strings.Contains(b.String(), "CREATE ROLE "+role) {
		t.Errorf("globals:\n%s", b.String())
	}
}

// Promise: rows of other encodings come back, and hash the same.
func TestEncodings(t *testing.T) {
	t.Parallel()
	for encoding, insert := range map[string]string{
		"LATIN1":    "INSERT INTO t VALUES (E'\\u00e9\\u00fc'), ('plain')",
		"SQL_ASCII": "INSERT INTO t VALUES (convert_from('\\xe9ff80', 'SQL_ASCII')), ('plain')",
	} {
		t.Run(encoding, func(t *testing.T) {
			t.Parallel()
			name := scratchtest.Name("enc")
			admin := scratchtest.Admin(t)
			scratchtest.Exec(t, admin, "CREATE DATABASE "+name+" TEMPLATE template0 ENCODING '"+encoding+"' LC_COLLATE 'C' LC_CTYPE 'C'")
			scratchtest.Drop(t, name)
			e := admin.WithDatabase(name)
			scratchtest.Exec(t, e, "CREATE TABLE t (s text)", insert)
			d := dump(t, e, catalog.FingerprintFull)
			loaded := d.load(t)
			if err := Compare(t.Context(), loaded, d.fingerprint, nil); err != nil {
				t.Error(err)
			}
			const bytesOf = "SELECT string_agg(encode(s::bytea, 'hex'), ',' ORDER BY s) FROM t"
			if got, want := scratchtest.Query(t, loaded, bytesOf), scratchtest.Query(t, e, bytesOf); got != want || !strings.Contains(got, "e9") {
				t.Errorf("%s, not %s", got, want)
			}
		})
	}
}

// Promise: a password reaches pg_dump in a memory file, and neither its
// arguments nor its environment hold it.
func TestPasswordOfChild(t *testing.T) {
	t.Parallel()
	admin := scratchtest.Admin(t)
	e, err := postgres.Resolve(t.Context(), postgres.Target{URL: admin.Conninfo(), Password: `ses:ame\ 'x'`})
	if err != nil {
		t.Fatal(err)
	}
	cmd, done, err := childCmd(e, tools(t).Path("psql"))
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	if all := strings.Join(append(cmd.Args, cmd.Env...), " "); strings.Contains(all, "ses:") || strings.Contains(all, `ses\:`) || !strings.Contains(all, "PGPASSFILE=/proc/self/fd/3") {
		t.Errorf("arguments and environment: %s", all)
	}
	if !slices.Equal(cmd.Secrets, []string{`ses:ame\ 'x'`}) {
		t.Errorf("secrets %q", cmd.Secrets)
	}
	// The child's user can open the file.
	cmd.Path, cmd.Args = "cat", []string{"/proc/self/fd/3"}
	out, err := proc.Output(t.Context(), scratchtest.Runner(), cmd)
	if err != nil || string(out) != `*:*:*:*:ses\:ame\\ 'x'`+"\n" {
		t.Errorf("%q, %v", out, err)
	}
}
