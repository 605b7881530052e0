package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
	"github.com/bmad-forge/forgectl/pkg/proc"
)

func resolve(t testing.TB, target postgres.Target) *postgres.Endpoint {
	t.Helper()
	e, err := postgres.Resolve(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// child asks psql, given what any child is given, as whom and where it is.
func child(t testing.TB, e *postgres.Endpoint) (string, error) {
	t.Helper()
	tools, err := postgres.ToolFinder{Runner: scratchtest.Runner(), Path: os.Getenv("PATH")}.Find(t.Context(), "psql", 10)
	if err != nil {
		t.Fatal(err)
	}
	cmd := proc.Cmd{
		Path: tools.Path("psql"), As: e.As(), Env: e.Environ(),
		Args: []string{"--dbname=" + e.Conninfo(), "--no-psqlrc", "--no-password", "-Atc", "SELECT current_user || '@' || current_database()"},
	}
	if passfile := e.Passfile(); passfile != nil {
		file, err := proc.Memfd("pgpass", passfile, e.As())
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		cmd.Files, cmd.Env = []*os.File{file}, append(cmd.Env, "PGPASSFILE=/proc/self/fd/3")
	}
	out, err := proc.Output(t.Context(), scratchtest.Runner(), cmd)
	return strings.TrimSpace(string(out)), err
}

// reaches checks that both our own connection and a child's arrive there.
func reaches(t testing.TB, e *postgres.Endpoint, want string) {
	t.Helper()
	conn, err := e.Connect(t.Context())
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close(context.Background())
	var got string
	if err := conn.QueryRow(t.Context(), "SELECT current_user || '@' || current_database()").Scan(&got); err != nil || got != want {
		t.Errorf("we reach %s, not %s: %v", got, want, err)
	}
	if got, err := child(t, e); err != nil || got != want {
		t.Errorf("a child reaches %s, not %s: %v", got, want, err)
	}
}

// Promise: what is left open is filled in by the rules of libpq, without
// asking a server, and printed without a password.
func TestResolve(t *testing.T) {
	for _, c := range []struct {
		target               postgres.Target
		text, host, database string
		socket, here         bool
	}{
		{postgres.Target{URL: "postgres://u:sesame@db.example.org:5433/d"}, "u@db.example.org:5433/d", "db.example.org", "d", false, false},
		{postgres.Target{URL: "postgres://u@[2001:db8::1]/d"}, "u@[2001:db8::1]:5432/d", "2001:db8::1", "d", false, false},
		{postgres.Target{URL: "postgres://u@[::1]/d"}, "u@[::1]:5432/d", "::1", "d", false, true},
		{postgres.Target{URL: "postgres://u@127.0.0.9"}, "u@127.0.0.9:5432/u", "127.0.0.9", "u", false, true},
		{postgres.Target{URL: "host=localhost user=u", Database: "other"}, "u@localhost:5432/other", "localhost", "other", false, true},
		{postgres.Target{URL: "postgres://u@h/d", Database: "other", Password: "sesame"}, "u@h:5432/other", "h", "other", false, false},
		{postgres.Target{URL: "hostaddr=127.0.0.9 user=u"}, "u@127.0.0.9:5432/u", "127.0.0.9", "u", false, true},
		{postgres.Target{URL: "host=/run/x user=nobody_at_all"}, "nobody_at_all@/run/x:5432/nobody_at_all", "/run/x", "nobody_at_all", true, true},
	} {
		e := resolve(t, c.target)
		if e.String() != c.text || e.Database() != c.database || e.Socket() != c.socket || e.OnThisHost() != c.here {
			t.Errorf("%s: %s, database %s, socket %v, here %v", c.text, e, e.Database(), e.Socket(), e.OnThisHost())
		}
		p, err := postgres.ParseConninfo(e.Conninfo())
		if err != nil || p["host"] != c.host || p["dbname"] != c.database || p["user"] != e.User() {
			t.Errorf("%s: conninfo %s, %v", c.text, e.Conninfo(), err)
		}
		if all := e.String() + e.Conninfo() + strings.Join(e.Environ(), " "); strings.Contains(all, "sesame") {
			t.Errorf("the password is in %s", all)
		}
		if other := e.WithDatabase("z"); other.Database() != "z" || e.Database() != c.database || !strings.Contains(other.Conninfo(), "dbname='z'") {
			t.Errorf("with another database: %s, and the first: %s", other, e)
		}
	}
}

// Promise: a keyword that only one of the two client libraries understands does
// not reach the other; one that cannot be kept is refused before anything is
// contacted. No error repeats a password, or what may be a piece of one.
func TestKeywords(t *testing.T) {
	t.Parallel()
	admin := scratchtest.Admin(t)
	e := resolve(t, postgres.Target{URL: admin.Conninfo() + " keepalives=1 keepalives_idle=30 gssencmode=disable tcp_user_timeout=0 application_name=me connect_timeout=7 options='-c work_mem=77MB'"})
	reaches(t, e, "postgres@postgres")
	if got := scratchtest.Query(t, e, "current_setting('work_mem') || current_setting('application_name')"); got != "77MBme" {
		t.Errorf("got %s", got)
	}
	if c := e.Conninfo(); !strings.Contains(c, "keepalives_idle='30'") || !strings.Contains(c, "connect_timeout='7'") {
		t.Errorf("conninfo %s", c)
	}
	if got := scratchtest.Query(t, admin, "current_setting('application_name')"); got != "forgectl" {
		t.Errorf("application name %s", got)
	}
	for conninfo, says := range map[string]string{
		"host=a hostaddr=127.0.0.1":                             "hostaddr",
		"host=a sslpassword=sesame":                             "sslpassword",
		"host=a sslcrl=/x":                                      "sslcrl",
		"host=a password=open sesame=x":                         "a keyword",
		"host=a password=open sesame =":                         "a keyword",
		"postgres://a/d?search_path=sesame":                     "a keyword",
		"host=a password=sesame port=x":                         "malformed",
		"host=a password=sesame port=sesame":                    "malformed",
		"host=a password=sesame sslmode=sesame":                 "malformed",
		"host=a password=sesame sslrootcert=/not":               "sslrootcert",
		"postgres://u:sesame@h:x/d":                             "malformed",
		"host=a,b port=1,2,3 password=sesame":                   "malformed",
		"service=none servicefile=/sesame/none password=sesame": "service",
	} {
		if strings.Contains(conninfo, "sslrootcert") {
			conninfo += " sslmode=verify-full"
		}
		_, err := postgres.Resolve(t.Context(), postgres.Target{URL: conninfo})
		if !errors.Is(err, postgres.ErrConninfo) || strings.Contains(err.Error(), "sesame") {
			t.Errorf("%s: %v", conninfo, err)
		}
		if says != "sslrootcert" && (err == nil || !strings.Contains(err.Error(), says)) {
			t.Errorf("%s: %v", conninfo, err)
		}
	}
}

// Promise: a child gets what it needs of the environment, no password, and speaks English.
func TestChildEnviron(t *testing.T) {
	e := resolve(t, postgres.Target{URL: "host=h user=u", Environ: []string{
		"PGPASSWORD=sesame", "PGSSLPASSWORD=sesame", "PGHOST=elsewhere", "PGSSLROOTCERT=/ca", "PGSERVICEFILE=/s", "PGSYSCONFDIR=/c", "PATH=/bin", "PGSSLMODE=require", "PGOPTIONS=-c x",
	}})
	want := []string{"LC_MESSAGES=C", "LC_ALL=", "PGSSLROOTCERT=/ca", "PGSERVICEFILE=/s", "PGSYSCONFDIR=/c", "PGSSLMODE=require"}
	if got := e.Environ(); !slices.Equal(got, want) {
		t.Errorf("%q, not %q", got, want)
	}
}

// Promise: a password file for children says any password, and there is none without one.
func TestPassfile(t *testing.T) {
	for password, want := range map[string]string{
		"":         "",
		"plain":    "*:*:*:*:plain\n",
		`a:b\c`:    `*:*:*:*:a\:b\\c` + "\n",
		`\:`:       `*:*:*:*:\\\:` + "\n",
		"ü 'x' \t": "*:*:*:*:ü 'x' \t\n",
	} {
		e := resolve(t, postgres.Target{URL: "host=h user=u", Password: password})
		if got := string(e.Passfile()); got != want || e.Password() != password {
			t.Errorf("%q: %q, not %q", password, got, want)
		}
	}
}

// Promise: of several hosts the first that answers is meant, for children too;
// when none does, the error names each.
func TestHosts(t *testing.T) {
	t.Parallel()
	s := scratchtest.Server(t)
	closed := closedPort(t)
	e := resolve(t, postgres.Target{URL: fmt.Sprintf("host=127.0.0.1,%s,127.0.0.1 port=%d,%d,1 user=postgres dbname=postgres", s.SocketDir, closed, s.Port)})
	if e.String() != fmt.Sprintf("postgres@%s:%d/postgres", s.SocketDir, s.Port) {
		t.Errorf("it is %s", e)
	}
	if _, err := child(t, e); err != nil {
		t.Error(err)
	}
	_, err := postgres.Resolve(t.Context(), postgres.Target{URL: fmt.Sprintf("host=127.0.0.1,127.0.0.2 port=%d user=u password=sesame", closed)})
	var failed *postgres.ConnectError
	if !errors.As(err, &failed) || !strings.Contains(err.Error(), "127.0.0.1:") || !strings.Contains(err.Error(), "127.0.0.2:") || strings.Contains(err.Error(), "sesame") {
		t.Errorf("got %v", err)
	}
}

// closedPort is a port of 127.0.0.1 where nobody listens.
func closedPort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

const password = `se:s\ame 'x'`

// guardedServer is a server of its own that asks who is there: peer on the
// socket, passwords on 127.0.0.1. The role pw has one, root and deploy have none.
func guardedServer(t *testing.T) *scratch.Cluster {
	t.Helper()
	dir, err := os.MkdirTemp("", "forgectl-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	c, err := scratch.Start(t.Context(), scratch.Options{Dir: dir, Runner: scratchtest.Runner(), Locale: "C.UTF-8", TCP: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Stop(context.Background()) })
	admin := scratchtest.Connect(t, c, "postgres", scratch.Superuser)
	scratchtest.Exec(t, admin, "CREATE ROLE pw LOGIN PASSWORD "+postgres.QuoteLiteral(password),
		"CREATE ROLE full LOGIN PASSWORD "+postgres.QuoteLiteral(password)+" CONNECTION LIMIT 0", "CREATE ROLE root LOGIN", "CREATE ROLE deploy LOGIN")
	hba := "local all all peer\nhost all all 127.0.0.1/32 scram-sha-256\n"
	if err := os.WriteFile(filepath.Join(c.DataDir, "pg_hba.conf"), []byte(hba), 0o600); err != nil {
		t.Fatal(err)
	}
	scratchtest.Exec(t, admin, "SELECT pg_reload_conf()")
	deploy := resolve(t, postgres.Target{URL: fmt.Sprintf("host='%s' port=%d user=deploy dbname=postgres", c.SocketDir, c.Port)})
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		conn, err := deploy.Connect(t.Context())
		if err != nil {
			return c
		}
		_ = conn.Close(t.Context())
		if time.Now().After(end) {
			t.Fatal("the server does not read pg_hba.conf")
		}
	}
}

// Promise: passwords from the URL, ~/.pgpass and a service file work for us and
// for children; as root a peer-authenticated socket is reached as another OS
// user; a connection that is refused says what to look at, and no password.
func TestAuthentication(t *testing.T) {
	c := guardedServer(t)
	home := t.TempDir()
	t.Setenv("HOME", home)
	tcp := fmt.Sprintf("host=127.0.0.1 port=%d dbname=postgres", c.Port)
	socket := fmt.Sprintf("host='%s' port=%d dbname=postgres", c.SocketDir, c.Port)
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(home, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.Remove(path) })
		return path
	}
	escaped := strings.NewReplacer(`\`, `\\`, `:`, `\:`).Replace(password)

	t.Run("target's password", func(t *testing.T) {
		reaches(t, resolve(t, postgres.Target{URL: tcp + " user=pw password=wrong", Password: password}), "pw@postgres")
	})
	t.Run("URL", func(t *testing.T) {
		reaches(t, resolve(t, postgres.Target{URL: fmt.Sprintf("postgres://pw:se%%3As%%5Came%%20'x'@127.0.0.1:%d/postgres", c.Port)}), "pw@postgres")
	})
	t.Run("pgpass", func(t *testing.T) {
		write(".pgpass", fmt.Sprintf("127.0.0.1:1:*:pw:wrong\n127.0.0.1:%d:*:pw:%s\n", c.Port, escaped))
		reaches(t, resolve(t, postgres.Target{URL: tcp + " user=pw"}), "pw@postgres")
	})
	t.Run("passfile", func(t *testing.T) {
		path := write("elsewhere", "*:*:*:*:"+escaped+"\n")
		e := resolve(t, postgres.Target{URL: tcp + " user=pw passfile='" + path + "'"})
		if strings.Contains(e.Conninfo(), "passfile") {
			t.Errorf("conninfo %s", e.Conninfo())
		}
		reaches(t, e, "pw@postgres")
	})
	t.Run("service file", func(t *testing.T) {
		path := write(".pg_service.conf", fmt.Sprintf("[forge]\nhost=127.0.0.1\nport=%d\ndbname=template1\nuser=pw\npassword=%s\n", c.Port, password))
		reaches(t, resolve(t, postgres.Target{URL: "service=forge"}), "pw@template1")
		reaches(t, resolve(t, postgres.Target{URL: "service=forge", Database: "postgres"}), "pw@postgres")
		elsewhere := filepath.Join(home, "services")
		if err := os.Rename(path, elsewhere); err != nil {
			t.Fatal(err)
		}
		reaches(t, resolve(t, postgres.Target{URL: "service=forge servicefile='" + elsewhere + "'"}), "pw@template1")
		t.Setenv("PGSERVICE", "forge")
		t.Setenv("PGSERVICEFILE", elsewhere)
		reaches(t, resolve(t, postgres.Target{Environ: os.Environ()}), "pw@template1")
		e := resolve(t, postgres.Target{Environ: os.Environ()})
		if all := e.Conninfo() + e.String() + strings.Join(e.Environ(), " "); strings.Contains(all, "ame 'x'") {
			t.Errorf("the password is in %s", all)
		}
	})
	t.Run("peer", func(t *testing.T) {
		if os.Geteuid() != 0 {
			scratchtest.Skip(t, "only root can be somebody else")
		}
		reaches(t, resolve(t, postgres.Target{URL: socket, OSUser: "postgres"}), "postgres@postgres")
		e := resolve(t, postgres.Target{URL: socket + " user=postgres"})
		if e.As() == nil || e.As().User != "postgres" {
			t.Errorf("children run as %v", e.As())
		}
		reaches(t, e, "postgres@postgres")
		if e := resolve(t, postgres.Target{URL: fmt.Sprintf("host='%s' port=%d", c.SocketDir, c.Port), OSUser: "postgres"}); e.Database() != "postgres" {
			t.Errorf("database %s", e.Database())
		}
		// Who names root means root.
		reaches(t, resolve(t, postgres.Target{URL: socket + " user=root", OSUser: "postgres"}), "root@postgres")
		reaches(t, resolve(t, postgres.Target{URL: socket}), "root@postgres")
		t.Setenv("PGUSER", "root")
		reaches(t, resolve(t, postgres.Target{URL: socket, OSUser: "postgres", Environ: os.Environ()}), "root@postgres")
		t.Setenv("PGUSER", "")
		// On TCP there are no peers.
		if e := resolve(t, postgres.Target{URL: tcp + " user=postgres", OSUser: "postgres"}); e.As() != nil {
			t.Errorf("children run as %v", e.As())
		}
		// The password of the role that it becomes is looked up, for this very port.
		write(".pgpass", fmt.Sprintf("localhost:%d:*:postgres:found\n", c.Port))
		if e := resolve(t, postgres.Target{URL: socket, OSUser: "postgres"}); e.Password() != "found" {
			t.Errorf("password %q", e.Password())
		}
		path := write("elsewhere", "*:*:*:postgres:there\n")
		if e := resolve(t, postgres.Target{URL: socket + " passfile='" + path + "'", OSUser: "postgres"}); e.Password() != "there" {
			t.Errorf("password %q", e.Password())
		}
		// The other user cannot read root's service file.
		write(".pg_service.conf", fmt.Sprintf("[forge]\nhost=%s\nport=%d\ndbname=template1\nuser=postgres\n", c.SocketDir, c.Port))
		reaches(t, resolve(t, postgres.Target{URL: "service=forge"}), "postgres@template1")
		t.Setenv("PGSERVICE", "forge")
		reaches(t, resolve(t, postgres.Target{Environ: os.Environ()}), "postgres@template1")
	})
	t.Run("hints", func(t *testing.T) {
		for _, c := range []struct{ name, conninfo, code, hint string }{
			{"no server on TCP", fmt.Sprintf("host=127.0.0.1 port=%d user=pw password=sesame", closedPort(t)), "connection refused", "is PostgreSQL running there?"},
			{"no socket", "host=/nowhere user=deploy password=sesame", "no such file", "is PostgreSQL running there?"},
			{"no such database", tcp + " user=pw dbname=nowhere password='se:s\\\\ame \\'x\\''", `database "nowhere" does not exist`, "psql -l"},
			{"wrong password", tcp + " user=pw password=sesame", "28P01", `check role "pw"`},
			{"no such role", tcp + " user=nobody_at_all password=sesame", "28P01", `check role "nobody_at_all"`},
			{"not that peer", socket + " user=deploy password=sesame", "28000", `check role "deploy"`},
			{"too many connections", tcp + " user=full password='se:s\\\\ame \\'x\\''", "53300", "no connection slot is free"},
		} {
			_, err := resolve(t, postgres.Target{URL: c.conninfo}).Connect(t.Context())
			var failed *postgres.ConnectError
			if !errors.As(err, &failed) {
				t.Fatalf("%s: %v", c.name, err)
			}
			if !strings.Contains(err.Error(), c.code) || !strings.HasPrefix(failed.Hint, c.hint) {
				t.Errorf("%s: %v; hint: %s", c.name, err, failed.Hint)
			}
			if all := err.Error() + failed.Hint; strings.Contains(all, "sesame") || strings.Contains(all, "ame 'x'") {
				t.Errorf("%s: the password is in %s", c.name, all)
			}
		}
	})
}

// Promise: a server that does not answer, and a run that ends, are told apart.
func TestConnectEnds(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	silent := fmt.Sprintf("host=127.0.0.1 port=%d user=u sslmode=disable", l.Addr().(*net.TCPAddr).Port)
	_, err = resolve(t, postgres.Target{URL: silent + " connect_timeout=1"}).Connect(t.Context())
	if err == nil || !strings.Contains(err.Error(), "no answer within the connection timeout") {
		t.Errorf("got %v", err)
	}
	ctx, end := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	end(enough)
	for _, e := range []*postgres.Endpoint{resolve(t, postgres.Target{URL: silent}), scratchtest.Admin(t)} {
		if _, err := e.Connect(ctx); !errors.Is(err, enough) {
			t.Errorf("got %v", err)
		}
	}
}

// Promise: what we send is taken for UTF-8, whatever the database's encoding.
func TestClientEncoding(t *testing.T) {
	t.Parallel()
	name := scratchtest.Name("latin")
	admin := scratchtest.Admin(t)
	scratchtest.Exec(t, admin, "CREATE DATABASE "+name+" TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'")
	scratchtest.Drop(t, name)
	for _, url := range []string{admin.Conninfo(), admin.Conninfo() + " client_encoding=LATIN1"} {
		e := resolve(t, postgres.Target{URL: url, Database: name})
		if got := scratchtest.Query(t, e, "length('ü') || 'ü'"); got != "1ü" {
			t.Errorf("got %s", got)
		}
	}
}

// Promise: notices of the server are handed on.
func TestNotices(t *testing.T) {
	t.Parallel()
	var got []string
	conn, err := scratchtest.Admin(t).ConnectNotices(t.Context(), func(n *pgconn.Notice) { got = append(got, n.SeverityUnlocalized+": "+n.Message) })
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(t.Context(), "DO $$ BEGIN RAISE WARNING 'skipping'; END $$"); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, []string{"WARNING: skipping"}) {
		t.Errorf("%q", got)
	}
}

// Promise: a server's facts are right, and a role that may not ask for some gets the rest.
func TestFacts(t *testing.T) {
	t.Parallel()
	e := scratchtest.Database(t, scratchtest.Middling)
	role := scratchtest.Role(t, e, "LOGIN")
	for _, as := range []*postgres.Endpoint{e, scratchtest.Connect(t, scratchtest.Server(t), e.Database(), role)} {
		f, err := postgres.Facts(t.Context(), scratchtest.Open(t, as))
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Measure(t.Context(), scratchtest.Open(t, as)); err != nil {
			t.Fatal(err)
		}
		super := as.User() == scratch.Superuser
		if f.Role != as.User() || f.Superuser != super || f.Standby || f.Version.Major() < 10 || f.DatabaseBytes < 1<<20 {
			t.Errorf("%+v", f)
		}
		if (f.DataDirectory == scratchtest.Query(t, e, "current_setting('data_directory')")) != super || len(f.Preload) > 0 {
			t.Errorf("%+v", f)
		}
		if want := scratchtest.Query(t, e, "SELECT system_identifier FROM pg_control_system()"); f.SystemIdentifier != want {
			t.Errorf("system identifier %s, not %s", f.SystemIdentifier, want)
		}
	}
}
