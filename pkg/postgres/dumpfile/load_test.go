package dumpfile

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/postgres/pgdump"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
	"github.com/bmad-forge/forgectl/pkg/seal"
)

// Promise: a dump of each format comes back exactly, owned by the role that owns the database, whoever loaded it; and
// no temporary role is left.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	f := shareFixture(t)
	for _, c := range []struct {
		name   string
		format Format
	}{
		{"plain.sql", SQL}, {"inserts.sql", SQL}, {"custom.dump", Custom}, {"raw.dump", Custom}, {"all.tar", Tar}, {"dir", Directory}, {"rawdir", Directory},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			file := mustOpen(t, f.path(c.name), nil)
			if file.Format != c.format {
				t.Errorf("recognised as %s", file.Describe())
			}
			report, err := file.Examine(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if err := report.Refusal(false); err != nil {
				t.Error(err)
			}
			if !slices.Equal(report.Owners, []string{f.owner}) || !strings.HasPrefix(report.DumpVersion, f.tools.Version.String()) || !strings.HasPrefix(report.ServerFrom, "15.") {
				t.Errorf("owners %q, written by %q from %q", report.Owners, report.DumpVersion, report.ServerFrom)
			}
			if c.format != SQL && len(report.TOC.TableData()) < 5 {
				t.Errorf("table of contents %v", report.TOC)
			}
			e := f.target(t)
			said, err := file.Load(t.Context(), f.options(e))
			if err != nil {
				t.Fatal(err)
			}
			if len(said) > 0 {
				t.Errorf("said %v", said)
			}
			f.same(t, f.e, e)
			noRoleLeft(t, e)
		})
	}
}

// Promise: a trusted dump is loaded by the session's own role, with its own owners and privileges.
func TestTrusted(t *testing.T) {
	t.Parallel()
	f := shareFixture(t)
	for _, name := range []string{"plain.sql", "custom.dump"} {
		e := f.target(t)
		o := f.options(e)
		o.Trusted = true
		if _, err := mustOpen(t, f.path(name), nil).Load(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		f.same(t, f.e, e)
	}
	// Without a marker, and with roles: forgiven. A database: never.
	e := f.target(t)
	o := f.options(e)
	o.Trusted = true
	if _, err := mustOpen(t, write(t, []byte("SET ROLE "+f.owner+"; CREATE TABLE mine (i int); RESET ROLE;")), nil).Load(t.Context(), o); err != nil {
		t.Error(err)
	}
	if owner := scratchtest.Query(t, e, "SELECT tableowner FROM pg_tables WHERE tablename = 'mine'"); owner != f.owner {
		t.Errorf("owner %q", owner)
	}
	for _, sql := range []string{"DROP DATABASE x;", `\connect x`, `\! true`} {
		if _, err := mustOpen(t, write(t, []byte(sql)), nil).Load(t.Context(), o); !errors.Is(err, ErrRefused) {
			t.Errorf("%s: %v", sql, err)
		}
	}
}

// Promise: pg_dump --create is refused, trusted or not, with the names of the statements and of the database.
func TestCreateIsRefused(t *testing.T) {
	t.Parallel()
	f := shareFixture(t)
	e := f.target(t)
	for _, trusted := range []bool{false, true} {
		o := f.options(e)
		o.Trusted = trusted
		_, err := mustOpen(t, f.path("create.sql"), nil).Load(t.Context(), o)
		if !errors.Is(err, ErrRefused) {
			t.Fatal(err)
		}
		for _, want := range []string{"CREATE DATABASE source", "ALTER DATABASE source", `\connect source`, "line "} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%v does not say %q", err, want)
			}
		}
	}
	if n := scratchtest.Query(t, e, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"); n != "0" {
		t.Errorf("%s tables were made", n)
	}
}

// Promise: a role that is not there is an error that names it; without privileges the dump loads.
func TestMissingRole(t *testing.T) {
	t.Parallel()
	f := shareFixture(t)
	source := f.target(t)
	scratchtest.Exec(t, source, "CREATE ROLE soon_gone", "CREATE TABLE t (i int)", "GRANT SELECT ON t TO soon_gone")
	plain := write(t, []byte(f.dump(t, source)))
	custom := write(t, []byte(f.dump(t, source, "--format=custom")))
	scratchtest.Exec(t, source, "REVOKE ALL ON t FROM soon_gone", "DROP ROLE soon_gone")
	for _, path := range []string{plain, custom} {
		file := mustOpen(t, path, nil)
		e := f.target(t)
		_, err := file.Load(t.Context(), f.options(e))
		var missing *pgdump.MissingError
		if !errors.As(err, &missing) || !slices.Equal(missing.Roles, []string{"soon_gone"}) {
			t.Errorf("%s: %v", file.Format, err)
		}
		noRoleLeft(t, e)
		o := f.options(f.target(t))
		o.NoPrivileges = true
		if _, err := file.Load(t.Context(), o); err != nil {
			t.Errorf("%s without privileges: %v", file.Format, err)
		}
		if _, err := file.Load(t.Context(), LoadOptions{Endpoint: o.Endpoint, Tools: f.tools, Runner: scratchtest.Runner(), AsRole: "who"}); !errors.As(err, &missing) || missing.Roles[0] != "who" {
			t.Errorf("as nobody known: %v", err)
		}
		if _, err := file.Load(t.Context(), LoadOptions{Endpoint: o.Endpoint, Tools: f.tools, Runner: scratchtest.Runner(), AsRole: "postgres"}); !errors.Is(err, ErrOwner) {
			t.Errorf("as a superuser: %v", err)
		}
	}
}

// Promise: an error in the SQL is an error of Load with the line of the dump, and no temporary role is left.
func TestSQLError(t *testing.T) {
	t.Parallel()
	f := shareFixture(t)
	e := f.target(t)
	sql := "CREATE TABLE a (i int);\n\nCREATE TABLE a (i int);\n-- " + endMarker + "\n"
	_, err := mustOpen(t, write(t, []byte(sql)), nil).Load(t.Context(), f.options(e))
	if err == nil || !strings.Contains(err.Error(), "<stdin>:3:") || !strings.Contains(err.Error(), `"a" already exists`) {
		t.Error(err)
	}
	noRoleLeft(t, e)
}

// Promise: what was examined is what is loaded: a file that changed meanwhile is not.
func TestChanged(t *testing.T) {
	t.Parallel()
	f := shareFixture(t)
	path := write(t, f.read(t, "plain.sql"))
	file := mustOpen(t, path, nil)
	if _, err := file.Examine(t.Context()); err != nil {
		t.Fatal(err)
	}
	// Another file under the name is not looked at.
	if err := os.Rename(write(t, []byte(`\! touch x`)), path); err != nil {
		t.Fatal(err)
	}
	if _, err := file.Load(t.Context(), f.options(f.target(t))); err != nil {
		t.Error(err)
	}
	// Other contents of the file are.
	path = write(t, f.read(t, "plain.sql"))
	file = mustOpen(t, path, nil)
	if _, err := file.Examine(t.Context()); err != nil {
		t.Fatal(err)
	}
	changed := bytes.Replace(f.read(t, "plain.sql"), []byte("CREATE TABLE"), []byte("CREATE table"), 1)
	if err := os.WriteFile(path, changed, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, file.info.ModTime(), file.info.ModTime()); err != nil {
		t.Fatal(err)
	}
	if _, err := file.Load(t.Context(), f.options(f.target(t))); !errors.Is(err, ErrChanged) {
		t.Error(err)
	}
	dir := filepath.Join(t.TempDir(), "d")
	if err := os.CopyFS(dir, os.DirFS(f.path("dir"))); err != nil {
		t.Fatal(err)
	}
	file = mustOpen(t, dir, nil)
	if _, err := file.Examine(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "new"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := file.Load(t.Context(), f.options(f.target(t))); !errors.Is(err, ErrChanged) {
		t.Error(err)
	}
}

// Promise: what the old scripts left (.sql.gz.gpg) loads as it lies there, with gpg's agent holding the key.
func TestOldScripts(t *testing.T) {
	t.Parallel()
	f := shareFixture(t)
	g := newGnuPG(t)
	agent := seal.GPG{Runner: scratchtest.Runner(), Home: g.home}.Unlocker()
	for _, c := range []struct {
		data []byte
		want string
	}{
		{g.encrypt(t, gzipped(f.read(t, "plain.sql"))), "gpg, gzip, plain SQL"},
		{g.encrypt(t, f.read(t, "custom.dump"), "--armor"), "gpg, pg_dump custom archive"},
		{zstandard(f.read(t, "all.tar")), "zstd, pg_dump tar archive"},
	} {
		file := mustOpen(t, write(t, c.data), agent)
		if file.Describe() != c.want {
			t.Error(file.Describe())
		}
		e := f.target(t)
		if _, err := file.Load(t.Context(), f.options(e)); err != nil {
			t.Fatal(err)
		}
		f.same(t, f.e, e)
	}
}

// Promise: a plain dump without pg_dump's last line is loaded only when trusted.
func TestUnmarked(t *testing.T) {
	t.Parallel()
	f := shareFixture(t)
	sql := f.read(t, "plain.sql")
	cut := sql[:bytes.LastIndex(sql[:bytes.LastIndex(sql, []byte(endMarker))], []byte(";\n"))+2]
	file := mustOpen(t, write(t, cut), nil)
	report, err := file.Examine(t.Context())
	if err != nil || !report.Unmarked || report.Refusal(true) != nil {
		t.Errorf("%v, %v", report, err)
	}
	o := f.options(f.target(t))
	if _, err := file.Load(t.Context(), o); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "truncated?") {
		t.Error(err)
	}
	o.Trusted = true
	if _, err := file.Load(t.Context(), o); err != nil {
		t.Error(err)
	}
	// More behind the marker takes it back.
	file = mustOpen(t, write(t, append(bytes.Clone(sql), "SELECT 1;"...)), nil)
	if report, err := file.Examine(t.Context()); err != nil || !report.Unmarked {
		t.Errorf("%v, %v", report, err)
	}
}
