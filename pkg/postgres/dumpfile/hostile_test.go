package dumpfile

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/pgdump"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
	"github.com/bmad-forge/forgectl/pkg/proc"
)

// marked ends a text as pg_dump does.
func marked(sql string) []byte { return []byte(sql + "\n--\n-- " + endMarker + "\n--\n\n") }

// prey is a live database and a place where programs would leave a trace: writable by everybody.
type prey struct {
	live   *postgres.Endpoint
	before string
	dir    string
}

func newPrey(t testing.TB, f *fixture) *prey {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "prey")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	p := &prey{live: f.target(t), dir: dir}
	scratchtest.Exec(t, p.live, "CREATE TABLE precious (i int); INSERT INTO precious VALUES (1); GRANT ALL ON precious TO PUBLIC")
	p.before = p.state(t)
	return p
}

// state is everything of the server that a hostile file could want to change.
func (p *prey) state(t testing.TB) string {
	t.Helper()
	return scratchtest.Query(t, p.live, `SELECT concat_ws('|',
		(SELECT string_agg(i::text, ',') FROM precious),
		(SELECT string_agg(concat(relname, relowner), ',' ORDER BY relname) FROM pg_class WHERE relnamespace = 'public'::regnamespace),
		(SELECT concat(datname, datdba, datacl, datconnlimit, (SELECT string_agg(setconfig::text, ',') FROM pg_db_role_setting WHERE setdatabase = d.oid)) FROM pg_database d WHERE datname = current_database()),
		(SELECT string_agg(concat(rolname, rolsuper, rolcreatedb, rolcanlogin, rolconfig), ',' ORDER BY rolname) FROM pg_roles WHERE rolname IN ('postgres', 'dump_owner', 'reader')),
		(SELECT count(*) FROM pg_auth_members WHERE roleid::regrole::text NOT LIKE 'pg_%' AND member::regrole::text IN ('postgres', 'dump_owner', 'reader')),
		current_setting('work_mem'))`)
}

func (p *prey) untouched(t testing.TB) {
	t.Helper()
	if after := p.state(t); after != p.before {
		t.Errorf("the live database was\n%s\nand is\n%s", p.before, after)
	}
	if names, err := filepath.Glob(p.dir + "/*"); err != nil || len(names) > 0 {
		t.Errorf("a program ran: %v, %v", names, err)
	}
}

// Promise: what reaches beyond the database is refused by name before anything is loaded: the live database stays as it
// is, and no program runs.
func TestHostile(t *testing.T) {
	t.Parallel()
	f := shareFixture(t)
	p := newPrey(t, f)
	e := f.target(t)
	touch := "touch " + p.dir + "/"
	for _, c := range []struct{ sql, says string }{
		{`\! ` + touch + "a", `\!`},
		{`SELECT 1 \g | ` + touch + "b", `\g`},
		{`\o | ` + touch + "c", `\o`},
		{"\\set x `" + touch + "d`", `\set`},
		{"-- harmless\r\\! " + touch + "e", `\!`},
		{"COPY t FROM stdin; \\! " + touch + "f\n\\.", "COPY"},
		{"CREATE FUNCTION f() RETURNS int BEGIN ATOMIC; COPY t FROM stdin;\n\\! " + touch + "g\n\\.\nEND;", "COPY"},
		{"SELECT E'a'\n'b\\'; \\! " + touch + "h\n'';", "literal"},
		{"\\restrict x\n\\unrestrict x\n\\! " + touch + "i", `\!`},
		{`\copy (SELECT 1) TO PROGRAM '` + touch + `j'`, `\copy`},
		{"\\connect " + p.live.Database() + "\nDELETE FROM precious;", `\connect ` + p.live.Database()},
		{"DROP DATABASE " + p.live.Database() + ";", "DROP DATABASE " + p.live.Database()},
		{"CREATE DATABASE evil;", "CREATE DATABASE evil"},
		{"ALTER DATABASE " + p.live.Database() + " RENAME TO gone;", "ALTER DATABASE " + p.live.Database()},
		{"COPY (SELECT 1) TO PROGRAM '" + touch + "k';", "COPY TO PROGRAM " + touch},
		{"CREATE TABLE t (a text); COPY t FROM PROGRAM '" + touch + "l';", "COPY FROM PROGRAM"},
		{"COPY (SELECT 1) TO '" + p.dir + "/m';", "COPY TO a file"},
		{"ALTER ROLE dump_owner SUPERUSER;", "ALTER ROLE dump_owner"},
		{"RESET SESSION AUTHORIZATION;", "session_authorization"},
		{"ALTER SYSTEM SET work_mem = '1MB';", "ALTER SYSTEM"},
	} {
		_, err := mustOpen(t, write(t, marked("CREATE TABLE never (i int);\n"+c.sql)), nil).Load(t.Context(), f.options(e))
		if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "line ") {
			t.Errorf("%q: %v", c.sql, err)
		}
	}
	// Nothing was loaded before the refusal either.
	if n := scratchtest.Query(t, e, "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"); n != "0" {
		t.Errorf("%s tables were made", n)
	}
	p.untouched(t)
	noRoleLeft(t, e)
}

// Promise: what no scanner can see, because it is put together at run time, the server denies to the temporary role: as
// whom it logged in, there is no way back to the administrator.
func TestHidden(t *testing.T) {
	t.Parallel()
	f := shareFixture(t)
	p := newPrey(t, f)
	run := func(statement string) string {
		half := len(statement) / 2
		return fmt.Sprintf("DO $x$ BEGIN EXECUTE %s || %s; END $x$;\n", postgres.QuoteLiteral(statement[:half]), postgres.QuoteLiteral(statement[half:]))
	}
	file, e := "'"+p.dir+"/", f.target(t)
	for _, statement := range []string{
		"RESET SESSION AUTHORIZATION; COPY (SELECT 1) TO " + file + "a'",
		"SET SESSION AUTHORIZATION postgres; COPY (SELECT 1) TO " + file + "a'",
		"SET ROLE postgres", "SET ROLE dump_owner", "SET ROLE NONE; COPY (SELECT 1) TO " + file + "b'",
		"COPY (SELECT 1) TO PROGRAM 'touch " + p.dir + "/c'",
		"ALTER DATABASE " + p.live.Database() + " RENAME TO gone", "ALTER DATABASE " + p.live.Database() + " SET work_mem = '1MB'",
		"GRANT ALL ON DATABASE " + p.live.Database() + " TO PUBLIC WITH GRANT OPTION; ALTER DATABASE " + p.live.Database() + " OWNER TO CURRENT_USER",
		"CREATE ROLE evil SUPERUSER", "ALTER ROLE reader LOGIN", "ALTER ROLE dump_owner SET work_mem = '1MB'", "GRANT dump_owner TO CURRENT_USER",
		"SELECT lo_export(lo_from_bytea(0, 'x'), " + file + "d')", "SELECT pg_read_file('/etc/passwd')", "SELECT set_config('role', 'postgres', false)",
		"SELECT set_config('session_authorization', 'postgres', false)", "CREATE EXTENSION file_fdw", "CREATE EXTENSION dblink",
		"CREATE FUNCTION f() RETURNS int LANGUAGE c AS '/tmp/x', 'y'", "COMMENT ON DATABASE " + p.live.Database() + " IS 'x'",
	} {
		file := mustOpen(t, write(t, marked(run(statement))), nil)
		if _, err := file.Load(t.Context(), f.options(e)); err == nil && !strings.HasPrefix(statement, "SET ROLE NONE") && !strings.HasPrefix(statement, "GRANT ALL") {
			t.Errorf("%s: no error", statement)
		}
		noRoleLeft(t, e)
	}
	p.untouched(t)

	// It does not own the database that it fills, either.
	for _, statement := range []string{"COMMENT ON DATABASE " + e.Database() + " IS 'x'", "ALTER DATABASE " + e.Database() + " SET work_mem = '1MB'"} {
		if _, err := mustOpen(t, write(t, marked(run(statement))), nil).Load(t.Context(), f.options(e)); err == nil || !strings.Contains(err.Error(), "owner") {
			t.Errorf("%s: %v", statement, err)
		}
	}
	// A setting that changes how psql reads, in secret: what it would uncover, \restrict stops.
	trick := run("SET standard_conforming_strings = off") + `SELECT '\', '` + "\n;\\! touch " + p.dir + "/z\n --';"
	if _, err := mustOpen(t, write(t, marked(trick)), nil).Load(t.Context(), f.options(e)); err == nil || !strings.Contains(err.Error(), "restricted") {
		t.Error(err)
	}
	p.untouched(t)
}

// Promise: an archive is no safer than plain SQL, and gets no more rights: its definitions are looked at, and what is
// hidden in them the server denies.
func TestHostileArchive(t *testing.T) {
	t.Parallel()
	f := shareFixture(t)
	p := newPrey(t, f)
	// pg_dump writes a view's definition as it is; the archive is then changed where it says so, to the same length.
	source := f.target(t)
	evil := "COPY (SELECT 1) TO PROGRAM 'touch " + p.dir + "/x'"
	filler := "SELECT 'here" + strings.Repeat(".", len(evil)) + "'"
	scratchtest.Exec(t, source, "CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $$"+filler+"$$")
	raw := f.dump(t, source, "--format=custom", "--compress=0")
	i := strings.Index(raw, "CREATE FUNCTION")
	j := strings.Index(raw[i:], ";\n")
	for _, c := range []struct{ sql, refused string }{
		{evil + ";", "COPY TO PROGRAM"},
		{"DO $$ BEGIN EXECUTE 'COPY (SELECT 1) TO PROGR' || 'AM ''touch " + p.dir + "/y'''; END $$;", ""},
	} {
		if len(c.sql) > j {
			t.Fatalf("%d bytes do not fit %d", len(c.sql), j)
		}
		changed := raw[:i] + c.sql + strings.Repeat(" ", j-len(c.sql)) + raw[i+j:]
		_, err := mustOpen(t, write(t, []byte(changed)), nil).Load(t.Context(), f.options(f.target(t)))
		if c.refused != "" && (!errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), c.refused) || !strings.Contains(err.Error(), "FUNCTION f()")) {
			t.Error(err)
		}
		if c.refused == "" && (err == nil || !strings.Contains(err.Error(), "must be superuser")) {
			t.Error(err)
		}
	}
	p.untouched(t)
}

// oldPsql says that psql is older than \restrict.
type oldPsql struct{ proc.Runner }

func (r oldPsql) Run(ctx context.Context, c proc.Cmd) error {
	if filepath.Base(c.Path) == "psql" && len(c.Args) == 1 {
		_, err := c.Stdout.Write([]byte("psql (PostgreSQL) 15.13\n"))
		return err
	}
	return r.Runner.Run(ctx, c)
}

// Promise: with a psql that has no \restrict a dump loads with a warning; one that psql could read in two ways does not.
func TestOldPsql(t *testing.T) {
	t.Parallel()
	f := shareFixture(t)
	o := f.options(f.target(t))
	o.Runner = oldPsql{o.Runner}
	said, err := mustOpen(t, write(t, marked("CREATE TABLE a (i int);\nALTER TABLE a OWNER TO nobody_known;")), nil).Load(t.Context(), o)
	if err != nil || len(said) != 1 || !strings.Contains(said[0].Text, `\restrict`) || said[0].Class != pgdump.Unknown {
		t.Errorf("%v, %v", said, err)
	}
	if _, err := mustOpen(t, write(t, marked(`SELECT 'a\';`)), nil).Load(t.Context(), o); !errors.Is(err, ErrRefused) {
		t.Error(err)
	}
	for v, want := range map[postgres.Version]bool{130021: false, 130022: true, 150013: false, 150014: true, 160010: true, 170005: false, 180000: true, 120099: false} {
		if hasRestrict(v) != want {
			t.Errorf("%s: %v", v, !want)
		}
	}
}

// Promise: a run that is told to end leaves no role, and the server does not go on with the file.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	f := shareFixture(t)
	e := f.target(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("told to end")
	go func() {
		conn, err := e.Connect(t.Context())
		if err != nil {
			cancel(err)
			return
		}
		defer conn.Close(context.Background())
		for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
			var sleeping bool
			if err := conn.QueryRow(t.Context(), "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%pg_sleep(100)%' AND pid <> pg_backend_pid())").Scan(&sleeping); err != nil || sleeping {
				break
			}
		}
		cancel(stop)
	}()
	_, err := mustOpen(t, write(t, marked("CREATE TABLE a (i int); SELECT pg_sleep(100);")), nil).Load(ctx, f.options(e))
	if !errors.Is(err, stop) {
		t.Error(err)
	}
	noRoleLeft(t, e)
	if n := scratchtest.Query(t, e, "SELECT count(*) FROM pg_stat_activity WHERE usename LIKE 'forgectl_load_%' AND datname = current_database()"); n != "0" {
		t.Errorf("%s sessions are left", n)
	}
}

// Promise: the temporary role logs in where the administrator comes by peer authentication: at 127.0.0.1, by password,
// which is in no log. Where there is no such way nothing is loaded.
func TestPeerAuthentication(t *testing.T) {
	t.Parallel()
	f := shareFixture(t)
	dir, err := os.MkdirTemp("/tmp", "peer")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	c, err := scratch.Start(t.Context(), scratch.Options{Dir: dir, Runner: scratchtest.Runner(), Locale: "C.UTF-8", TCP: true, Settings: map[string]string{"log_statement": "all"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	if c.User == nil {
		scratchtest.Skip(t, "peer authentication as another user needs root")
	}
	admin := scratchtest.Connect(t, c, "postgres", "postgres")
	scratchtest.Exec(t, admin, "CREATE ROLE dump_owner", "CREATE ROLE reader", "CREATE DATABASE source OWNER dump_owner TEMPLATE template0")
	hba := func(lines string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(c.DataDir, "pg_hba.conf"), []byte(lines), 0o600); err != nil {
			t.Fatal(err)
		}
		scratchtest.Exec(t, admin, "SELECT pg_reload_conf()")
		// The postmaster reads it when the signal has come.
		for end := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			conn, err := scratchtest.Connect(t, c, "postgres", "dump_owner").Connect(t.Context())
			if err == nil {
				_ = conn.Close(t.Context())
			} else if strings.Contains(err.Error(), "Peer authentication failed") {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("pg_hba.conf has no effect: %v", err)
			}
		}
	}
	e := scratchtest.Connect(t, c, "source", "postgres")
	hba("local all all peer\n")
	file := mustOpen(t, f.path("plain.sql"), nil)
	if _, err := file.Load(t.Context(), f.options(e)); !errors.Is(err, ErrNoLogin) || !strings.Contains(err.Error(), "pg_hba.conf") {
		t.Errorf("no way in: %v", err)
	}
	if n := scratchtest.Query(t, e, "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'forgectl_load_%'"); n != "0" {
		t.Errorf("%s roles are left", n)
	}
	hba("local all all peer\nhost all all 127.0.0.1/32 scram-sha-256\n")
	for _, name := range []string{"plain.sql", "custom.dump", "dir"} {
		scratchtest.Exec(t, admin, "DROP DATABASE source", "CREATE DATABASE source OWNER dump_owner TEMPLATE template0")
		if _, err := mustOpen(t, f.path(name), nil).Load(t.Context(), f.options(e)); err != nil {
			t.Fatal(err)
		}
		if owners := scratchtest.Query(t, e, "SELECT string_agg(DISTINCT tableowner, ',') FROM pg_tables WHERE schemaname IN ('public', 'reporting')"); owners != "dump_owner" {
			t.Errorf("%s: owners %s", name, owners)
		}
		if owner := scratchtest.Query(t, e, "SELECT nspowner::regrole FROM pg_namespace WHERE nspname = 'public'"); owner != "pg_database_owner" {
			t.Errorf("%s: schema public belongs to %s", name, owner)
		}
	}
}

// Promise: an administrator that is no superuser, but may create roles, does as well; an ordinary role loads with its own
// rights, and says so.
func TestLesserAdmins(t *testing.T) {
	t.Parallel()
	f := shareFixture(t)
	for _, c := range []struct {
		attributes string
		warns      bool
	}{{"LOGIN CREATEROLE", false}, {"LOGIN", true}} {
		super := scratchtest.Database(t)
		role := scratchtest.Role(t, super, c.attributes)
		scratchtest.Exec(t, super, "ALTER DATABASE "+super.Database()+" OWNER TO "+role)
		e := scratchtest.Connect(t, scratchtest.Server(t), super.Database(), role)
		if scratchtest.Query(t, super, "SELECT current_setting('server_version_num')::int / 10000") < "15" {
			scratchtest.Exec(t, super, "ALTER SCHEMA public OWNER TO "+role)
		}
		said, err := mustOpen(t, f.path("plain.sql"), nil).Load(t.Context(), f.options(e))
		if err != nil {
			t.Errorf("%s: %v", c.attributes, err)
			continue
		}
		if c.warns != (len(said) == 1) {
			t.Errorf("%s: said %v", c.attributes, said)
		}
		if owners := scratchtest.Query(t, super, "SELECT string_agg(DISTINCT tableowner, ',') FROM pg_tables WHERE schemaname IN ('public', 'reporting')"); owners != role {
			t.Errorf("%s: owners %s", c.attributes, owners)
		}
		noRoleLeft(t, super)
	}
}

// Promise: the role of a killed run is dropped by the next one when its time is over and its database is gone, and no
// earlier.
func TestSweep(t *testing.T) {
	t.Parallel()
	f := shareFixture(t)
	admin := scratchtest.Admin(t)
	scratchtest.Exec(t, admin, "CREATE ROLE forgectl_load_old LOGIN VALID UNTIL '2020-01-01'", "CREATE ROLE forgectl_load_new LOGIN VALID UNTIL '2100-01-01'")
	if _, err := mustOpen(t, write(t, marked("SELECT 1;")), nil).Load(t.Context(), f.options(f.target(t))); err != nil {
		t.Fatal(err)
	}
	if left := scratchtest.Query(t, admin, "SELECT string_agg(rolname, ' ') FROM pg_roles WHERE rolname IN ('forgectl_load_old', 'forgectl_load_new')"); left != "forgectl_load_new" {
		t.Errorf("left: %s", left)
	}
	scratchtest.Exec(t, admin, "DROP ROLE forgectl_load_new")
}

// Promise: it is the session itself that is an ordinary one, and as root psql runs as nobody where that user gets to the
// server.
func TestSession(t *testing.T) {
	t.Parallel()
	f := shareFixture(t)
	e := f.target(t)
	sql := `CREATE TABLE who AS SELECT session_user::text LIKE 'forgectl_load_%' AND session_user = current_user AS temporary,
		(SELECT rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls FROM pg_roles WHERE rolname = session_user) AS may,
		(SELECT count(*) FROM pg_auth_members WHERE member = session_user::regrole) AS member;`
	if _, err := mustOpen(t, write(t, marked(sql)), nil).Load(t.Context(), f.options(e)); err != nil {
		t.Fatal(err)
	}
	if who := scratchtest.Query(t, e, "SELECT who FROM who"); who != "(t,f,0)" {
		t.Error(who)
	}
	tcp, err := postgres.Resolve(t.Context(), postgres.Target{URL: "host=127.0.0.1 user=x dbname=x"})
	if err != nil {
		t.Fatal(err)
	}
	if user := nobody(tcp); os.Geteuid() == 0 && (user == nil || user.User != "nobody") {
		t.Errorf("psql would run as %v", user)
	}
}
