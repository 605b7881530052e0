package verify_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bmad-forge/forgectl/pkg/backup"
	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/catalog/catalogtest"
	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
	"github.com/bmad-forge/forgectl/pkg/seal"
	"github.com/bmad-forge/forgectl/pkg/seal/sealtest"
	"github.com/bmad-forge/forgectl/pkg/verify"
)

func TestMain(m *testing.M) {
	if spec := os.Getenv(killEnv); spec != "" {
		drillAndDie(spec)
	}
	code := scratchtest.Run(m)
	if original.dir != "" {
		os.RemoveAll(original.dir)
	}
	os.Exit(code)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// original is two sets of one database, made once, of which every test gets a copy.
var original struct {
	once          sync.Once
	dir           string
	plain, sealed catalog.Ref
	key           *seal.Key // the secret one
	role          string    // one that may log in, and owns a table
}

func makeOriginal(t testing.TB) {
	t.Helper()
	var err error
	original.dir, err = os.MkdirTemp("", "forgectl-sets-")
	must(t, err)
	c := catalogtest.Open(t, original.dir)
	e := scratchtest.Database(t, scratchtest.Middling)
	original.role = scratchtest.Role(t, e, "LOGIN CREATEROLE PASSWORD 'secret'")
	scratchtest.Exec(t, e, "ALTER TABLE event OWNER TO "+original.role, "GRANT CONNECT ON DATABASE "+postgres.QuoteIdent(e.Database())+" TO "+original.role)
	var public *seal.Key
	public, original.key = sealtest.Pair(t, "ops")
	runner := scratchtest.Runner()
	o := backup.DatabaseOptions{SetOptions: backup.SetOptions{Catalog: c}, Endpoint: e, Runner: runner, Finder: postgres.ToolFinder{Runner: runner}, Fingerprint: catalog.FingerprintFull}
	r, err := backup.Database(t.Context(), o)
	must(t, err)
	original.plain = r.Set.Ref
	o.Seal.Recipients = []*seal.Key{public}
	r, err = backup.Database(t.Context(), o)
	must(t, err)
	original.sealed = r.Set.Ref
}

// copied is a set of the test's own.
type copied struct{ catalogtest.Copy }

func copySet(t testing.TB, sealed bool) *copied {
	t.Helper()
	original.once.Do(func() { makeOriginal(t) })
	if original.plain.ID == "" || original.sealed.ID == "" {
		t.Fatal("there are no sets")
	}
	ref := original.plain
	if sealed {
		ref = original.sealed
	}
	return &copied{*catalogtest.New(t, original.dir, ref)}
}

// options verify with real programs; servers live in a directory of the test's own.
func (s *copied) options(level string) verify.Options {
	s.T.Helper()
	original.once.Do(func() { makeOriginal(s.T) }) // the key is needed beside sets of other kinds too
	runner := scratchtest.Runner()
	return verify.Options{
		Catalog: s.Catalog, Unlock: keyring(original.key), Level: level, Runner: runner,
		Finder: postgres.ToolFinder{Runner: runner}, Scratch: scratch.Options{Dir: scratchDir(s.T)},
		Now: func() time.Time { return time.Date(2026, 11, 24, 3, 0, 0, 0, time.UTC) },
	}
}

func keyring(keys ...*seal.Key) seal.Unlocker { return &seal.Keyring{Keys: keys} }

// scratchDir is one whose path is short enough for sockets and open to the server's user.
func scratchDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "fv")
	must(t, err)
	must(t, os.Chmod(dir, 0o755))
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// clusterIn is the running server in a scratch directory.
func clusterIn(t testing.TB, dir string) *scratch.Cluster {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "forgectl-pg-*"))
	must(t, err)
	if len(found) != 1 {
		t.Fatalf("servers %q", found)
	}
	return &scratch.Cluster{SocketDir: found[0], DataDir: filepath.Join(found[0], "data"), Port: 5432}
}

// empty fails when something is left in a scratch directory, or of it.
func empty(t testing.TB, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	for _, e := range entries {
		t.Errorf("left: %s", e.Name())
	}
	processes, err := filepath.Glob("/proc/[0-9]*/cmdline")
	must(t, err)
	for _, p := range processes {
		if line, _ := os.ReadFile(p); bytes.Contains(line, []byte(dir)) {
			t.Errorf("still runs: %s", strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
}

// unrecorded fails when a verdict stands beside the set.
func (s *copied) unrecorded() {
	s.T.Helper()
	if checks := s.Set().Checks; len(checks) > 0 {
		s.T.Errorf("recorded: %+v", checks)
	}
}

// failedCheck fails unless a bad verdict of that level is recorded, which says so.
func (s *copied) failedCheck(level, says string) {
	s.T.Helper()
	set := s.Set()
	k := set.Failed()
	if k == nil || k.Level != level || k.OK || !strings.Contains(strings.Join(k.Problems, "\n"), says) {
		s.T.Errorf("recorded: %+v", k)
	}
	if ok, _ := set.Good(); ok {
		s.T.Error("the set is good")
	}
}
