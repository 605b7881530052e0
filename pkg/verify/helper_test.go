package verify_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"github.com/bmad-forge/forgectl/pkg/backup"
	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
	"github.com/bmad-forge/forgectl/pkg/proc"
	"github.com/bmad-forge/forgectl/pkg/seal"
	"github.com/bmad-forge/forgectl/pkg/store/local"
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

func newEntity(t testing.TB, name string) *openpgp.Entity {
	t.Helper()
	e, err := openpgp.NewEntity(name, "", name+"@example.org", &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA})
	must(t, err)
	return e
}

func newKey(t testing.TB, name string) (public, secret *seal.Key) {
	t.Helper()
	e := newEntity(t, name)
	var p, s bytes.Buffer
	must(t, e.SerializePrivateWithoutSigning(&s, nil))
	must(t, e.Serialize(&p))
	publics, err := seal.ReadKeys(p.Bytes())
	must(t, err)
	secrets, err := seal.ReadKeys(s.Bytes())
	must(t, err)
	return publics[0], secrets[0]
}

func makeOriginal(t testing.TB) {
	t.Helper()
	var err error
	original.dir, err = os.MkdirTemp("", "forgectl-sets-")
	must(t, err)
	c := open(t, original.dir)
	e := scratchtest.Database(t, scratchtest.Middling)
	original.role = scratchtest.Role(t, e, "LOGIN CREATEROLE PASSWORD 'secret'")
	scratchtest.Exec(t, e, "ALTER TABLE event OWNER TO "+original.role, "GRANT CONNECT ON DATABASE "+postgres.QuoteIdent(e.Database())+" TO "+original.role)
	var public *seal.Key
	public, original.key = newKey(t, "ops")
	runner := scratchtest.Runner()
	o := backup.DatabaseOptions{Endpoint: e, Catalog: c, Runner: runner, Finder: postgres.ToolFinder{Runner: runner}, Fingerprint: catalog.FingerprintFull}
	r, err := backup.Database(t.Context(), o)
	must(t, err)
	original.plain = r.Set.Ref
	o.Seal.Recipients = []*seal.Key{public}
	r, err = backup.Database(t.Context(), o)
	must(t, err)
	original.sealed = r.Set.Ref
}

func open(t testing.TB, dir string) *catalog.Catalog {
	t.Helper()
	s, err := local.Open(dir, local.Options{})
	must(t, err)
	t.Cleanup(func() { s.Close() })
	return catalog.New(s, catalog.Options{Host: "web1", Version: "1.0.0"})
}

// copied is a set of the test's own.
type copied struct {
	t   testing.TB
	c   *catalog.Catalog
	ref catalog.Ref
	dir string
}

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
	dir := t.TempDir()
	must(t, os.CopyFS(filepath.Join(dir, ref.Dir()), os.DirFS(filepath.Join(original.dir, ref.Dir()))))
	return &copied{t: t, c: open(t, dir), ref: ref, dir: filepath.Join(dir, ref.Dir())}
}

func (s *copied) set() catalog.Set {
	s.t.Helper()
	set, err := s.c.Get(s.t.Context(), s.ref)
	must(s.t, err)
	return set
}

func (s *copied) read(name string) []byte {
	s.t.Helper()
	data, err := os.ReadFile(filepath.Join(s.dir, name))
	must(s.t, err)
	return data
}

func (s *copied) write(name string, data []byte) {
	s.t.Helper()
	must(s.t, os.WriteFile(filepath.Join(s.dir, name), data, 0o600))
}

// forge changes the manifest and gives it the right sum.
func (s *copied) forge(change func(*catalog.Manifest)) {
	s.t.Helper()
	old := s.read(catalog.ManifestName)
	var m catalog.Manifest
	must(s.t, json.Unmarshal(old, &m))
	change(&m)
	data, err := json.MarshalIndent(m, "", "  ")
	must(s.t, err)
	s.write(catalog.ManifestName, data)
	s.resum(old, data)
}

func (s *copied) resum(old, data []byte) {
	s.t.Helper()
	sums := s.read(catalog.SumsName)
	if !bytes.Contains(sums, []byte(hash(old))) {
		s.t.Fatalf("%s does not have %s", catalog.SumsName, hash(old))
	}
	s.write(catalog.SumsName, bytes.ReplaceAll(sums, []byte(hash(old)), []byte(hash(data))))
}

func hash(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// forgeArtifact changes the plain bytes of an artifact of a plain set; raw says
// whether the manifest is told about them too, or only about the packed ones.
func (s *copied) forgeArtifact(base string, raw bool, change func([]byte) []byte) {
	s.t.Helper()
	name := base + ".zst"
	packed := s.read(name)
	r, err := seal.NewReader(s.t.Context(), bytes.NewReader(packed), false, nil)
	must(s.t, err)
	defer r.Close()
	plain, err := io.ReadAll(r)
	must(s.t, err)
	changed := change(bytes.Clone(plain))
	if bytes.Equal(changed, plain) {
		s.t.Fatalf("nothing was changed in %s", name)
	}
	var b bytes.Buffer
	w, err := seal.NewWriter(&b, seal.Options{})
	must(s.t, err)
	_, err = w.Write(changed)
	must(s.t, err)
	must(s.t, w.Close())
	s.write(name, b.Bytes())
	s.resum(packed, b.Bytes())
	s.forge(func(m *catalog.Manifest) {
		for i := range m.Artifacts {
			if a := &m.Artifacts[i]; a.Name == name {
				a.Bytes, a.SHA256 = int64(b.Len()), hash(b.Bytes())
				if raw {
					a.RawBytes, a.RawSHA256 = w.RawBytes(), w.RawSHA256()
				}
			}
		}
	})
}

// replace is a change of forgeArtifact.
func replace(from, to string) func([]byte) []byte {
	return func(b []byte) []byte { return bytes.ReplaceAll(b, []byte(from), []byte(to)) }
}

// options verify with real programs; servers live in a directory of the test's own.
func (s *copied) options(level string) verify.Options {
	s.t.Helper()
	runner := scratchtest.Runner()
	return verify.Options{
		Catalog: s.c, Unlock: keyring(original.key), Level: level, Runner: runner,
		Finder: postgres.ToolFinder{Runner: runner}, Scratch: scratch.Options{Dir: scratchDir(s.t)},
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
	s.t.Helper()
	if checks := s.set().Checks; len(checks) > 0 {
		s.t.Errorf("recorded: %+v", checks)
	}
}

// failedCheck fails unless a bad verdict of that level is recorded, which says so.
func (s *copied) failedCheck(level, says string) {
	s.t.Helper()
	set := s.set()
	k := set.Failed()
	if k == nil || k.Level != level || k.OK || !strings.Contains(strings.Join(k.Problems, "\n"), says) {
		s.t.Errorf("recorded: %+v", k)
	}
	if ok, _ := set.Good(); ok {
		s.t.Error("the set is good")
	}
}

// wrapped is a runner that changes what is run.
type wrapped struct {
	proc.Runner
	start func(ctx context.Context, next proc.Runner, c proc.Cmd) (proc.Process, error)
}

func (w wrapped) Start(ctx context.Context, c proc.Cmd) (proc.Process, error) {
	return w.start(ctx, w.Runner, c)
}

func (w wrapped) Run(ctx context.Context, c proc.Cmd) error {
	p, err := w.Start(ctx, c)
	if err != nil {
		return err
	}
	return p.Wait()
}

// storeOf is the store of a set's repository, opened once more.
func storeOf(t testing.TB, s *copied) *local.Store {
	t.Helper()
	root, err := local.Open(strings.TrimSuffix(s.dir, "/"+s.ref.Dir()), local.Options{})
	must(t, err)
	t.Cleanup(func() { root.Close() })
	return root
}
