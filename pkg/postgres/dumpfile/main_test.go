package dumpfile

import (
	"bytes"
	"compress/gzip"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
	"github.com/bmad-forge/forgectl/pkg/proc"
	"github.com/bmad-forge/forgectl/pkg/seal"
)

func TestMain(m *testing.M) {
	code := scratchtest.Run(m)
	if shared.f != nil {
		_ = os.RemoveAll(shared.f.dumps)
	}
	os.Exit(code)
}

// fixture is what the tests share: a database with a bit of everything, of an ordinary role, and dumps of it.
type fixture struct {
	tools postgres.Tools
	owner string
	e     *postgres.Endpoint // as the superuser
	dumps string             // directory with plain.sql, create.sql, custom.dump, raw.dump, all.tar, dir, rawdir
}

var shared struct {
	once sync.Once
	f    *fixture
}

func shareFixture(t testing.TB) *fixture {
	t.Helper()
	admin := scratchtest.Admin(t)
	shared.once.Do(func() {
		f := &fixture{owner: "dump_owner"}
		var err error
		finder := postgres.ToolFinder{Runner: scratchtest.Runner(), Path: os.Getenv("PATH")}
		if f.tools, err = finder.Find(context.Background(), "pg_dump", 15); err != nil {
			t.Fatal(err)
		}
		scratchtest.Exec(t, admin, "CREATE ROLE dump_owner LOGIN", "CREATE ROLE reader", "CREATE DATABASE source OWNER dump_owner TEMPLATE template0")
		f.e = admin.WithDatabase("source")
		scratchtest.Exec(t, scratchtest.Connect(t, scratchtest.Server(t), "source", f.owner), scratchtest.Middling,
			`SELECT lo_from_bytea(4712, 'some bytes'); GRANT SELECT ON forge_document TO reader;
			CREATE TABLE odd ("a""b" text DEFAULT E'it''s\\', c text); INSERT INTO odd VALUES (E'\\.\n\\x', '$$ /* -- '), (E'back\\', E'\t');
			CREATE FUNCTION atomic(x int) RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT CASE x WHEN 1 THEN 2 ELSE 3 END; SELECT 4; END`)
		if f.dumps, err = os.MkdirTemp("", "dumpfile-test-"); err != nil {
			t.Fatal(err)
		}
		for name, args := range map[string][]string{
			"plain.sql": {"--format=plain"}, "create.sql": {"--format=plain", "--create"}, "inserts.sql": {"--inserts"},
			"custom.dump": {"--format=custom"}, "raw.dump": {"--format=custom", "--compress=0"},
			"all.tar": {"--format=tar"}, "dir": {"--format=directory"}, "rawdir": {"--format=directory", "--compress=0"},
		} {
			f.dump(t, f.e, append(args, "--file="+filepath.Join(f.dumps, name))...)
		}
		shared.f = f
	})
	if shared.f == nil {
		t.Fatal("no fixture")
	}
	return shared.f
}

// dump runs pg_dump and returns what it prints.
func (f *fixture) dump(t testing.TB, e *postgres.Endpoint, args ...string) string {
	t.Helper()
	out, err := proc.Output(t.Context(), scratchtest.Runner(), proc.Cmd{Path: f.tools.Path("pg_dump"), Args: append(args, "--dbname="+e.Conninfo()), Env: e.Environ()})
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func (f *fixture) path(name string) string { return filepath.Join(f.dumps, name) }

func (f *fixture) read(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(f.path(name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// target is an empty database of the shared server.
func (f *fixture) target(t testing.TB) *postgres.Endpoint {
	t.Helper()
	e := scratchtest.Database(t)
	scratchtest.Exec(t, e, "ALTER DATABASE "+e.Database()+" OWNER TO "+f.owner)
	return e
}

func (f *fixture) options(e *postgres.Endpoint) LoadOptions {
	return LoadOptions{Endpoint: e, Tools: f.tools, Runner: scratchtest.Runner()}
}

var restrictKey = regexp.MustCompile(`(?m)^\\(un)?restrict .*\n`)

func (f *fixture) same(t testing.TB, a, b *postgres.Endpoint) {
	t.Helper()
	x, y := restrictKey.ReplaceAllString(f.dump(t, a), ""), restrictKey.ReplaceAllString(f.dump(t, b), "")
	if x == y {
		return
	}
	xs, ys := strings.Split(x, "\n"), strings.Split(y, "\n")
	for i := range xs {
		if i >= len(ys) || xs[i] != ys[i] {
			t.Errorf("pg_dump differs in line %d: %.200q and %.200q", i+1, xs[i:min(i+3, len(xs))], ys[min(i, len(ys)):min(i+3, len(ys))])
			return
		}
	}
	t.Errorf("pg_dump prints more lines")
}

// noRoleLeft: whatever happened, temporary roles are gone.
func noRoleLeft(t testing.TB, e *postgres.Endpoint) {
	t.Helper()
	if n := scratchtest.Query(t, e, "SELECT string_agg(rolname, ' ') FROM pg_roles r JOIN pg_database ON datname = current_database() WHERE rolname LIKE 'forgectl_load_%' AND has_database_privilege(r.oid, current_database(), 'CREATE')"); n != "" {
		t.Errorf("left: %s", n)
	}
}

func mustOpen(t testing.TB, path string, u seal.Unlocker) *File {
	t.Helper()
	f, err := Open(t.Context(), path, Options{Unlock: u})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func write(t testing.TB, data []byte) string {
	t.Helper()
	file, err := os.CreateTemp(t.TempDir(), "file")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.Write(data); err != nil {
		t.Fatal(err)
	}
	return file.Name()
}

func gzipped(data []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(data)
	_ = z.Close()
	return b.Bytes()
}

func zstandard(data []byte) []byte {
	z, _ := zstd.NewWriter(nil)
	return z.EncodeAll(data, nil)
}

// gnupg is a real gpg with one key, and what unlocks its messages in this process.
type gnupg struct {
	home string
	ring *seal.Keyring
}

func newGnuPG(t testing.TB) *gnupg {
	t.Helper()
	home, err := os.MkdirTemp("/tmp", "fg") // short: the agent's socket lies in it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = exec.Command("gpgconf", "--homedir", home, "--kill", "all").Run()
		_ = os.RemoveAll(home)
	})
	g := &gnupg{home: home}
	g.run(t, []byte("Key-Type: EDDSA\nKey-Curve: ed25519\nSubkey-Type: ECDH\nSubkey-Curve: cv25519\nName-Real: anna\nName-Email: anna@example.org\n%no-protection\n%commit\n"), "--gen-key")
	keys, err := seal.ReadKeys(g.run(t, nil, "--export-secret-keys", "anna"))
	if err != nil {
		t.Fatal(err)
	}
	g.ring = &seal.Keyring{Keys: keys}
	return g
}

func (g *gnupg) run(t testing.TB, stdin []byte, args ...string) []byte {
	t.Helper()
	cmd := exec.Command("gpg", append([]string{"--homedir", g.home, "--batch", "--no-tty", "--trust-model", "always"}, args...)...)
	cmd.Stdin = bytes.NewReader(stdin)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("gpg: %v\n%s", err, stderr.String())
	}
	return out
}

func (g *gnupg) encrypt(t testing.TB, data []byte, args ...string) []byte {
	t.Helper()
	return g.run(t, data, append([]string{"--encrypt", "-r", "anna", "--output", "-"}, args...)...)
}
