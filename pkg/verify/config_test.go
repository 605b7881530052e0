package verify_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/archive"
	"github.com/bmad-forge/forgectl/pkg/artifact"
	"github.com/bmad-forge/forgectl/pkg/backup"
	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/configset"
	"github.com/bmad-forge/forgectl/pkg/seal"
	"github.com/bmad-forge/forgectl/pkg/store/local"
	"github.com/bmad-forge/forgectl/pkg/verify"
)

func configCatalog(t testing.TB) (*catalog.Catalog, string) {
	t.Helper()
	dir := t.TempDir()
	s, err := local.Open(dir, local.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return catalog.New(s, catalog.Options{}), dir
}

// Promise: a config set is whole at each level, a drill of it counts as a decode, and each damaged file is found and
// recorded.
func TestConfig(t *testing.T) {
	t.Parallel()
	c, dir := configCatalog(t)
	etc := t.TempDir()
	for _, name := range []string{"a", "b"} {
		if err := os.WriteFile(filepath.Join(etc, name), []byte("SECRET="+name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r, err := backup.Config(t.Context(), backup.ConfigOptions{SetOptions: backup.SetOptions{Catalog: c}, Paths: []string{etc}, AllowPlain: true})
	if err != nil {
		t.Fatal(err)
	}
	for level, want := range map[string]string{catalog.LevelChecksum: catalog.LevelChecksum, catalog.LevelDecode: catalog.LevelDecode, catalog.LevelDrill: catalog.LevelDecode} {
		v, err := verify.Verify(t.Context(), verify.Options{Catalog: c, Level: level}, r.Set)
		if err != nil || !v.OK || v.Level != want {
			t.Errorf("%s: %+v, %v", level, v, err)
		}
	}
	for _, a := range r.Set.Manifest.Artifacts {
		path := filepath.Join(dir, r.Set.Dir(), a.Name)
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		broken := bytes.Clone(whole)
		broken[len(broken)/2] ^= 1
		if err := os.WriteFile(path, broken, 0o600); err != nil {
			t.Fatal(err)
		}
		v, err := verify.Verify(t.Context(), verify.Options{Catalog: c, Level: catalog.LevelDecode}, r.Set)
		if err != nil || v.OK || !strings.Contains(v.Err().Error(), "checksum mismatch in "+a.Name) {
			t.Errorf("%s: %v, %v", a.Name, v.Err(), err)
		}
		if err := os.WriteFile(path, whole, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if set, err := c.Get(t.Context(), r.Set.Ref); err != nil || set.Failed() == nil {
		t.Errorf("nothing was recorded: %+v, %v", set, err)
	}
}

// Promise: a set whose sums are all right, and whose archive and index are not about the same files or hold what no
// backup writes, is damaged all the same.
func TestConfigForged(t *testing.T) {
	t.Parallel()
	entry := archive.Entry{Path: "etc/a", Type: archive.Dir, Mode: 0o755}
	var packed bytes.Buffer
	dir := t.TempDir()
	p, err := archive.Pack(t.Context(), &packed, []string{dir}, archive.PackOptions{})
	if err != nil {
		t.Fatal(err)
	}
	altered := p.Entries[0]
	altered.Mode ^= 0o7
	for name, tc := range map[string]struct {
		archive []byte
		index   []archive.Entry
		want    string
	}{
		"other files":    {packed.Bytes(), []archive.Entry{entry}, "not what the index says"},
		"lacks one":      {packed.Bytes(), append([]archive.Entry{entry}, p.Entries...), "not what the index says"},
		"one more":       {packed.Bytes(), nil, "in addition"},
		"another mode":   {packed.Bytes(), []archive.Entry{altered}, "not what the index says"},
		"no archive":     {[]byte("no archive"), p.Entries, "malformed"},
		"cut":            {packed.Bytes()[:packed.Len()-600], p.Entries, "malformed"},
		"more after end": {append(bytes.Clone(packed.Bytes()), "x"...), p.Entries, "after the end"},
	} {
		c, _ := configCatalog(t)
		d, err := c.Begin(t.Context(), configset.Group())
		if err != nil {
			t.Fatal(err)
		}
		put := func(base string, fill func(io.Writer) error) catalog.Artifact {
			w, err := artifact.Write(t.Context(), d, seal.Options{}, base, fill)
			if err != nil {
				t.Fatal(err)
			}
			return w.Artifact
		}
		m := catalog.Manifest{Artifacts: []catalog.Artifact{
			put(configset.ArchiveName, func(w io.Writer) error { _, err := w.Write(tc.archive); return err }),
			put(configset.IndexName, func(w io.Writer) error {
				index := archive.NewIndexWriter(w)
				var errs []error
				for _, e := range tc.index {
					errs = append(errs, index.Write(e))
				}
				return errors.Join(append(errs, index.Close())...)
			}),
		}}
		set, err := d.Publish(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
		v, err := verify.Verify(t.Context(), verify.Options{Catalog: c, Level: catalog.LevelDecode}, set)
		if err != nil || v.OK || !errors.Is(v.Err(), catalog.ErrDamaged) || !strings.Contains(v.Err().Error(), tc.want) {
			t.Errorf("%s: %v, %v", name, v.Err(), err)
		}
	}
}
