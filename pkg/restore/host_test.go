package restore_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bmad-forge/forgectl/pkg/catalog/catalogtest"
	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/pgdump"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
	"github.com/bmad-forge/forgectl/pkg/restore"
)

// owned is a database of an application's own role, with the grants that it has
// for others, and a set of it.
type owned struct {
	database, app, reader, team string
	set                         *copied
	dump                        string
}

func newOwned(t *testing.T) owned {
	t.Helper()
	admin := scratchtest.Admin(t)
	o := owned{database: scratchtest.Name("owned")}
	o.team = scratchtest.Role(t, admin, "NOLOGIN")
	o.app = scratchtest.Role(t, admin, "LOGIN CONNECTION LIMIT 17 IN ROLE "+o.team)
	o.reader = scratchtest.Role(t, admin, "LOGIN")
	scratchtest.Exec(t, admin, "ALTER ROLE "+o.app+" SET work_mem = '7MB'", "CREATE DATABASE "+o.database+" OWNER "+o.app+" TEMPLATE template0")
	t.Cleanup(func() {
		_ = (pgdump.Candidate{Admin: admin, Name: o.database}).Drop(context.Background())
	})
	e := admin.WithDatabase(o.database)
	scratchtest.Exec(t, scratchtest.Connect(t, scratchtest.Server(t), o.database, o.app),
		"CREATE TABLE page (id serial PRIMARY KEY, title text)", "INSERT INTO page (title) SELECT 'page ' || i FROM generate_series(1, 100) i",
		"CREATE VIEW titles AS SELECT title FROM page", "REVOKE CREATE ON SCHEMA public FROM PUBLIC", "GRANT USAGE ON SCHEMA public TO "+o.reader, "GRANT SELECT ON titles TO "+o.reader,
		"ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO "+o.reader,
		"CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql AS 'SELECT 2 * $1'")
	scratchtest.Exec(t, e, "ALTER DATABASE "+o.database+" SET search_path = public, pg_catalog", "GRANT CONNECT ON DATABASE "+o.database+" TO "+o.reader)
	dir := t.TempDir()
	c := catalogtest.Open(t, dir)
	set := save(t, c, e, nil)
	o.set = &copied{*catalogtest.At(t, dir, set.Ref)}
	o.dump = scratchtest.Dump(t, o.database)
	return o
}

func (o owned) options(t *testing.T, admin *postgres.Endpoint) restore.Options {
	t.Helper()
	runner := scratchtest.Runner()
	return restore.Options{
		Catalog: o.set.Catalog, Set: o.set.Set(), Admin: admin, Runner: runner, Finder: postgres.ToolFinder{Runner: runner},
		Live: o.database, Intents: restore.Intents{Dir: filepath.Join(t.TempDir(), "intents")}, Now: time.Now,
	}
}

// Promise: on a host with nothing but the repository the database comes back
// under its name, with the roles that it needs, their attributes, settings and
// memberships; and roles that are there already keep what they have.
func TestEmptyHost(t *testing.T) {
	o := newOwned(t)
	cluster, err := scratch.Start(t.Context(), scratch.Options{Dir: openDir(t), Runner: scratchtest.Runner(), Locale: "C.UTF-8"})
	must(t, err)
	t.Cleanup(func() { _ = cluster.Stop(context.Background()) })
	admin := scratchtest.Connect(t, cluster, "postgres", scratch.Superuser)
	scratchtest.Exec(t, admin, "CREATE ROLE "+o.reader+" NOLOGIN CONNECTION LIMIT 3")

	options := o.options(t, admin)
	options.Gate = func(context.Context) error { return errors.New("nothing runs here, nobody is to be asked") }
	r, err := restore.Replace(t.Context(), options)
	must(t, err)
	if !slices.Contains(r.Roles, o.app) || !slices.Contains(r.Roles, o.team) || slices.Contains(r.Roles, o.reader) {
		t.Errorf("roles made: %q", r.Roles)
	}
	if !slices.Contains(r.Passwordless, o.app) || slices.Contains(r.Passwordless, o.team) {
		t.Errorf("roles that need a password: %q", r.Passwordless)
	}
	for sql, want := range map[string]string{
		"SELECT format('%s %s %s', rolcanlogin, rolconnlimit, rolconfig) FROM pg_roles WHERE rolname = '" + o.app + "'": "t 17 {work_mem=7MB}",
		"SELECT format('%s %s', rolcanlogin, rolconnlimit) FROM pg_roles WHERE rolname = '" + o.reader + "'":            "f 3",
		"SELECT pg_has_role('" + o.app + "', '" + o.team + "', 'MEMBER')":                                               "true",
		"SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = '" + o.database + "'":                          o.app,
		"SELECT has_database_privilege('" + o.reader + "', '" + o.database + "', 'CONNECT')":                            "true",
		"SELECT rolsuper FROM pg_roles WHERE rolname = 'postgres'":                                                      "true",
	} {
		if got := scratchtest.Query(t, admin, sql); got != want {
			t.Errorf("%s: %s, want %s", sql, got, want)
		}
	}
	if got := scratchtest.Query(t, admin.WithDatabase(o.database), "SELECT count(*) FROM titles"); got != "100" {
		t.Errorf("%s rows", got)
	}
}

// openDir is a directory that every user can enter, which t.TempDir is not.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "forgectl-host-")
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o755))
	return dir
}

// Promise: an admin role that is no superuser is told before anything is loaded
// which right it lacks, and the statement that it is told is enough.
func TestOrdinaryAdmin(t *testing.T) {
	o := newOwned(t)
	super := scratchtest.Admin(t)
	admin := scratchtest.Role(t, super, "LOGIN")
	endpoint := scratchtest.Connect(t, scratchtest.Server(t), "postgres", admin)
	options := o.options(t, endpoint)
	var rights *pgdump.RightsError
	_, err := restore.Replace(t.Context(), options)
	if !errors.As(err, &rights) || len(rights.Remedies()) < 3 {
		t.Fatalf("without any right: %v", err)
	}
	remedies := rights.Remedies()
	for i := range remedies {
		// One too few: everything but this one.
		for j, sql := range remedies {
			if j != i {
				scratchtest.Exec(t, super, sql)
			}
		}
		if _, err := restore.PlanReplace(t.Context(), options); !errors.As(err, &rights) || !slices.Contains(rights.Remedies(), remedies[i]) {
			t.Errorf("without %q: %v", remedies[i], err)
		}
		for j, sql := range remedies {
			if j != i {
				scratchtest.Exec(t, super, takeBack(sql))
			}
		}
	}
	for _, sql := range remedies {
		scratchtest.Exec(t, super, sql)
	}
	// Nor may it end the session of a superuser, which would make every client wait for nothing.
	idle := scratchtest.Open(t, super.WithDatabase(o.database))
	var unendable *restore.UnendableError
	if _, err := restore.PlanReplace(t.Context(), options); !errors.As(err, &unendable) || len(unendable.Sessions) != 1 {
		t.Errorf("with a superuser in it: %v", err)
	}
	_ = idle.Close(t.Context())
	for scratchtest.Query(t, super, "SELECT count(*) FROM pg_stat_activity WHERE datname = '"+o.database+"'") != "0" {
		time.Sleep(time.Millisecond) // the server takes note of it a moment later
	}
	r, err := restore.Replace(t.Context(), options)
	must(t, err)
	scratchtest.Drop(t, r.Aside)
	if got := scratchtest.Dump(t, o.database); got != o.dump {
		t.Error("the restored database is dumped differently from the original")
	}
	if got := scratchtest.Query(t, super, "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = '"+o.database+"'"); got != o.app {
		t.Errorf("it belongs to %s", got)
	}
}

// takeBack is the statement that undoes a remedy.
func takeBack(sql string) string {
	if strings.HasPrefix(sql, "GRANT ") {
		return strings.NewReplacer("GRANT ", "REVOKE ", " TO ", " FROM ").Replace(sql)
	}
	return strings.NewReplacer(" CREATEDB", " NOCREATEDB", " CREATEROLE", " NOCREATEROLE").Replace(sql)
}

// Promise: a server whose disk runs full during a load keeps its live database,
// and nothing of the restored one.
func TestServerDiskFull(t *testing.T) {
	if os.Geteuid() != 0 {
		scratchtest.Skip(t, "only root can mount a small file system")
	}
	dir := openDir(t)
	must(t, unix.Mount("tmpfs", dir, "tmpfs", 0, "size=200m,mode=0755"))
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	cluster, err := scratch.Start(t.Context(), scratch.Options{Dir: dir, Runner: scratchtest.Runner(), Locale: "C.UTF-8"})
	must(t, err)
	t.Cleanup(func() { _ = cluster.Stop(context.Background()) })
	admin := scratchtest.Connect(t, cluster, "postgres", scratch.Superuser)
	s := copySet(t, false)
	live := s.Ref.Database
	scratchtest.Exec(t, admin, "CREATE DATABASE "+live)
	scratchtest.Exec(t, admin.WithDatabase(live), "CREATE TABLE old_one AS SELECT 1 AS x")
	o := options(t, s.Catalog, s.Set(), live)
	o.Admin, o.Live, o.Into, o.Now, o.Intents = admin, live, "", time.Now, restore.Intents{Dir: filepath.Join(t.TempDir(), "intents")}
	filler := filepath.Join(dir, "filler")
	o.Step = func(name string) {
		if name != "loaded pre-data" {
			return
		}
		// New databases are sparse files until then, which would take the last bytes later.
		scratchtest.Exec(t, admin, "CHECKPOINT")
		var fs unix.Statfs_t
		must(t, unix.Statfs(dir, &fs))
		must(t, os.WriteFile(filler, make([]byte, int64(fs.Bavail)*fs.Bsize-64<<10), 0o600))
	}
	if _, err = restore.Replace(t.Context(), o); err == nil || !strings.Contains(fmt.Sprint(err), "No space left") {
		t.Errorf("got %v", err)
	}
	must(t, os.Remove(filler))
	if got := scratchtest.Query(t, admin.WithDatabase(live), "SELECT count(*) FROM old_one"); got != "1" {
		t.Errorf("the live database: %s", got)
	}
	if got := scratchtest.Query(t, admin, "SELECT count(*) FROM pg_database WHERE starts_with(datname, '"+live+"_')"); got != "0" {
		t.Errorf("%s databases are left: %v", got, err)
	}
}
