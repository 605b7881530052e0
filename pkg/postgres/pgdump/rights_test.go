package pgdump

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
)

// Promise: what the role cannot read is named before anything is dumped, and
// the remedies, run by a superuser, are enough: then the guard opens and
// pg_dump takes everything.
func TestRights(t *testing.T) {
	t.Parallel()
	const granted = "GRANT SELECT ON ALL TABLES IN SCHEMA public TO @; GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO @;"
	for _, c := range []struct {
		name, attributes, sql string
		missing               []string
		remedies              []string
	}{
		{
			"one table", "LOGIN", "CREATE TABLE seen (id int);" + granted + `CREATE TABLE "Not ""seen"""(id int)`,
			[]string{`table public."Not ""seen"""`}, []string{`GRANT pg_read_all_data TO "@";`},
		}, {
			"only a column", "LOGIN", "CREATE TABLE t (id int, secret text); GRANT SELECT (id) ON t TO @",
			[]string{"table public.t"}, []string{`GRANT pg_read_all_data TO "@";`},
		}, {
			"a partition and its parent", "LOGIN", "CREATE TABLE p (id int) PARTITION BY LIST (id); CREATE TABLE p1 PARTITION OF p DEFAULT",
			[]string{"table public.p", "table public.p1"}, []string{`GRANT pg_read_all_data TO "@";`},
		}, {
			"one schema", "LOGIN", `CREATE SCHEMA "Shut" CREATE TABLE t (id int); GRANT SELECT ON "Shut".t TO @`,
			[]string{`schema "Shut"`}, []string{`GRANT pg_read_all_data TO "@";`},
		}, {
			"a schema of sequences only", "LOGIN", `CREATE SCHEMA counters CREATE SEQUENCE s; GRANT SELECT ON counters.s TO @`,
			[]string{"schema counters"}, []string{`GRANT pg_read_all_data TO "@";`},
		}, {
			"one sequence", "LOGIN", "CREATE TABLE t (id serial); GRANT SELECT ON t TO @",
			[]string{"sequence public.t_id_seq"}, []string{`GRANT pg_read_all_data TO "@";`},
		}, {
			"does not inherit", "LOGIN NOINHERIT", "CREATE SCHEMA s CREATE TABLE t (id serial); GRANT pg_read_all_data TO @",
			[]string{"schema s", "table s.t", "sequence s.t_id_seq"},
			[]string{`GRANT USAGE ON SCHEMA s TO "@";`, `GRANT SELECT ON s.t TO "@";`, `GRANT SELECT ON SEQUENCE s.t_id_seq TO "@";`},
		}, {
			"large objects of others", "LOGIN", "SELECT lo_create(0), lo_create(0); DO $$ DECLARE o oid := lo_create(0); BEGIN EXECUTE format('GRANT SELECT ON LARGE OBJECT %s TO @', o); o := lo_create(0); EXECUTE format('GRANT SELECT ON LARGE OBJECT %s TO PUBLIC', o); END $$",
			[]string{"2 large objects of other roles"}, []string{`ALTER ROLE "@" SET lo_compat_privileges = on;`},
		}, {
			"row security", "LOGIN", "CREATE TABLE t (id int); INSERT INTO t VALUES (1); ALTER TABLE t ENABLE ROW LEVEL SECURITY;" + granted,
			[]string{"rows hidden by row security of public.t"}, []string{`ALTER ROLE "@" BYPASSRLS;`},
		}, {
			"row security of its own, forced", "LOGIN", "CREATE TABLE t (id int); INSERT INTO t VALUES (1); ALTER TABLE t OWNER TO @; ALTER TABLE t ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
			[]string{"rows hidden by row security of public.t"}, []string{`ALTER ROLE "@" BYPASSRLS;`},
		}, {
			"row security of its own", "LOGIN", "CREATE TABLE t (id int); ALTER TABLE t OWNER TO @; ALTER TABLE t ENABLE ROW LEVEL SECURITY", nil, nil,
		}, {
			"everything at once", "LOGIN", "CREATE TABLE t (id serial); ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE TABLE u (id int); SELECT lo_create(0)",
			[]string{"table public.t", "table public.u", "sequence public.t_id_seq", "rows hidden by row security of public.t", "1 large objects of other roles"},
			[]string{`GRANT pg_read_all_data TO "@";`, `ALTER ROLE "@" BYPASSRLS;`, `ALTER ROLE "@" SET lo_compat_privileges = on;`},
		}, {
			"a member of the owner", "LOGIN", "CREATE TABLE t (id serial); SELECT lo_create(0); GRANT postgres TO @", nil, nil,
		}, {
			// A sequence that CREATE EXTENSION makes is not dumped, and so need not be read.
			"an extension's own sequence", "LOGIN", "CREATE EXTENSION hstore; CREATE SEQUENCE s; ALTER EXTENSION hstore ADD SEQUENCE s", nil, nil,
		}, {
			"an extension's configured sequence", "LOGIN", "CREATE EXTENSION hstore; CREATE SEQUENCE s; ALTER EXTENSION hstore ADD SEQUENCE s;" +
				"UPDATE pg_extension SET extconfig = ARRAY['s'::regclass::oid], extcondition = '{\"\"}' WHERE extname = 'hstore'",
			[]string{"sequence public.s"}, []string{`GRANT pg_read_all_data TO "@";`},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := scratchtest.Database(t)
			role := scratchtest.Role(t, e, c.attributes)
			named := func(s string) string { return strings.ReplaceAll(s, "@", role) }
			scratchtest.Exec(t, e, named(c.sql))
			as := scratchtest.Connect(t, scratchtest.Server(t), e.Database(), role)

			if len(c.missing) > 0 {
				err := openError(t.Context(), as, GuardOptions{})
				var rights *RightsError
				if !errors.As(err, &rights) || !errors.Is(err, ErrRights) {
					t.Fatalf("got %v", err)
				}
				var objects, remedies []string
				for _, m := range rights.Missing {
					objects = append(objects, m.Object)
				}
				for _, r := range c.remedies {
					remedies = append(remedies, named(r))
				}
				if !slices.Equal(objects, c.missing) || rights.Role != role {
					t.Errorf("role %s misses %q, not %q", rights.Role, objects, c.missing)
				}
				if !slices.Equal(rights.Remedies(), remedies) {
					t.Errorf("remedies %q, not %q", rights.Remedies(), remedies)
				}
				if !strings.Contains(err.Error(), c.missing[0]) || !strings.Contains(err.Error(), role) {
					t.Errorf("says %q", err)
				}
				scratchtest.Exec(t, e, rights.Remedies()...)
			}

			g, ctx := openGuard(t, as, GuardOptions{})
			d, err := take(t, ctx, g, catalog.FingerprintFull)
			if err != nil {
				t.Fatal(err)
			}
			// A superuser sees the same rows.
			if err := Compare(t.Context(), e, d.fingerprint, nil); err != nil {
				t.Error(err)
			}
			if len(g.Unseen) > 0 {
				t.Errorf("unseen: %q", g.Unseen)
			}
		})
	}
}

// Promise: row security that somebody turns on after the rights were checked
// makes counting fail; it does not count the rows that are left.
func TestRowSecurityMeanwhile(t *testing.T) {
	t.Parallel()
	e := scratchtest.Database(t, subject)
	role := scratchtest.Role(t, e, "LOGIN")
	scratchtest.Exec(t, e, "GRANT pg_read_all_data TO "+role)
	as := scratchtest.Connect(t, scratchtest.Server(t), e.Database(), role)
	g, ctx := openGuard(t, as, GuardOptions{Step: func(name string) {
		if name == "begin" {
			scratchtest.Exec(t, e, "ALTER TABLE z ENABLE ROW LEVEL SECURITY")
		}
	}})
	if f, err := Measure(ctx, g, catalog.FingerprintCounts, nil); err == nil || !strings.Contains(err.Error(), "row-level security") {
		t.Errorf("%+v, %v", f, err)
	}
}

// Promise: a long list is cut in the message, and each remedy is named once.
func TestRightsErrorText(t *testing.T) {
	e := &RightsError{Role: "backup"}
	for i := range 7 {
		e.Missing = append(e.Missing, MissingRight{Object: fmt.Sprintf("table t%d", i), SQL: "GRANT x;"})
	}
	if got, want := e.Error(), `role "backup" cannot read table t0, table t1, table t2, table t3, table t4, and 2 more`; got != want {
		t.Errorf("got %s", got)
	}
	if r := e.Remedies(); len(r) != 1 {
		t.Errorf("remedies %q", r)
	}
}

// Promise: options of user mappings that pg_dump leaves out without a word are
// named; those that the role may see are not. What pg_dump does is asked of pg_dump.
func TestUnseenUserMappings(t *testing.T) {
	t.Parallel()
	e := scratchtest.Database(t, "CREATE EXTENSION postgres_fdw")
	role, owner := scratchtest.Role(t, e, "LOGIN"), scratchtest.Role(t, e, "LOGIN")
	scratchtest.Exec(t, e,
		"GRANT pg_read_all_data TO "+role,
		`CREATE SERVER "Far away" FOREIGN DATA WRAPPER postgres_fdw; GRANT USAGE ON FOREIGN SERVER "Far away" TO `+role,
		`CREATE USER MAPPING FOR postgres SERVER "Far away" OPTIONS (user 'hidden', password 'hidden')`,
		`CREATE USER MAPPING FOR PUBLIC SERVER "Far away" OPTIONS (user 'hidden')`,
		fmt.Sprintf(`CREATE USER MAPPING FOR %s SERVER "Far away" OPTIONS (user 'shown')`, role),
		// One without options looks the same as one whose options are hidden.
		fmt.Sprintf(`CREATE USER MAPPING FOR %s SERVER "Far away"`, owner))
	want := []string{
		fmt.Sprintf(`options of the user mapping of %s for server "Far away"`, owner),
		`options of the user mapping of postgres for server "Far away"`,
		`options of the user mapping of public for server "Far away"`,
	}
	slices.Sort(want)
	as := scratchtest.Connect(t, scratchtest.Server(t), e.Database(), role)
	g, ctx := openGuard(t, as, GuardOptions{})
	slices.Sort(g.Unseen)
	if !slices.Equal(g.Unseen, want) {
		t.Errorf("unseen %q, not %q", g.Unseen, want)
	}
	d, err := take(t, ctx, g, catalog.FingerprintNone)
	if err != nil {
		t.Fatal(err)
	}
	if archive := string(d.parts[PreData]); strings.Contains(archive, "hidden") || !strings.Contains(archive, "shown") {
		t.Error("pg_dump does not do what this test is about")
	}
	if g, _ := openGuard(t, e, GuardOptions{}); len(g.Unseen) > 0 {
		t.Errorf("a superuser does not see %q", g.Unseen)
	}
}
