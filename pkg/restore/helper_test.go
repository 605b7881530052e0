package restore_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"github.com/bmad-forge/forgectl/pkg/backup"
	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
	"github.com/bmad-forge/forgectl/pkg/proc"
	"github.com/bmad-forge/forgectl/pkg/restore"
	"github.com/bmad-forge/forgectl/pkg/seal"
	"github.com/bmad-forge/forgectl/pkg/store/local"
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
	original.dump = dump(t, e.Database())
	var public *seal.Key
	public, original.key = newKey(t, "ops")
	original.plain = save(t, c, e, nil).Ref
	original.sealed = save(t, c, e, []*seal.Key{public}).Ref
}

// save backs a database up.
func save(t testing.TB, c *catalog.Catalog, e *postgres.Endpoint, to []*seal.Key) catalog.Set {
	t.Helper()
	runner := scratchtest.Runner()
	r, err := backup.Database(t.Context(), backup.DatabaseOptions{
		Endpoint: e, Catalog: c, Runner: runner, Finder: postgres.ToolFinder{Runner: runner},
		Fingerprint: catalog.FingerprintFull, Seal: seal.Options{Recipients: to},
	})
	must(t, err)
	return r.Set
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

// dump is what pg_dump says of a database of the shared server.
func dump(t testing.TB, name string) string {
	t.Helper()
	server := scratchtest.Server(t)
	cmd := exec.CommandContext(t.Context(), "/usr/lib/postgresql/15/bin/pg_dump", "--restrict-key=test", "--host="+server.SocketDir, fmt.Sprintf("--port=%d", server.Port), "--username=postgres")
	cmd.Env = append(os.Environ(), "PGDATABASE="+name)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("pg_dump %s: %v\n%s", name, err, stderr.String())
	}
	return string(out)
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
