package catalog_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bmad-forge/forgectl/pkg/catalog"
)

// writeFull writes a full set that stands for others, as forgectl backup full does.
func writeFull(ctx context.Context, c *catalog.Catalog, parts ...catalog.Set) (catalog.Set, error) {
	d, err := c.Begin(ctx, catalog.Group{Kind: catalog.KindFull})
	if err != nil {
		return catalog.Set{}, err
	}
	m := catalog.Manifest{ReferenceSums: map[string]string{}}
	for _, p := range parts {
		m.References = append(m.References, p.Ref.String())
		m.ReferenceSums[p.Ref.String()] = p.SumsSHA256()
	}
	return d.Publish(ctx, m)
}

// Promise: a full set is whole as long as each set that it stands for is there, good, and the very one that was
// written with it; otherwise it says which one is not.
func TestParts(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	c := newCatalog(openLocal(t, dir))
	media := catalog.Group{Kind: catalog.KindMedia}
	database, err := writeSet(ctx, c, forge)
	must(t, err)
	files, err := writeSet(ctx, c, media)
	must(t, err)
	full, err := writeFull(ctx, c, database, files)
	must(t, err)
	look := func() ([]catalog.Part, string) {
		t.Helper()
		parts, err := catalog.Parts(ctx, full, c.Get)
		must(t, err)
		_, why := catalog.Whole(full, parts)
		return parts, why
	}
	if parts, why := look(); why != "" || len(parts) != 2 || parts[0].Ref != database.Ref || parts[1].Set.Manifest == nil {
		t.Fatalf("a whole one: %+v, %s", parts, why)
	}

	must(t, c.AddCheck(ctx, files.Ref, catalog.Check{What: catalog.CheckSuspect, Reason: "half of it"}))
	if _, why := look(); why != files.Ref.String()+": suspect: half of it" {
		t.Errorf("a suspect part: %q", why)
	}
	if _, passed, err := c.Newest(ctx, full.Group, time.Time{}); !errors.Is(err, catalog.ErrNotFound) || len(passed) != 1 {
		t.Errorf("the newest full set with a suspect part: %v, %v", passed, err)
	}
	// Another set under its name.
	path := filepath.Join(dir, filepath.FromSlash(files.Dir()))
	must(t, os.RemoveAll(path))
	d, err := catalog.New(openLocal(t, dir), catalog.Options{Now: files.ID.Time, Host: "elsewhere"}).Begin(ctx, media)
	must(t, err)
	_, err = d.Put(ctx, "other", func(w io.Writer) error { _, err := io.WriteString(w, "another"); return err })
	must(t, err)
	_, err = d.Publish(ctx, catalog.Manifest{})
	must(t, err)
	parts, why := look()
	var damage *catalog.DamageError
	if !errors.As(parts[1].Problem, &damage) || damage.Ref != full.Ref || damage.Kind != catalog.DamageChecksum || !strings.Contains(why, files.Ref.String()) {
		t.Errorf("an exchanged part: %v, %q", parts[1].Problem, why)
	}
	must(t, os.RemoveAll(path))
	if parts, why := look(); !errors.Is(parts[1].Problem, catalog.ErrNotFound) || why != files.Ref.String()+" is missing" {
		t.Errorf("a missing part: %v, %q", parts[1].Problem, why)
	}
	if _, err := catalog.Parts(ctx, catalog.Set{Ref: full.Ref}, c.Get); err == nil {
		t.Error("without a manifest nobody knows the parts")
	}
}

// Promise: sums that belong to no reference, or are none, are not written and not read.
func TestReferenceSums(t *testing.T) {
	ctx := context.Background()
	c := newCatalog(openLocal(t, t.TempDir()))
	for name, sum := range map[string]string{"media/20261123T020000Z": strings.Repeat("0", 64), "bmad_forge/20261123T020000Z": "beef"} {
		d, err := c.Begin(ctx, catalog.Group{Kind: catalog.KindFull})
		must(t, err)
		_, err = d.Publish(ctx, catalog.Manifest{References: []string{"bmad_forge/20261123T020000Z"}, ReferenceSums: map[string]string{name: sum}})
		if err == nil {
			t.Errorf("%s: %s was published", name, sum)
		}
		must(t, d.Discard(ctx))
	}
}
