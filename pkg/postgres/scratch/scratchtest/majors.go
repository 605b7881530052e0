package scratchtest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch"
)

// Majors are those that EachMajor asks, the oldest first: what is supported, and
// what hosts still have.
var Majors = []int{13, 14, 15, 16, 17, 18}

// A server of one major, started by the first test that asks for it.
type major struct {
	once    sync.Once
	dir     string
	cluster *scratch.Cluster
	err     error
}

var majors = func() map[int]*major {
	m := map[int]*major{}
	for _, n := range Majors {
		m[n] = &major{}
	}
	return m
}()

// EachMajor runs test once for each of Majors, as a subtest named after it, with
// the superuser's endpoint for a database that is new and dropped afterwards.
// The servers come from scripts/servers/install, are started when first asked
// for and shared by the tests of the package; pg_stat_statements is loaded.
// Where a server is missing the subtest is skipped, and fails in CI.
func EachMajor(t *testing.T, test func(t *testing.T, major int, e *postgres.Endpoint)) {
	t.Helper()
	for _, n := range Majors {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			admin := Connect(t, Major(t, n), "postgres", scratch.Superuser)
			name := Name("test")
			Exec(t, admin, "CREATE DATABASE "+name+" TEMPLATE template0")
			t.Cleanup(func() { Exec(cleanup{t}, admin, "DROP DATABASE "+name+" WITH (FORCE)") })
			test(t, n, admin.WithDatabase(name))
		})
	}
}

// Major is the shared server of a major.
func Major(t testing.TB, n int) *scratch.Cluster {
	t.Helper()
	bin := binDir(n)
	if bin == "" {
		Skip(t, fmt.Sprintf("no server of PostgreSQL %d: scripts/servers/install fetches it", n))
	}
	m := majors[n]
	m.once.Do(func() {
		if m.dir, m.err = os.MkdirTemp("", "forgectl-test-"); m.err != nil {
			return
		}
		if m.err = os.Chmod(m.dir, 0o755); m.err != nil {
			return
		}
		m.cluster, m.err = scratch.Start(context.Background(), scratch.Options{
			BinDir: bin, Dir: m.dir, Runner: Runner(), Locale: "C.UTF-8", PreloadLibraries: []string{"pg_stat_statements"},
			Settings: map[string]string{"shared_buffers": "32MB", "max_prepared_transactions": "4", "wal_level": "logical", "max_wal_senders": "4", "max_replication_slots": "4"},
		})
	})
	if m.err != nil {
		t.Fatalf("no server of PostgreSQL %d: %v", n, m.err)
	}
	return m.cluster
}

// binDir is where the programs of a major are, "" when they are not there.
func binDir(n int) string {
	where := []string{"/var/cache"} // as scripts/servers/install decides
	if cache, err := os.UserCacheDir(); err == nil {
		where = append(where, cache)
	}
	for _, dir := range where {
		bin := filepath.Join(dir, "forgectl-servers", "node_modules", fmt.Sprintf("postgresql-%d", n), "native", "bin")
		if _, err := os.Stat(filepath.Join(bin, "postgres")); err == nil {
			return bin
		}
	}
	debian := fmt.Sprintf("/usr/lib/postgresql/%d/bin", n)
	if _, err := os.Stat(filepath.Join(debian, "postgres")); err == nil {
		return debian
	}
	return ""
}

// stopMajors ends the servers of other majors.
func stopMajors() error {
	var failed error
	for _, n := range Majors {
		if m := majors[n]; m.cluster != nil {
			if err := m.cluster.Stop(context.Background()); err != nil {
				failed = err
			}
		}
		if dir := majors[n].dir; dir != "" {
			_ = os.RemoveAll(dir)
		}
	}
	return failed
}
