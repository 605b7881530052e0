package restore_test

import (
	"os"
	"sync"
	"testing"
	"time"

	"github.com/bmad-forge/forgectl/pkg/backup"
	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/catalog/catalogtest"
	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
	"github.com/bmad-forge/forgectl/pkg/restore"
	"github.com/bmad-forge/forgectl/pkg/seal"
	"github.com/bmad-forge/forgectl/pkg/seal/sealtest"
)

func TestMain(m *testing.M) {
	if os.Getenv("RESTORE_TEST_KILL") != "" {
		restoreAndDie()
		return
	}
	if spec := os.Getenv(configKillEnv); spec != "" {
		restoreConfigAndDie(spec)
	}
	if os.Getenv("RESTORE_TEST_MEDIA") != "" {
		restoreMediaAndDie()
		return
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
	dump          string
}

func makeOriginal(t testing.TB) {
	t.Helper()
	var err error
	original.dir, err = os.MkdirTemp("", "forgectl-sets-")
	must(t, err)
	c := catalogtest.Open(t, original.dir)
	e := scratchtest.Database(t, scratchtest.Middling)
	original.dump = scratchtest.Dump(t, e.Database())
	var public *seal.Key
	public, original.key = sealtest.Pair(t, "ops")
	original.plain = save(t, c, e, nil).Ref
	original.sealed = save(t, c, e, []*seal.Key{public}).Ref
}

// save backs a database up.
func save(t testing.TB, c *catalog.Catalog, e *postgres.Endpoint, to []*seal.Key) catalog.Set {
	t.Helper()
	runner := scratchtest.Runner()
	r, err := backup.Database(t.Context(), backup.DatabaseOptions{
		SetOptions:  backup.SetOptions{Catalog: c},
		Sealing:     backup.Sealing{Seal: seal.Options{Recipients: to}},
		Endpoint:    e,
		Runner:      runner,
		Finder:      postgres.ToolFinder{Runner: runner},
		Fingerprint: catalog.FingerprintFull,
	})
	must(t, err)
	return r.Set
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

// options restore with real programs into a database of that name, which is dropped in the end.
func options(t testing.TB, c *catalog.Catalog, set catalog.Set, into string) restore.Options {
	t.Helper()
	scratchtest.Drop(t, into)
	runner := scratchtest.Runner()
	return restore.Options{
		Catalog: c, Set: set, Unlock: keyring(original.key), Admin: scratchtest.Admin(t), Into: into,
		Runner: runner, Finder: postgres.ToolFinder{Runner: runner},
		Now: func() time.Time { return time.Date(2026, 11, 24, 3, 0, 0, 0, time.UTC) },
	}
}

func keyring(keys ...*seal.Key) seal.Unlocker { return &seal.Keyring{Keys: keys} }

// like are the databases whose names begin like that.
func like(t testing.TB, prefix string) string {
	t.Helper()
	return scratchtest.Query(t, scratchtest.Admin(t), "SELECT string_agg(datname, ' ' ORDER BY datname) FROM pg_database WHERE starts_with(datname, "+postgres.QuoteLiteral(prefix)+")")
}
