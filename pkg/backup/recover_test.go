package backup_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/backup"
	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
	"github.com/bmad-forge/forgectl/pkg/seal"
	"github.com/bmad-forge/forgectl/pkg/seal/sealtest"
)

var shellBlock = regexp.MustCompile("(?ms)^```sh\n(.*?)^```$")

// stockTools is a PATH with nothing but what RECOVER.md says is needed.
func stockTools(t testing.TB, sealed bool) string {
	t.Helper()
	dir := t.TempDir()
	tools := map[string]string{"psql": "/usr/lib/postgresql/15/bin/psql", "pg_restore": "/usr/lib/postgresql/15/bin/pg_restore"}
	names := []string{"sha256sum", "zstd"}
	if sealed {
		names = append(names, "gpg")
	}
	for _, name := range names {
		path, err := exec.LookPath(name)
		must(t, err)
		tools[name] = path
	}
	for name, path := range tools {
		must(t, os.Symlink(path, filepath.Join(dir, name)))
	}
	return dir
}

// gnupg makes a home of gpg that holds a secret key.
func gnupg(t testing.TB, secret []byte) string {
	t.Helper()
	home, err := os.MkdirTemp("/tmp", "fg") // short: the agent's socket lies in it
	must(t, err)
	t.Cleanup(func() {
		if out, err := exec.Command("gpgconf", "--homedir", home, "--kill", "all").CombinedOutput(); err != nil {
			t.Errorf("gpgconf: %v\n%s", err, out)
		}
		os.RemoveAll(home)
	})
	cmd := exec.Command("gpg", "--homedir", home, "--batch", "--quiet", "--import")
	cmd.Stdin = strings.NewReader(string(secret))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("gpg --import: %v\n%s", err, out)
	}
	return home
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

// dress gives a database an owner and all properties that a database can have.
func dress(t testing.TB, e *postgres.Endpoint) {
	t.Helper()
	owner, guest := scratchtest.Role(t, scratchtest.Admin(t), "LOGIN"), scratchtest.Role(t, scratchtest.Admin(t), "NOLOGIN")
	db := postgres.QuoteIdent(e.Database())
	t.Cleanup(func() { // a role with settings or privileges somewhere cannot be dropped
		admin := scratchtest.Connect(background{t}, scratchtest.Server(t), "postgres", "postgres")
		scratchtest.Exec(background{t}, admin, "DROP DATABASE IF EXISTS "+db+" WITH (FORCE)")
	})
	scratchtest.Exec(t, scratchtest.Admin(t),
		"ALTER DATABASE "+db+" OWNER TO "+owner,
		"ALTER DATABASE "+db+" CONNECTION LIMIT 17",
		"COMMENT ON DATABASE "+db+` IS E'it''s the "forge" :db :"db" \\ of\n$$ two lines'`,
		"REVOKE ALL ON DATABASE "+db+" FROM PUBLIC",
		"GRANT CONNECT, TEMPORARY ON DATABASE "+db+" TO "+guest+" WITH GRANT OPTION",
		"ALTER DATABASE "+db+` SET search_path = "$user", public, "Odd, schema"`,
		"ALTER DATABASE "+db+" SET default_transaction_read_only = on",
		"ALTER DATABASE "+db+` SET app.greeting = 'it''s a=b \ "c" :db'`,
		"ALTER ROLE "+guest+" IN DATABASE "+db+" SET work_mem = '7MB'")
}

// Promise: without forgectl, the commands of RECOVER.md as they stand there
// and stock tools prove who signed it and bring back the database with everything that belongs to it.
func TestRecover(t *testing.T) { // not beside tests that drop roles: the globals change all roles that they know
	e := sealtest.Entity(t, "ops", nil)
	public, secret := sealtest.Serialize(t, e)
	for _, tt := range []struct {
		name   string
		sealed bool
		into   string // "": the name that RECOVER.md proposes
	}{
		{"sealed", true, `it's "back", a=b \ ü`},
		{"plain", false, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			db := scratchtest.NamedDatabase(t, scratchtest.Name(`odd "name" it's a=b ü \ :db`), scratchtest.Middling)
			dress(t, db)
			c, _ := repository(t)
			o := options(db, c)
			if tt.sealed {
				o.Split = 1 // several archives of data
			}
			environ := []string{"PATH=" + stockTools(t, tt.sealed), "HOME=" + t.TempDir(), "LC_ALL=C.UTF-8"}
			if tt.sealed {
				o.Seal.Recipients = []*seal.Key{newPair(t, "other").public, sealtest.Key(t, public)}
				host := sealtest.Entity(t, "host", nil)
				hostPublic, _ := sealtest.Serialize(t, host)
				o.Signer = signerOf(t, host)
				environ = append(environ, "GNUPGHOME="+gnupg(t, append(slices.Clone(secret), hostPublic...)))
			}
			r, err := backup.Database(t.Context(), o)
			must(t, err)
			dir, local := c.Location(r.Set.Ref)
			if !local {
				t.Fatal("the repository is not in files")
			}
			text, err := os.ReadFile(filepath.Join(dir, "RECOVER.md"))
			must(t, err)
			var script strings.Builder
			for _, m := range shellBlock.FindAllStringSubmatch(string(text), -1) {
				script.WriteString(m[1])
			}
			into := tt.into
			if into == "" {
				into = "recovered_" + strings.ToLower(string(r.Set.ID))
			} else {
				into = scratchtest.Name(into)
				environ = append(environ, "NEW="+into)
			}
			scratchtest.Drop(t, into)
			server := scratchtest.Server(t)
			cmd := exec.CommandContext(t.Context(), "bash", "--norc", "-eu", "-c", script.String())
			cmd.Dir = dir
			cmd.Env = append(environ, "PGHOST="+server.SocketDir, fmt.Sprintf("PGPORT=%d", server.Port), "PGUSER=postgres")
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s\n%s", err, script.String(), out)
			}
			if verified := strings.Contains(string(out), `Good signature from "host <host@example.org>"`); verified != tt.sealed {
				t.Errorf("signature verified: %v\n%s", verified, out)
			}
			if scratchtest.Dump(t, into) != scratchtest.Dump(t, db.Database()) {
				t.Error("the recovered database is dumped differently from the original")
			}
			if got, want := propertiesOf(t, into), propertiesOf(t, db.Database()); got != want {
				t.Errorf("properties\n%s\ninstead of\n%s", got, want)
			}
			if !strings.Contains(string(text), fmt.Sprintf("%q", db.Database())) {
				t.Errorf("RECOVER.md does not name %q", db.Database())
			}
		})
	}
}

// Promise: the commands of RECOVER.md stop at what is damaged before they touch a server.
func TestRecoverDamaged(t *testing.T) {
	t.Parallel()
	db := scratchtest.Database(t, "CREATE TABLE t AS SELECT 1 AS i")
	c, _ := repository(t)
	r, err := backup.Database(t.Context(), options(db, c))
	must(t, err)
	dir, _ := c.Location(r.Set.Ref)
	text, err := os.ReadFile(filepath.Join(dir, "RECOVER.md"))
	must(t, err)
	must(t, os.Truncate(filepath.Join(dir, "30-post-data.dump.zst"), 100))
	first := shellBlock.FindStringSubmatch(string(text))[1]
	cmd := exec.CommandContext(t.Context(), "bash", "-c", first)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "30-post-data.dump.zst: FAILED") {
		t.Errorf("%v\n%s", err, out)
	}
}
