package verify_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/backup"
	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/catalog/catalogtest"
	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/filecolumns"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
	"github.com/bmad-forge/forgectl/pkg/verify"
)

const documents = `
CREATE TABLE forge_document (id int PRIMARY KEY, file varchar(100));
INSERT INTO forge_document VALUES (1, 'a/one.pdf'), (2, './a/two.pdf'), (3, ''), (4, NULL), (5, 'a/gone.pdf'), (6, '../secret'), (7, 'a');
CREATE TABLE forge_logo (image text);
INSERT INTO forge_logo VALUES ('link.png');
`

// fullSet is a recovery point of a database, some files and a configuration file, in a repository of its own.
func fullSet(t testing.TB) (c *catalog.Catalog, dir string, full catalog.Set) {
	t.Helper()
	dir = t.TempDir()
	c = catalogtest.Open(t, dir)
	conf := filepath.Join(t.TempDir(), "nginx.conf")
	must(t, os.WriteFile(conf, []byte("server {}\n"), 0o644))
	media := t.TempDir()
	must(t, os.Mkdir(filepath.Join(media, "a"), 0o755))
	for _, name := range []string{"a/one.pdf", "a/two.pdf", "a/nobody.pdf"} {
		must(t, os.WriteFile(filepath.Join(media, name), []byte(name), 0o644))
	}
	must(t, os.Symlink("a/one.pdf", filepath.Join(media, "link.png")))
	runner := scratchtest.Runner()
	e := scratchtest.Database(t, documents)
	r, err := backup.Full(t.Context(), backup.FullOptions{Catalog: c, Parts: []backup.FullPart{
		{Name: "database", Backup: func(ctx context.Context) (catalog.Set, error) {
			r, err := backup.Database(ctx, backup.DatabaseOptions{SetOptions: backup.SetOptions{Catalog: c}, Endpoint: e, Runner: runner, Finder: postgres.ToolFinder{Runner: runner}})
			return r.Set, err
		}},
		{Name: "media", Backup: func(ctx context.Context) (catalog.Set, error) {
			r, err := backup.Media(ctx, backup.MediaOptions{SetOptions: backup.SetOptions{Catalog: c}, Source: media})
			return r.Set, err
		}},
		{Name: "config", Backup: func(ctx context.Context) (catalog.Set, error) {
			r, err := backup.Config(ctx, backup.ConfigOptions{SetOptions: backup.SetOptions{Catalog: c}, Paths: []string{conf}, AllowPlain: true})
			return r.Set, err
		}},
	}})
	must(t, err)
	return c, dir, r.Set
}

func fullOptions(t testing.TB, c *catalog.Catalog, level string, columns ...string) verify.Options {
	t.Helper()
	runner := scratchtest.Runner()
	o := verify.Options{Catalog: c, Level: level, Runner: runner, Finder: postgres.ToolFinder{Runner: runner}, Scratch: scratch.Options{Dir: scratchDir(t)}}
	for _, s := range columns {
		column, err := filecolumns.Parse(s)
		must(t, err)
		o.Columns = append(o.Columns, column)
	}
	return o
}

// Promise: without columns nothing is looked for; damage in a part, and a part that is missing or was exchanged, are damage of the
// full set.
func TestFullDamage(t *testing.T) {
	t.Parallel()
	c, dir, full := fullSet(t)
	v, err := verify.Verify(t.Context(), fullOptions(t, c, catalog.LevelChecksum, "forge_document.file"), full)
	if err != nil || !v.OK || v.Files != nil {
		t.Fatalf("whole: %v, %+v", err, v)
	}
	parts, err := catalog.Parts(t.Context(), full, c.Get)
	must(t, err)
	config := filepath.Join(dir, filepath.FromSlash(parts[2].Ref.Dir()))
	artifact := filepath.Join(config, parts[2].Set.Manifest.Artifacts[0].Name)
	data, err := os.ReadFile(artifact)
	must(t, err)
	data[len(data)/2] ^= 1
	must(t, os.WriteFile(artifact, data, 0o600))
	look := func() (problems []string) {
		t.Helper()
		v, err := verify.Verify(t.Context(), fullOptions(t, c, catalog.LevelChecksum), full)
		must(t, err)
		for _, d := range v.Damage {
			problems = append(problems, d.Error())
		}
		return problems
	}
	if got := look(); len(got) != 1 || got[0] != full.Ref.String()+": damage in "+parts[2].Ref.String() {
		t.Errorf("damaged: %q", got)
	}
	must(t, os.RemoveAll(config))
	if got := look(); len(got) != 1 || got[0] != full.Ref.String()+": "+parts[2].Ref.String()+" is missing" {
		t.Errorf("missing: %q", got)
	}
	if after, err := c.Get(t.Context(), full.Ref); err != nil || after.Failed() == nil {
		t.Errorf("not recorded: %v", err)
	}
}

// Promise: a drill of a full set examines every part, with a verdict beside each, and finds by the restored database which
// files are missing from the media set; the sets stay good.
func TestFullDrill(t *testing.T) {
	t.Parallel()
	c, _, full := fullSet(t)
	v, err := verify.Verify(t.Context(), fullOptions(t, c, catalog.LevelDrill, "forge_document.file", "forge_logo.image", "forge_logo.gone"), full)
	if err != nil || !v.OK || len(v.Parts) != 3 {
		t.Fatalf("%v, %+v", err, v)
	}
	if v.Parts[0].Level != catalog.LevelDrill || v.Parts[1].Level == catalog.LevelDrill || v.Parts[2].Level == catalog.LevelDrill {
		t.Errorf("levels %s, %s, %s", v.Parts[0].Level, v.Parts[1].Level, v.Parts[2].Level)
	}
	missing := []string{`forge_document.file: "../secret"`, `forge_document.file: "a"`, `forge_document.file: "a/gone.pdf"`}
	slices.Sort(v.Files.Names)
	if f := v.Files; f.Named != 6 || f.Missing != 3 || f.Orphans != 1 || !slices.Equal(f.Names, missing) {
		t.Errorf("files %+v", f)
	}
	var files *verify.FilesError
	if !errors.As(v.Files.Err(), &files) || !strings.Contains(files.Error(), "3 of 6 files") {
		t.Errorf("error %v", v.Files.Err())
	}
	if len(v.Warnings) != 1 || !strings.Contains(v.Warnings[0], "media.columns: read forge_logo.gone: no such column") {
		t.Errorf("warnings %q", v.Warnings)
	}
	again, err := c.Get(t.Context(), full.Ref)
	must(t, err)
	if check := again.LastCheck(catalog.LevelDrill); check == nil || len(check.Problems) != 1 {
		t.Errorf("recorded: %+v", check)
	}
	parts, err := catalog.Parts(t.Context(), again, c.Get)
	must(t, err)
	if whole, why := catalog.Whole(again, parts); !whole || parts[0].Set.LastCheck(catalog.LevelDrill) == nil || parts[2].Set.LastCheck(catalog.LevelDecode) == nil {
		t.Errorf("afterwards: %v %s", whole, why)
	}
}
