package dumpset_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bmad-forge/forgectl/pkg/artifact"
	"github.com/bmad-forge/forgectl/pkg/backup"
	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/dumpset"
	"github.com/bmad-forge/forgectl/pkg/postgres/pgdump"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
	"github.com/bmad-forge/forgectl/pkg/proc"
	"github.com/bmad-forge/forgectl/pkg/proc/proctest"
	"github.com/bmad-forge/forgectl/pkg/seal"
	"github.com/bmad-forge/forgectl/pkg/store/local"
)

func TestMain(m *testing.M) { os.Exit(scratchtest.Run(m)) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func repository(t testing.TB) *catalog.Catalog {
	t.Helper()
	s, err := local.Open(t.TempDir(), local.Options{})
	must(t, err)
	t.Cleanup(func() { s.Close() })
	return catalog.New(s, catalog.Options{})
}

// written publishes a set of these artifacts, in this order.
func written(t testing.TB, artifacts ...[2]string) dumpset.Reader {
	t.Helper()
	c := repository(t)
	d, err := c.Begin(t.Context(), catalog.Group{Kind: catalog.KindDatabase, Database: "forge"})
	must(t, err)
	m := catalog.Manifest{Source: &catalog.Source{Database: "forge", ServerVersionNum: 150018}}
	for _, a := range artifacts {
		w, err := artifact.Write(t.Context(), d, seal.Options{}, a[0], func(w io.Writer) error {
			_, err := io.WriteString(w, a[1])
			return err
		})
		must(t, err)
		m.Artifacts = append(m.Artifacts, w.Artifact)
	}
	_, err = d.Put(t.Context(), dumpset.RecoverName, func(w io.Writer) error { _, err := io.WriteString(w, "# how\n"); return err })
	must(t, err)
	set, err := d.Publish(t.Context(), m)
	must(t, err)
	return dumpset.Reader{Catalog: c, Set: set}
}

// realSet is a set of a real database.
func realSet(t testing.TB, sql ...string) dumpset.Reader {
	t.Helper()
	c, runner := repository(t), scratchtest.Runner()
	r, err := backup.Database(t.Context(), backup.DatabaseOptions{
		SetOptions: backup.SetOptions{Catalog: c},
		Endpoint:   scratchtest.Database(t, sql...),
		Runner:     runner,
		Finder:     postgres.ToolFinder{Runner: runner},
	})
	must(t, err)
	return dumpset.Reader{Catalog: c, Set: r.Set}
}

// damaged is what Hash and Decode find.
type damaged []error

// names are the files that are damaged, sorted.
func (d damaged) names() (all []string) {
	for _, err := range d {
		var e *catalog.DamageError
		if errors.As(err, &e) {
			all = append(all, e.Artifact)
		} else {
			all = append(all, fmt.Sprintf("no damage: %v", err))
		}
	}
	slices.Sort(all)
	return all
}

// Promise: what a set says of itself is read as it was written, and the whole
// set can be walked through.
func TestReal(t *testing.T) {
	t.Parallel()
	r := realSet(t, scratchtest.Middling)
	p, err := r.Properties(t.Context())
	must(t, err)
	if p.Name != r.Set.Database || p.Owner != "postgres" || p.Encoding != "UTF8" || !slices.Contains(p.Extensions, "pg_trgm") {
		t.Errorf("properties %+v", p)
	}
	g, err := r.Globals(t.Context())
	must(t, err)
	if !slices.ContainsFunc(g.Roles, func(r pgdump.Role) bool { return r.Name == "postgres" && r.Login }) || g.Passwords {
		t.Errorf("globals %+v", g)
	}
	toc, err := r.Definitions(t.Context())
	must(t, err)
	if toc.Database != r.Set.Database || len(toc.OfType("TABLE")) < 8 || len(toc.TableData()) > 0 {
		t.Errorf("definitions of %s: %d tables", toc.Database, len(toc.OfType("TABLE")))
	}
	source, err := r.Source()
	must(t, err)
	if source.Database != p.Name || r.Sealed() {
		t.Errorf("source %+v, sealed %v", source, r.Sealed())
	}
	for name, walk := range map[string]func(context.Context) ([]error, error){"hash": r.Hash, "decode": r.Decode} {
		if found, err := walk(t.Context()); err != nil || len(found) > 0 {
			t.Errorf("%s: %v, %v", name, found, err)
		}
	}
}

// Promise: every disagreement between the files, the sums and the manifest is
// one damage with the name of the file; what is not about the bytes is none.
func TestHash(t *testing.T) {
	t.Parallel()
	r := written(t, [2]string{"10-pre-data.dump", "definitions"}, [2]string{"20-data.dump", "rows"}, [2]string{"30-post-data.dump", "indexes"})
	var total int64
	r.Progress = func(n int64) { total += n }
	found, err := r.Hash(t.Context())
	must(t, err)
	if len(found) > 0 || total < 300 {
		t.Errorf("a whole set: %v, progress %d", found, total)
	}
	dir, _ := r.Catalog.Location(r.Set.Ref)
	sums, err := os.ReadFile(filepath.Join(dir, catalog.SumsName))
	must(t, err)
	for name, tt := range map[string]struct {
		change func(dir string) error
		want   []string
	}{
		"two files": {func(dir string) error {
			return errors.Join(os.WriteFile(filepath.Join(dir, "20-data.dump.zst"), []byte("x"), 0o600), os.Remove(filepath.Join(dir, "RECOVER.md")))
		}, []string{"20-data.dump.zst", "RECOVER.md"}},
		"manifest": {func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "manifest.json"), []byte("{}"), 0o600)
		}, []string{"manifest.json"}},
		"a sum": {func(dir string) error {
			i := bytes.Index(sums, []byte("  20-data.dump.zst"))
			return os.WriteFile(filepath.Join(dir, catalog.SumsName), slices.Concat(sums[:i-4], []byte("0000"), sums[i:]), 0o600)
		}, []string{"20-data.dump.zst"}},
		"lines": {func(dir string) error {
			lines := slices.DeleteFunc(strings.SplitAfter(string(sums), "\n"), func(l string) bool { return strings.Contains(l, "0-p") })
			return os.WriteFile(filepath.Join(dir, catalog.SumsName), []byte(strings.Join(lines, "")), 0o600)
		}, []string{"10-pre-data.dump.zst", "30-post-data.dump.zst"}},
		"no sums at all": {func(dir string) error { return os.WriteFile(filepath.Join(dir, catalog.SumsName), nil, 0o600) }, []string{"SHA256SUMS"}},
	} {
		other := filepath.Join(t.TempDir(), "repository")
		must(t, os.CopyFS(filepath.Join(other, r.Set.Dir()), os.DirFS(dir)))
		s, err := local.Open(other, local.Options{})
		must(t, err)
		defer s.Close()
		must(t, tt.change(filepath.Join(other, r.Set.Dir())))
		found, err := dumpset.Reader{Catalog: catalog.New(s, catalog.Options{}), Set: r.Set}.Hash(t.Context())
		if got := damaged(found).names(); err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("%s: named %q, %v", name, got, err)
		}
	}
	why := errors.New("told to stop")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	if found, err := r.Hash(ctx); !errors.Is(err, why) || len(found) > 0 {
		t.Errorf("stopped: %v, %v", found, err)
	}
	if found, err := r.Decode(ctx); !errors.Is(err, why) || len(found) > 0 {
		t.Errorf("decode, stopped: %v, %v", found, err)
	}
}

// Promise: what cannot be understood is damage of that file; and bytes that
// are damaged are said to be so, not what came of reading them.
func TestMalformed(t *testing.T) {
	t.Parallel()
	r := written(t, [2]string{"00-globals.sql", "-- forgectl globals {\"roles\":\n"}, [2]string{"05-database.sql", "CREATE DATABASE"}, [2]string{"10-pre-data.dump", "PGDMP"}, [2]string{"20-data.dump", ""})
	read := map[string]func() error{
		"00-globals.sql":   func() error { _, err := r.Globals(t.Context()); return err },
		"05-database.sql":  func() error { _, err := r.Properties(t.Context()); return err },
		"10-pre-data.dump": func() error { _, err := r.Definitions(t.Context()); return err },
	}
	for name, f := range read {
		var d *catalog.DamageError
		if err := f(); !errors.As(err, &d) || d.Artifact != name || d.Kind != catalog.DamageMalformed || !errors.Is(err, pgdump.ErrArchive) {
			t.Errorf("%s: %v", name, err)
		}
	}
	found, err := r.Decode(t.Context())
	if got := damaged(found).names(); err != nil || !slices.Equal(got, []string{"10-pre-data.dump.zst", "20-data.dump.zst"}) {
		t.Errorf("decode: %q, %v", got, err)
	}
	for i := range r.Set.Manifest.Artifacts {
		r.Set.Manifest.Artifacts[i].RawSHA256 = strings.Repeat("0", 64)
	}
	for name, f := range read {
		var d *catalog.DamageError
		if err := f(); !errors.As(err, &d) || d.Artifact != name+".zst" || d.Kind != catalog.DamageChecksum {
			t.Errorf("%s with other bytes: %v", name, err)
		}
	}
	found, err = r.Decode(t.Context())
	for _, err := range found {
		var d *catalog.DamageError
		if !errors.As(err, &d) || d.Kind != catalog.DamageChecksum {
			t.Errorf("decode of other bytes: %v", err)
		}
	}
	if err != nil || len(found) != 4 {
		t.Errorf("decode of other bytes: %d damaged, %v", len(found), err)
	}
	r.Set.Manifest.Artifacts, r.Set.Manifest.Source = nil, nil
	for name, f := range read {
		var d *catalog.DamageError
		if err := f(); !errors.As(err, &d) || d.Artifact != name || d.Kind != catalog.DamageMissing {
			t.Errorf("%s, not there: %v", name, err)
		}
	}
	if _, err := r.Source(); !errors.Is(err, catalog.ErrDamaged) {
		t.Errorf("no source: %v", err)
	}
}

// loader is one whose pg_restore is played.
func loader(t *testing.T, play proctest.Handler) (pgdump.Loader, *proctest.Runner) {
	t.Helper()
	run := &proctest.Runner{T: t, Handlers: map[string]proctest.Handler{"pg_restore": play}}
	e, err := postgres.Resolve(t.Context(), postgres.Target{URL: "host=/nowhere user=nobody dbname=forge"})
	must(t, err)
	return pgdump.Loader{Endpoint: e, Tools: postgres.Tools{Dir: "/usr/bin"}, Runner: run}, run
}

// Promise: definitions come first, then all data in the order of the manifest,
// and only then indexes and keys; each file whole; a failure ends it.
func TestLoad(t *testing.T) {
	t.Parallel()
	r := written(t, [2]string{"00-globals.sql", "roles"}, [2]string{"05-database.sql", "database"},
		[2]string{"30-post-data.dump", "5 post"}, [2]string{"20-data-one.dump", "2 one"}, [2]string{"20-data-two.dump", "3 two"}, [2]string{"20-data.dump", "4 main"}, [2]string{"10-pre-data.dump", "1 pre"})
	var total int64
	r.Progress = func(n int64) { total += n }
	var stages []string
	stage := func(name string, took time.Duration) {
		if took < 0 {
			t.Errorf("%s took %v", name, took)
		}
		stages = append(stages, name)
	}
	// pg_restore need not read to the end: the rest is read all the same.
	says := func(_ context.Context, c proc.Cmd) error {
		c.Stderr("pg_restore: warning: something odd")
		_, err := io.ReadFull(c.Stdin, make([]byte, 1))
		return err
	}
	l, run := loader(t, says)
	said, err := r.Load(t.Context(), l, stage)
	must(t, err)
	if len(said) != 5 || total != int64(len("1 pre2 one3 two4 main5 post")) || !slices.Equal(stages, []string{"pre-data", "data", "post-data"}) {
		t.Errorf("said %v, progress %d, stages %q", said, total, stages)
	}
	var inputs []string
	for _, call := range run.Calls() {
		inputs = append(inputs, string(call.Input))
	}
	if want := []string{"1", "2", "3", "4", "5"}; !slices.Equal(inputs, want) {
		t.Errorf("loaded %q", inputs)
	}

	broken := errors.New("server closed the connection")
	l, run = loader(t, func(ctx context.Context, c proc.Cmd) error {
		text, err := io.ReadAll(c.Stdin)
		if string(text) == "3 two" {
			return broken
		}
		return err
	})
	if _, err := r.Load(t.Context(), l, nil); !errors.Is(err, broken) || len(run.Calls()) != 3 {
		t.Errorf("a failure in the middle: %v after %d programs", err, len(run.Calls()))
	}

	for _, prefix := range []string{dumpset.PreDataName, dumpset.DataPrefix, dumpset.PostDataName} {
		less := r
		m := *r.Set.Manifest
		m.Artifacts = slices.DeleteFunc(slices.Clone(m.Artifacts), func(a catalog.Artifact) bool { return strings.HasPrefix(a.Name, prefix) })
		less.Set.Manifest = &m
		l, _ := loader(t, says)
		var d *catalog.DamageError
		if _, err := less.Load(t.Context(), l, nil); !errors.As(err, &d) || d.Artifact != prefix || d.Kind != catalog.DamageMissing {
			t.Errorf("without %s: %v", prefix, err)
		}
	}
	r.Set.Manifest.Artifacts[2].RawBytes++
	l, _ = loader(t, says)
	if _, err := r.Load(t.Context(), l, nil); !errors.Is(err, catalog.ErrDamaged) || !strings.Contains(err.Error(), "30-post-data.dump.zst") {
		t.Errorf("content that is not what was written: %v", err)
	}
}
