package configset_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/archive"
	"github.com/bmad-forge/forgectl/pkg/artifact"
	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/catalog/catalogtest"
	"github.com/bmad-forge/forgectl/pkg/configset"
	"github.com/bmad-forge/forgectl/pkg/seal"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// packed is an archive of some files, with what it says of them.
func packed(t testing.TB) ([]byte, []archive.Entry) {
	t.Helper()
	etc := filepath.Join(t.TempDir(), "etc")
	must(t, os.Mkdir(etc, 0o755))
	for name, text := range map[string]string{"a.conf": "SECRET=a\n", "b.conf": "b\n", "empty": ""} {
		must(t, os.WriteFile(filepath.Join(etc, name), []byte(text), 0o600))
	}
	must(t, os.Link(filepath.Join(etc, "b.conf"), filepath.Join(etc, "c.conf")))
	must(t, os.Symlink("a.conf", filepath.Join(etc, "link")))
	var tar bytes.Buffer
	p, err := archive.Pack(t.Context(), &tar, []string{etc, filepath.Join(etc, "../nowhere")}, archive.PackOptions{})
	must(t, err)
	return tar.Bytes(), p.Entries
}

func indexed(entries []archive.Entry) func(io.Writer) error {
	return func(w io.Writer) error {
		index := archive.NewIndexWriter(w)
		for _, e := range entries {
			if err := index.Write(e); err != nil {
				return err
			}
		}
		return index.Close()
	}
}

// publish makes a set of both; nil leaves one out.
func publish(t testing.TB, tar []byte, index func(io.Writer) error) configset.Reader {
	t.Helper()
	c := catalogtest.Open(t, t.TempDir())
	d, err := c.Begin(t.Context(), configset.Group())
	must(t, err)
	var m catalog.Manifest
	put := func(base string, fill func(io.Writer) error) {
		w, err := artifact.Write(t.Context(), d, seal.Options{}, base, fill)
		must(t, err)
		m.Artifacts = append(m.Artifacts, w.Artifact)
	}
	if tar != nil {
		put(configset.ArchiveName, func(w io.Writer) error { _, err := w.Write(tar); return err })
	}
	if index != nil {
		put(configset.IndexName, index)
	}
	set, err := d.Publish(t.Context(), m)
	must(t, err)
	return configset.Reader{Catalog: c, Set: set}
}

// base is the last element of an entry's path.
func base(e archive.Entry) string { return filepath.Base(e.Path) }

// Promise: the index gives every entry that was met, missing paths included, and Each every one that is stored, in the
// same order, with the content that it has; a visitor need not read it.
func TestEach(t *testing.T) {
	tar, entries := packed(t)
	r := publish(t, tar, indexed(entries))
	if r.Sealed() || r.Name(configset.ArchiveName) == "" || r.Name("30-other") != "" {
		t.Errorf("sealed %v, named %q and %q", r.Sealed(), r.Name(configset.ArchiveName), r.Name("30-other"))
	}
	index, err := r.Index(t.Context())
	must(t, err)
	if !slices.ContainsFunc(index, func(e archive.Entry) bool { return base(e) == "nowhere" && e.Type == archive.Missing }) || len(index) != len(entries) {
		t.Errorf("index %+v", index)
	}
	content := map[string]string{}
	var order []string
	must(t, r.Each(t.Context(), index, func(e archive.Entry, in io.Reader) error {
		order = append(order, base(e))
		if base(e) == "b.conf" {
			return nil // not read
		}
		data, err := io.ReadAll(in)
		content[base(e)] = string(data)
		return err
	}))
	if !slices.Equal(order, []string{"etc", "a.conf", "b.conf", "c.conf", "empty", "link"}) || content["a.conf"] != "SECRET=a\n" || content["empty"] != "" {
		t.Errorf("%q, %q", order, content)
	}
	if damaged, err := r.Compare(t.Context()); err != nil || len(damaged) > 0 {
		t.Errorf("%v, %v", damaged, err)
	}
}

// Promise: what a visitor returns comes back as it is: it is no damage of the set.
func TestVisitorFails(t *testing.T) {
	tar, entries := packed(t)
	r := publish(t, tar, indexed(entries))
	full := errors.New("no space left")
	err := r.Each(t.Context(), entries, func(archive.Entry, io.Reader) error { return full })
	if !errors.Is(err, full) || errors.Is(err, catalog.ErrDamaged) {
		t.Error(err)
	}
}

// Promise: an archive that is not what the index says, in whatever respect, is damage that names the file, and so is a
// set that lacks one of the two.
func TestDamage(t *testing.T) {
	tar, entries := packed(t)
	at := func(name string) int {
		return slices.IndexFunc(entries, func(e archive.Entry) bool { return base(e) == name })
	}
	with := func(name string, change func(*archive.Entry)) []archive.Entry {
		changed := slices.Clone(entries)
		change(&changed[at(name)])
		return changed
	}
	without := func(name string) []archive.Entry { i := at(name); return slices.Delete(slices.Clone(entries), i, i+1) }
	for name, tc := range map[string]struct {
		tar   []byte
		index func(io.Writer) error
		want  string
	}{
		"another hash":   {tar, indexed(with("a.conf", func(e *archive.Entry) { e.SHA256 = strings.Repeat("0", 64) })), "not what the index says"},
		"another owner":  {tar, indexed(with("a.conf", func(e *archive.Entry) { e.UID++ })), "not what the index says"},
		"another time":   {tar, indexed(with("empty", func(e *archive.Entry) { e.MTime++ })), "not what the index says"},
		"another target": {tar, indexed(with("link", func(e *archive.Entry) { e.Target = "b.conf" })), "not what the index says"},
		"one more":       {tar, indexed(without("empty")), "not what the index says"},
		"the last more":  {tar, indexed(without("link")), "in addition"},
		"bytes changed":  {bytes.Replace(tar, []byte("SECRET=a"), []byte("SECRET=b"), 1), indexed(entries), "not what the index says"},
		"cut":            {tar[:len(tar)-1500], indexed(entries), "10-config.tar"},
		"no archive":     {nil, indexed(entries), "10-config.tar is missing"},
		"no index":       {tar, nil, "20-index.jsonl is missing"},
		"no lines":       {tar, func(w io.Writer) error { _, err := io.WriteString(w, "{}\n"); return err }, "20-index.jsonl"},
		"hostile":        {bytes.Replace(tar, []byte("etc/a.conf\x00"), []byte("../a.conf/\x00"), 1), indexed(entries), "10-config.tar"},
	} {
		t.Run(name, func(t *testing.T) {
			damaged, err := publish(t, tc.tar, tc.index).Compare(t.Context())
			if err != nil || len(damaged) != 1 || !errors.Is(damaged[0], catalog.ErrDamaged) || !strings.Contains(damaged[0].Error(), tc.want) {
				t.Errorf("%v, %v", damaged, err)
			}
		})
	}
}
