package scratchtest_test

import (
	"os"
	"strconv"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
)

func TestMain(m *testing.M) { os.Exit(scratchtest.Run(m)) }

// Promise: the middling schema loads, with rows in it.
func TestMiddling(t *testing.T) {
	e := scratchtest.Database(t, scratchtest.Middling)
	if got := scratchtest.Query(t, e, "SELECT count(*) FROM forge_document"); got != "2000" {
		t.Errorf("%s rows", got)
	}
}

// Promise: each subtest of EachMajor has a database in a server of that major, and
// the extensions that the reports need can be made in it.
func TestEachMajor(t *testing.T) {
	scratchtest.EachMajor(t, func(t *testing.T, major int, e *postgres.Endpoint) {
		scratchtest.Exec(t, e, "CREATE EXTENSION pg_stat_statements", "CREATE EXTENSION pgstattuple")
		if got := scratchtest.Query(t, e, "SELECT current_setting('server_version_num')::int / 10000"); got != strconv.Itoa(major) {
			t.Errorf("a server of PostgreSQL %s", got)
		}
		if got := scratchtest.Query(t, e, "SELECT count(*) >= 0 FROM pg_stat_statements"); got != "true" {
			t.Errorf("pg_stat_statements: %s", got)
		}
	})
}
