package restore_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/catalog/catalogtest"
	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/pgdump"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
	"github.com/bmad-forge/forgectl/pkg/proc"
	"github.com/bmad-forge/forgectl/pkg/proc/proctest"
	"github.com/bmad-forge/forgectl/pkg/restore"
	"github.com/bmad-forge/forgectl/pkg/seal"
	"github.com/bmad-forge/forgectl/pkg/seal/sealtest"
)

// Promise: a set becomes a database of any name that a database can have, the
// same as the original; nobody sees that name before it is complete; and
// nothing of the work is left.
func TestInto(t *testing.T) {
	t.Parallel()
	for prefix, sealed := range map[string]bool{`back "again", it's a=b \ ü`: true, "back": false, strings.Repeat("ü", 20): false} {
		t.Run(prefix, func(t *testing.T) {
			t.Parallel()
			s := copySet(t, sealed)
			into := scratchtest.Name(prefix)
			o := options(t, s.Catalog, s.Set(), into)
			plan, err := restore.PlanInto(t.Context(), o)
			must(t, err)
			if plan.Into != into || plan.Owner != "postgres" || plan.Bytes == 0 || plan.Free <= 0 || plan.Version.Major() != 15 || strings.Contains(like(t, ""), into) ||
				len(plan.Working) > 63 || !strings.HasSuffix(plan.Working, "_restore_20261124t030000z") || plan.Source != s.Ref.String() {
				t.Errorf("plan %+v", plan)
			}
			var steps []string
			last := map[string]int64{}
			o.Step = func(name string) {
				steps = append(steps, name)
				if there, err := pgdump.Exists(t.Context(), o.Admin, into); err != nil || there != (name == "finish") {
					t.Errorf("at %s: there %v, %v", name, there, err)
				}
				comment := scratchtest.Query(t, o.Admin, "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = "+postgres.QuoteLiteral(plan.Working))
				if name != "finish" && !strings.Contains(comment, s.Ref.String()) {
					t.Errorf("at %s the working database is marked %q", name, comment)
				}
			}
			o.Progress = func(stage string, done, total int64) {
				if done > total || done < last[stage] {
					t.Errorf("%s: %d after %d of %d", stage, done, last[stage], total)
				}
				last[stage] = done
			}
			r, err := restore.Into(t.Context(), o)
			must(t, err)
			if want := []string{"created", "loaded pre-data", "loaded data", "loaded post-data", "compare", "analyze", "finish"}; !slices.Equal(steps, want) {
				t.Errorf("steps %q", steps)
			}
			if len(r.Stages) != 6 || len(r.Warnings) > 0 || len(last) != 4 {
				t.Errorf("stages %v, warnings %q, progress %v", r.Stages, r.Warnings, last)
			}
			if scratchtest.Dump(t, into) != original.dump {
				t.Error("the restored database is dumped differently from the original")
			}
			if left, _ := pgdump.Exists(t.Context(), o.Admin, r.Working); left {
				t.Errorf("%s is still there", r.Working)
			}
			if got := scratchtest.Query(t, o.Admin.WithDatabase(into), "SELECT count(*) > 0 FROM pg_stats WHERE tablename = 'forge_document'"); got != "true" {
				t.Error("the planner has no statistics")
			}
			if _, err := restore.Into(t.Context(), o); !errors.Is(err, pgdump.ErrExists) {
				t.Errorf("once more: %v", err)
			}
		})
	}
}

// Promise: owner, privileges, settings, comment and connection limit come back
// under the new name; what the set says of its old name does not matter.
func TestProperties(t *testing.T) {
	t.Parallel()
	admin := scratchtest.Admin(t)
	owner, guest := scratchtest.Role(t, admin, "LOGIN"), scratchtest.Role(t, admin, "NOLOGIN")
	e := scratchtest.Database(t, "CREATE TABLE t AS SELECT 1 AS i", "ALTER TABLE t OWNER TO "+owner, "GRANT SELECT ON t TO "+guest)
	db := postgres.QuoteIdent(e.Database())
	scratchtest.Exec(t, admin,
		"ALTER DATABASE "+db+" OWNER TO "+owner,
		"ALTER DATABASE "+db+" CONNECTION LIMIT 17",
		"COMMENT ON DATABASE "+db+` IS E'it''s the \\ forge'`,
		"REVOKE ALL ON DATABASE "+db+" FROM PUBLIC",
		"GRANT CONNECT, TEMPORARY ON DATABASE "+db+" TO "+guest+" WITH GRANT OPTION",
		"ALTER DATABASE "+db+` SET search_path = "$user", public, "Odd, schema"`,
		"ALTER DATABASE "+db+" SET default_transaction_read_only = on",
		"ALTER DATABASE "+db+` SET app.greeting = 'it''s a=b \ "c"'`,
		"ALTER ROLE "+guest+" IN DATABASE "+db+" SET work_mem = '7MB'")
	c := catalogtest.Open(t, t.TempDir())
	set := save(t, c, e, nil)
	o := options(t, c, set, scratchtest.Name("it's \"mine\""))
	r, err := restore.Into(t.Context(), o)
	must(t, err)
	if r.Owner != owner {
		t.Errorf("owner %s", r.Owner)
	}
	if got, want := propertiesOf(t, o.Into), propertiesOf(t, e.Database()); got != want {
		t.Errorf("properties\n%s\ninstead of\n%s", got, want)
	}
	if got := scratchtest.Query(t, o.Admin.WithDatabase(o.Into), "SELECT pg_get_userbyid(relowner) || ' ' || has_table_privilege('"+guest+"', 't', 'SELECT') FROM pg_class WHERE relname = 't'"); got != owner+" true" {
		t.Errorf("owner and privilege of the table: %s", got)
	}
	// The roles can only be dropped when nothing depends on them.
	scratchtest.Exec(t, admin, "DROP DATABASE "+db, "DROP DATABASE "+postgres.QuoteIdent(o.Into))
}

// propertiesOf is what pg_dump does not say of a database unless it is to create it.
func propertiesOf(t testing.TB, name string) string {
	t.Helper()
	return scratchtest.Query(t, scratchtest.Admin(t), `SELECT concat_ws(' | ', pg_get_userbyid(datdba), pg_encoding_to_char(encoding), datlocprovider, datcollate, datctype, datconnlimit,
			shobj_description(d.oid, 'pg_database'),
			(SELECT string_agg(format('%s/%s %s %s', pg_get_userbyid(a.grantor), pg_get_userbyid(a.grantee), a.privilege_type, a.is_grantable), ', ' ORDER BY a::text) FROM aclexplode(datacl) a),
			(SELECT string_agg(format('%s %s', setrole::regrole, c), ', ' ORDER BY setrole, c) FROM pg_db_role_setting, unnest(setconfig) c WHERE setdatabase = d.oid))
		FROM pg_database d WHERE datname = `+postgres.QuoteLiteral(name))
}

// Promise: what cannot work is found before anything is made, by Into and by
// its plan alike, and says what is wrong.
func TestRefused(t *testing.T) {
	t.Parallel()
	nowhere, err := postgres.Resolve(t.Context(), postgres.Target{URL: "host='" + t.TempDir() + "' user=nobody dbname=forge"})
	must(t, err)
	_, other := sealtest.Pair(t, "other")
	name := func(err error) bool { var n *restore.NameError; return errors.As(err, &n) }
	exists := func(err error) bool { return errors.Is(err, pgdump.ErrExists) }
	noKey := func(err error) bool { return errors.Is(err, seal.ErrNoSecretKey) }
	manifest := func(change func(*catalog.Manifest)) func(*copied, *restore.Options) {
		return func(s *copied, o *restore.Options) { s.Forge(change); o.Set = s.Set() }
	}
	const working = "taken_restore_20261124t030000z"
	for _, tt := range []struct {
		name   string
		sealed bool
		change func(*copied, *restore.Options)
		check  func(error) bool
		says   string
	}{
		{"empty name", false, func(_ *copied, o *restore.Options) { o.Into, o.Admin = "", nowhere }, name, "empty"},
		{"long name", false, func(_ *copied, o *restore.Options) { o.Into, o.Admin = strings.Repeat("ü", 32), nowhere }, name, "63"},
		{"name with a zero", false, func(_ *copied, o *restore.Options) { o.Into, o.Admin = "a\x00b", nowhere }, name, "zero"},
		{"existing name", false, func(_ *copied, o *restore.Options) {
			o.Into = scratchtest.Database(t, "CREATE TABLE precious ()").Database()
		}, exists, "exists"},
		{"the server's own name", false, func(_ *copied, o *restore.Options) { o.Into = "postgres" }, exists, "postgres"},
		{"existing working name", false, func(_ *copied, o *restore.Options) {
			scratchtest.NamedDatabase(t, working, "CREATE TABLE precious ()")
			o.Into = "taken"
		}, exists, working},
		{"no server", false, func(_ *copied, o *restore.Options) { o.Admin = nowhere }, func(err error) bool { var c *postgres.ConnectError; return errors.As(err, &c) }, "nobody"},
		{"older server", false, manifest(func(m *catalog.Manifest) {
			m.Source.ServerVersionNum, m.Source.ServerVersion = 160002, "16.2"
		}), func(err error) bool { return errors.Is(err, restore.ErrOlderServer) }, "not 16.2"},
		{"older programs", false, manifest(func(m *catalog.Manifest) { m.Tools["pg_dump"] = "98.1" }), func(err error) bool {
			var m *postgres.ToolsError
			return errors.As(err, &m) && m.Need == 98
		}, "98"},
		{"little space", false, manifest(func(m *catalog.Manifest) { m.Source.Bytes = 1 << 50 }), func(err error) bool {
			var m *restore.SpaceError
			return errors.As(err, &m) && m.Need > 1<<50 && m.Free > 0
		}, "MB free"},
		{"no word of where it came from", false, manifest(func(m *catalog.Manifest) { m.Source = nil }), isDamage, "manifest.json"},
		{"missing role", false, func(s *copied, o *restore.Options) {
			s.ForgeArtifact("05-database.sql", true, catalogtest.Replace(`"owner":"postgres"`, `"owner":"nobody here"`))
			o.Set = s.Set()
		}, func(err error) bool {
			var m *pgdump.MissingError
			return errors.As(err, &m) && slices.Equal(m.Roles, []string{"nobody here"})
		}, "nobody here"},
		{"missing extension", false, func(s *copied, o *restore.Options) {
			s.ForgeArtifact("10-pre-data.dump", true, catalogtest.Replace("pg_trgm", "pg_nope"))
			o.Set = s.Set()
		}, func(err error) bool { var m *pgdump.MissingError; return errors.As(err, &m) }, "pg_nope"},
		{"no key", true, func(_ *copied, o *restore.Options) { o.Unlock = nil }, noKey, "secret key"},
		{"wrong key", true, func(_ *copied, o *restore.Options) { o.Unlock = keyring(other) }, noKey, "secret key"},
		{"damaged, as listed", false, func(s *copied, o *restore.Options) {
			s.Write("20-data.dump.zst", nil)
			o.Set = s.Set()
		}, isDamage, "20-data.dump.zst"},
		{"damaged since", true, func(s *copied, _ *restore.Options) {
			data := s.Read("30-post-data.dump.zst.gpg")
			data[len(data)-100] ^= 1
			s.Write("30-post-data.dump.zst.gpg", data)
		}, isDamage, "30-post-data.dump.zst.gpg"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := copySet(t, tt.sealed)
			o := options(t, s.Catalog, s.Set(), scratchtest.Name("refused"))
			tt.change(s, &o)
			run := &proctest.Runner{T: t} // only the finder may run programs
			o.Runner = run
			o.Step = func(name string) { t.Errorf("went on to %q", name) }
			_, errPlan := restore.PlanInto(t.Context(), o)
			_, errInto := restore.Into(t.Context(), o)
			for what, err := range map[string]error{"plan": errPlan, "into": errInto} {
				if err == nil || !tt.check(err) || !strings.Contains(err.Error(), tt.says) {
					t.Errorf("%s: got %v", what, err)
				}
			}
			if left := like(t, "refused"); left != "" {
				t.Errorf("made %s", left)
			}
			if strings.HasPrefix(tt.name, "existing") {
				there := o.Into
				if there == "taken" {
					there = working
				}
				if got := scratchtest.Query(t, o.Admin.WithDatabase(there), "SELECT count(*) FROM pg_class WHERE relname = 'precious'"); got != "1" {
					t.Error("what was there is not there any more")
				}
			}
		})
	}
}

func isDamage(err error) bool { return errors.Is(err, catalog.ErrDamaged) }

// Promise: when anything fails on the way, or the run is told to stop, the
// working database is dropped, the name stays free, and the next run works.
func TestFails(t *testing.T) {
	t.Parallel()
	why := errors.New("told to stop")
	type run struct {
		*copied
		o    *restore.Options
		stop func()
		t    *testing.T
	}
	stopAt := func(name string) func(run) {
		return func(r run) {
			hit := false
			r.o.Step = func(s string) {
				if s == name {
					hit = true
					r.stop()
				}
			}
			r.t.Cleanup(func() {
				if !hit {
					r.t.Errorf("there was no step %q", name)
				}
			})
		}
	}
	stopped := func(err error) bool { return errors.Is(err, why) }
	killed := func(section string) func(error) bool {
		return func(err error) bool {
			var failed *proc.Error
			return errors.As(err, &failed) && failed.Signal == syscall.SIGKILL && strings.Contains(err.Error(), "load "+section+": pg_restore: ended by signal: killed")
		}
	}
	tests := map[string]struct {
		change func(run)
		check  func(error) bool
	}{
		"SQL that no server takes": {func(r run) {
			r.ForgeArtifact("30-post-data.dump", true, catalogtest.Replace("CREATE UNIQUE INDEX", "CREATE UNIQUE INDXE"))
			r.o.Set = r.Set()
		}, func(err error) bool { return strings.Contains(err.Error(), "syntax error") }},
		"a row less": {func(r run) {
			r.Forge(func(m *catalog.Manifest) { m.Fingerprint.Tables[0].Rows++ })
			r.o.Set = r.Set()
		}, func(err error) bool { return errors.Is(err, pgdump.ErrDiffers) }},
		"content damaged after it was hashed": {func(r run) {
			r.o.Step = func(name string) {
				if name == "loaded pre-data" {
					data := r.Read("20-data.dump.zst")
					data[len(data)/2] ^= 1
					r.Write("20-data.dump.zst", data)
				}
			}
		}, isDamage},
		"name taken meanwhile": {func(r run) {
			r.o.Step = func(name string) {
				if name == "analyze" {
					scratchtest.Exec(r.t, r.o.Admin, "CREATE DATABASE "+postgres.QuoteIdent(r.o.Into), "COMMENT ON DATABASE "+postgres.QuoteIdent(r.o.Into)+" IS 'somebody else''s'")
				}
			}
			r.t.Cleanup(func() {
				admin := scratchtest.Connect(background{r.t}, scratchtest.Server(r.t), "postgres", "postgres")
				if got := scratchtest.Query(background{r.t}, admin, "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = "+postgres.QuoteLiteral(r.o.Into)); got != "somebody else's" {
					r.t.Errorf("the database that got the name first: %q", got)
				}
			})
		}, func(err error) bool { return errors.Is(err, pgdump.ErrExists) }},
		"pg_restore killed in pre-data":  {func(r run) { r.o.Runner = killing(r.t, 0) }, killed("pre-data")},
		"pg_restore killed in data":      {func(r run) { r.o.Runner = killing(r.t, 1) }, killed("data")},
		"pg_restore killed in post-data": {func(r run) { r.o.Runner = killing(r.t, 2) }, killed("post-data")},
		"stopped while it loads": {func(r run) {
			r.o.Progress = func(stage string, _, _ int64) {
				if stage == "load" {
					r.stop()
				}
			}
		}, stopped},
	}
	for _, name := range []string{"created", "loaded pre-data", "loaded data", "loaded post-data", "compare", "analyze"} {
		tests["stopped at "+name] = struct {
			change func(run)
			check  func(error) bool
		}{stopAt(name), stopped}
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := copySet(t, false)
			into := scratchtest.Name("fails")
			o := options(t, s.Catalog, s.Set(), into)
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			tt.change(run{s, &o, func() { cancel(why) }, t})
			r, err := restore.Into(ctx, o)
			if err == nil || !tt.check(err) {
				t.Errorf("got %v", err)
			}
			left := like(t, into)
			if name == "name taken meanwhile" {
				left = strings.TrimPrefix(left, into)
			}
			if left != "" || r.Working == "" {
				t.Errorf("left: %s", left)
			}
		})
	}
	t.Run("stopped too late", func(t *testing.T) {
		t.Parallel()
		s := copySet(t, false)
		o := options(t, s.Catalog, s.Set(), scratchtest.Name("late"))
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		o.Step = func(name string) {
			if name == "finish" {
				cancel(why)
			}
		}
		_, err := restore.Into(ctx, o)
		must(t, err)
		if scratchtest.Dump(t, o.Into) != original.dump {
			t.Error("the restored database is dumped differently from the original")
		}
	})
	t.Run("a role that is only granted something", func(t *testing.T) {
		t.Parallel()
		admin, guest := scratchtest.Admin(t), scratchtest.Name("guest")
		e := scratchtest.Database(t, "CREATE TABLE t ()", "CREATE ROLE "+guest, "GRANT SELECT ON t TO "+guest)
		c := catalogtest.Open(t, t.TempDir())
		set := save(t, c, e, nil)
		scratchtest.Exec(t, e, "DROP OWNED BY "+guest, "DROP ROLE "+guest)
		o := options(t, c, set, scratchtest.Name("fails"))
		if _, err := restore.Into(t.Context(), o); err == nil || !strings.Contains(err.Error(), guest) {
			t.Errorf("got %v", err)
		}
		if left := like(t, o.Into); left != "" {
			t.Errorf("left: %s", left)
		}
		scratchtest.Exec(t, admin, "CREATE ROLE "+guest)
		_, err := restore.Into(t.Context(), o)
		must(t, err)
		scratchtest.Exec(t, admin, "DROP DATABASE "+postgres.QuoteIdent(o.Into), "DROP ROLE "+guest)
	})
	t.Run("a role that may not create databases", func(t *testing.T) {
		t.Parallel()
		s := copySet(t, false)
		o := options(t, s.Catalog, s.Set(), scratchtest.Name("fails"))
		o.Admin = scratchtest.Connect(t, scratchtest.Server(t), "postgres", scratchtest.Role(t, o.Admin, "LOGIN"))
		if _, err := restore.Into(t.Context(), o); err == nil || !errors.Is(err, pgdump.ErrRights) || !strings.Contains(err.Error(), "CREATEDB") {
			t.Errorf("got %v", err)
		}
		if left := like(t, o.Into); left != "" {
			t.Errorf("left: %s", left)
		}
	})
}

// killing is a runner that kills the pg_restore of that number before it gets a byte.
func killing(t testing.TB, number int) proc.Runner {
	count := 0
	return proctest.Wrapped{Runner: scratchtest.Runner(), OnStart: func(ctx context.Context, next proc.Runner, c proc.Cmd) (proc.Process, error) {
		if filepath.Base(c.Path) != "pg_restore" {
			return next.Start(ctx, c)
		}
		count++
		if count-1 != number {
			return next.Start(ctx, c)
		}
		return proctest.StartKilled(ctx, t, next, c)
	}}
}

// background is a test whose context has not ended when it cleans up.
type background struct{ testing.TB }

func (background) Context() context.Context { return context.Background() }

// Promise: a set without a fingerprint is restored, but not called compared.
func TestWithoutFingerprint(t *testing.T) {
	t.Parallel()
	s := copySet(t, false)
	s.Forge(func(m *catalog.Manifest) { m.Fingerprint = nil })
	r, err := restore.Into(t.Context(), options(t, s.Catalog, s.Set(), scratchtest.Name("uncounted")))
	must(t, err)
	if len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "nothing was counted") {
		t.Errorf("warnings %q", r.Warnings)
	}
}
