// Package scratchtest gives the tests of a package one PostgreSQL server to
// share, and each test databases of its own in it.
//
//	func TestMain(m *testing.M) { os.Exit(scratchtest.Run(m)) }
//
// The server starts when the first test asks for it and ends with Run. A test
// that must harm the server itself starts one of its own with package scratch.
// Where the server programs are missing the test fails: scripts/setup installs
// them.
package scratchtest

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch"
	"github.com/bmad-forge/forgectl/pkg/proc"
)

// Middling is the SQL of a database with a bit of everything that an
// application has: what a round trip must bring back.
//
//go:embed middling.sql
var Middling string

// The one server of the test binary.
var shared struct {
	once    sync.Once
	cluster *scratch.Cluster
	dir     string
	err     error
}

var count atomic.Int64

// Runner runs programs for tests with the environment of the test.
func Runner() proc.Runner { return proc.System{Environ: os.Environ()} }

// Run runs the tests of a package, and ends the server that they used.
func Run(m *testing.M) int {
	// What the developer's own environment says about servers is not meant for tests.
	for _, kv := range os.Environ() {
		if name, _, _ := strings.Cut(kv, "="); strings.HasPrefix(name, "PG") || name == "DATABASE_URL" {
			_ = os.Unsetenv(name)
		}
	}
	code := m.Run()
	if shared.cluster != nil {
		if err := shared.cluster.Stop(context.Background()); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = max(code, 1)
		}
	}
	if shared.dir != "" {
		_ = os.RemoveAll(shared.dir)
	}
	if err := stopMajors(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	return code
}

// Server is the shared server.
func Server(t testing.TB) *scratch.Cluster {
	t.Helper()
	shared.once.Do(func() {
		if shared.dir, shared.err = os.MkdirTemp("", "forgectl-test-"); shared.err != nil {
			return
		}
		if shared.err = os.Chmod(shared.dir, 0o755); shared.err != nil {
			return
		}
		shared.cluster, shared.err = scratch.Start(context.Background(), scratch.Options{
			Dir: shared.dir, Runner: Runner(), Locale: "C.UTF-8",
			// The identity of nobody: tests that connect as other roles need no passwords.
			Settings: map[string]string{"max_connections": "60", "max_prepared_transactions": "4", "wal_level": "logical", "max_wal_senders": "4", "max_replication_slots": "4"},
		})
	})
	if shared.err != nil {
		t.Fatalf("no PostgreSQL server for tests (scripts/setup installs one): %v", shared.err)
	}
	return shared.cluster
}

// Admin reaches the database postgres of the shared server as its superuser.
func Admin(t testing.TB) *postgres.Endpoint {
	t.Helper()
	return Connect(t, Server(t), "postgres", scratch.Superuser)
}

// Connect is an endpoint for a role and a database of a server.
func Connect(t testing.TB, c *scratch.Cluster, database, role string) *postgres.Endpoint {
	t.Helper()
	url := fmt.Sprintf("host='%s' port=%d user='%s'", c.SocketDir, c.Port, role)
	e, err := postgres.Resolve(t.Context(), postgres.Target{URL: url, Database: database, Environ: os.Environ()})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// Name is a name that no other test of the binary uses.
func Name(prefix string) string { return fmt.Sprintf("%s_%d_%d", prefix, os.Getpid(), count.Add(1)) }

// Database makes a database in the shared server, runs sql in it and drops it
// when the test ends.
func Database(t testing.TB, sql ...string) *postgres.Endpoint {
	t.Helper()
	return NamedDatabase(t, Name("test"), sql...)
}

// NamedDatabase is Database with a chosen name.
func NamedDatabase(t testing.TB, name string, sql ...string) *postgres.Endpoint {
	t.Helper()
	admin := Admin(t)
	Exec(t, admin, "CREATE DATABASE "+postgres.QuoteIdent(name)+" TEMPLATE template0")
	Drop(t, name)
	e := admin.WithDatabase(name)
	Exec(t, e, sql...)
	return e
}

// Drop drops a database of the shared server when the test ends.
func Drop(t testing.TB, name string) {
	t.Helper()
	admin := Admin(t)
	t.Cleanup(func() {
		Exec(cleanup{t}, admin, "DROP DATABASE IF EXISTS "+postgres.QuoteIdent(name)+" WITH (FORCE)")
	})
}

// Role makes a role with these attributes ("LOGIN"), and drops it and its
// privileges in the database of e when the test ends.
func Role(t testing.TB, e *postgres.Endpoint, attributes string) string {
	t.Helper()
	name := Name("role")
	Exec(t, e, "CREATE ROLE "+name+" "+attributes)
	t.Cleanup(func() {
		Exec(cleanup{t}, e, "REASSIGN OWNED BY "+name+" TO postgres", "DROP OWNED BY "+name, "DROP ROLE "+name)
	})
	return name
}

// cleanup is a test whose context has ended.
type cleanup struct{ testing.TB }

func (cleanup) Context() context.Context { return context.Background() }

// Open connects; the test closes the connection when it ends.
func Open(t testing.TB, e *postgres.Endpoint) *pgx.Conn {
	t.Helper()
	conn, err := e.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// Exec runs each of sql, which may hold several statements, in a session of its own.
func Exec(t testing.TB, e *postgres.Endpoint, sql ...string) {
	t.Helper()
	ctx := t.Context()
	conn, err := e.Connect(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(ctx) }()
	for _, s := range sql {
		if _, err := conn.PgConn().Exec(ctx, s).ReadAll(); err != nil {
			t.Fatalf("%.200s: %v", s, err)
		}
	}
}

// Query is the one value that sql selects, as text.
func Query(t testing.TB, e *postgres.Endpoint, sql string) string {
	t.Helper()
	ctx := t.Context()
	conn, err := e.Connect(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(ctx) }()
	var value *string
	if err := conn.QueryRow(ctx, "SELECT ("+sql+")::text").Scan(&value); err != nil {
		t.Fatalf("%.200s: %v", sql, err)
	}
	if value == nil {
		return ""
	}
	return *value
}

// Skip skips a test that needs what this machine or user does not have. Where CI
// is set it fails instead: there nothing may be left out unseen.
func Skip(t testing.TB, why any) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf("cannot be left out in CI: %v", why)
	}
	t.Skip(why)
}
