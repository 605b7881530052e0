package pgdump

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
)

// Promise: what a backup would stop at is found without a lock, and what the
// role may read is said, also of tables that do not exist yet.
func TestCheckRights(t *testing.T) {
	t.Parallel()
	const tables = "CREATE TABLE t (id serial); CREATE SCHEMA s CREATE TABLE u (id int);"
	const now = "GRANT USAGE ON SCHEMA s TO @; GRANT SELECT ON ALL TABLES IN SCHEMA public, s TO @; GRANT SELECT ON ALL SEQUENCES IN SCHEMA public, s TO @;"
	makers := func(public, s bool) []Maker {
		return []Maker{{"public", "postgres", public}, {"s", "postgres", s}}
	}
	for _, c := range []struct {
		name, sql                 string
		everything, bypass, large bool
		makers                    []Maker
		missing                   int
	}{
		{"nothing", tables, false, false, false, makers(false, false), 4},
		{"everything", tables + "GRANT pg_read_all_data TO @; ALTER ROLE @ BYPASSRLS; ALTER ROLE @ SET lo_compat_privileges = on", true, true, true, makers(false, false), 0},
		{"what there is today", tables + now, false, false, false, makers(false, false), 0},
		{
			"one schema also tomorrow", tables + now + "ALTER DEFAULT PRIVILEGES FOR ROLE postgres IN SCHEMA s GRANT SELECT ON TABLES TO @; ALTER DEFAULT PRIVILEGES FOR ROLE postgres IN SCHEMA s GRANT SELECT ON SEQUENCES TO @",
			false, false, false, makers(false, true), 0,
		},
		{
			"sequences are not forgotten", tables + now + "ALTER DEFAULT PRIVILEGES FOR ROLE postgres GRANT SELECT ON TABLES TO @",
			false, false, false, makers(false, false), 0,
		},
		{
			"all schemas", tables + now + "ALTER DEFAULT PRIVILEGES FOR ROLE postgres GRANT SELECT ON TABLES TO PUBLIC; ALTER DEFAULT PRIVILEGES FOR ROLE postgres GRANT SELECT ON SEQUENCES TO PUBLIC",
			false, false, false, makers(true, true), 0,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := scratchtest.Database(t)
			role := scratchtest.Role(t, e, "LOGIN")
			scratchtest.Exec(t, e, strings.ReplaceAll(c.sql, "@", role))
			// Somebody alters a table: a backup would wait, a look does not.
			holder := scratchtest.Open(t, e)
			if _, err := holder.Exec(t.Context(), "BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE"); err != nil {
				t.Fatal(err)
			}
			a, err := CheckRights(t.Context(), scratchtest.Connect(t, scratchtest.Server(t), e.Database(), role))
			var missing *RightsError
			if errors.As(err, &missing) != (c.missing > 0) || missing != nil && len(missing.Missing) != c.missing {
				t.Fatalf("error %v, want %d missing rights", err, c.missing)
			}
			if a.Tables != 2 || a.Sequences != 1 || a.Everything != c.everything || a.BypassRLS != c.bypass || a.LargeObjects != c.large {
				t.Errorf("%+v", a)
			}
			if diff := cmp.Diff(c.makers, a.Makers); diff != "" {
				t.Error(diff)
			}
			if want := `GRANT pg_read_all_data TO "` + role + `";`; a.ReadAll != want {
				t.Errorf("ReadAll %q, want %q", a.ReadAll, want)
			}
		})
	}
}

// Promise: on a server before 14 nobody is sent to pg_read_all_data, which does
// not exist there. (The version is pretended: such a server is not at hand.)
func TestCheckRightsBefore14(t *testing.T) {
	t.Parallel()
	e := scratchtest.Database(t, "CREATE TABLE t (id serial)")
	role := scratchtest.Role(t, e, "LOGIN")
	as := scratchtest.Connect(t, scratchtest.Server(t), e.Database(), role)
	g := &Guard{endpoint: as, conn: scratchtest.Open(t, as)}
	listed, err := g.look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	g.Server.Version = postgres.Version(130014)
	a, err := g.access(t.Context(), listed)
	var missing *RightsError
	if !errors.As(err, &missing) {
		t.Fatalf("error %v", err)
	}
	if a.Everything || a.ReadAll != "" || slices.ContainsFunc(missing.Remedies(), func(s string) bool { return strings.Contains(s, "pg_read_all_data") }) {
		t.Errorf("%+v, %q", a, missing.Remedies())
	}
}
