// Package catalogtest makes copies of sets for tests, and forges them: what is changed in a set fits together again, as
// after somebody who knows the format.
//
// A Copy lies in a repository of the test's own, so that what one test damages no other one sees. Its sums, its manifest and
// its artifacts can be changed apart or together. What goes wrong fails the test.
package catalogtest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/seal"
	"github.com/bmad-forge/forgectl/pkg/store/local"
)

// Store is the repository at dir. The test's end closes it.
func Store(t testing.TB, dir string) *local.Store {
	t.Helper()
	s, err := local.Open(dir, local.Options{})
	must(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

// Open is the catalog of the repository at dir, as the host web1 opens it.
func Open(t testing.TB, dir string) *catalog.Catalog {
	t.Helper()
	return catalog.New(Store(t, dir), catalog.Options{Host: "web1", Version: "1.0.0"})
}

// Copy is a set of a test's own, that it may damage.
type Copy struct {
	T       testing.TB
	Catalog *catalog.Catalog
	Ref     catalog.Ref
	Dir     string // of the set
}

// New copies a set out of the repository at dir, into one of its own.
func New(t testing.TB, dir string, ref catalog.Ref) *Copy {
	t.Helper()
	return CopyTo(t, t.TempDir(), dir, ref)
}

// CopyTo copies a set out of the repository at dir into the one at to.
func CopyTo(t testing.TB, to, dir string, ref catalog.Ref) *Copy {
	t.Helper()
	must(t, os.CopyFS(filepath.Join(to, ref.Dir()), os.DirFS(filepath.Join(dir, ref.Dir()))))
	return At(t, to, ref)
}

// At is a set that is a test's own where it is.
func At(t testing.TB, dir string, ref catalog.Ref) *Copy {
	t.Helper()
	return &Copy{T: t, Catalog: Open(t, dir), Ref: ref, Dir: filepath.Join(dir, ref.Dir())}
}

// Root is where the repository of the set lies.
func (c *Copy) Root() string { return strings.TrimSuffix(c.Dir, "/"+c.Ref.Dir()) }

// Set is the set as the catalog has it now.
func (c *Copy) Set() catalog.Set {
	c.T.Helper()
	set, err := c.Catalog.Get(c.T.Context(), c.Ref)
	must(c.T, err)
	return set
}

// Read is what a file of the set holds.
func (c *Copy) Read(name string) []byte {
	c.T.Helper()
	data, err := os.ReadFile(filepath.Join(c.Dir, name))
	must(c.T, err)
	return data
}

// Write gives a file of the set another content; the sums are left as they are.
func (c *Copy) Write(name string, data []byte) {
	c.T.Helper()
	must(c.T, os.WriteFile(filepath.Join(c.Dir, name), data, 0o600))
}

// Forge changes the manifest and gives it the right sum.
func (c *Copy) Forge(change func(*catalog.Manifest)) {
	c.T.Helper()
	old := c.Read(catalog.ManifestName)
	var m catalog.Manifest
	must(c.T, json.Unmarshal(old, &m))
	change(&m)
	data, err := json.MarshalIndent(m, "", "  ")
	must(c.T, err)
	c.Write(catalog.ManifestName, data)
	c.Resum(old, data)
}

// Resum replaces the sum of old content by that of new.
func (c *Copy) Resum(old, data []byte) {
	c.T.Helper()
	sums := c.Read(catalog.SumsName)
	if !bytes.Contains(sums, []byte(Hash(old))) {
		c.T.Fatalf("%s does not have %s", catalog.SumsName, Hash(old))
	}
	c.Write(catalog.SumsName, bytes.ReplaceAll(sums, []byte(Hash(old)), []byte(Hash(data))))
}

// Hash is the SHA-256 of data as sums and manifests spell it.
func Hash(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// ForgeArtifact changes the plain bytes of an artifact of a plain set; raw says whether the manifest is told about them
// too, or only about the packed ones.
func (c *Copy) ForgeArtifact(base string, raw bool, change func([]byte) []byte) {
	c.T.Helper()
	name := base + ".zst"
	packed := c.Read(name)
	r, err := seal.NewReader(c.T.Context(), bytes.NewReader(packed), false, nil)
	must(c.T, err)
	defer r.Close()
	plain, err := io.ReadAll(r)
	must(c.T, err)
	changed := change(bytes.Clone(plain))
	if bytes.Equal(changed, plain) {
		c.T.Fatalf("nothing was changed in %s", name)
	}
	var b bytes.Buffer
	w, err := seal.NewWriter(&b, seal.Options{})
	must(c.T, err)
	_, err = w.Write(changed)
	must(c.T, err)
	must(c.T, w.Close())
	c.Write(name, b.Bytes())
	c.Resum(packed, b.Bytes())
	c.Forge(func(m *catalog.Manifest) {
		for i := range m.Artifacts {
			if a := &m.Artifacts[i]; a.Name == name {
				a.Bytes, a.SHA256 = int64(b.Len()), Hash(b.Bytes())
				if raw {
					a.RawBytes, a.RawSHA256 = w.RawBytes(), w.RawSHA256()
				}
			}
		}
	})
}

// Replace is a change of ForgeArtifact.
func Replace(from, to string) func([]byte) []byte {
	return func(b []byte) []byte { return bytes.ReplaceAll(b, []byte(from), []byte(to)) }
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
