package catalog_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/store"
	"github.com/bmad-forge/forgectl/pkg/store/local"
	"github.com/bmad-forge/forgectl/pkg/store/storetest"
)

var (
	start = time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC)
	forge = catalog.Group{Kind: catalog.KindDatabase, Database: "bmad_forge"}
)

// clock is a clock that goes on by one second whenever it is read.
func clock() func() time.Time {
	now := start.Add(-time.Second)
	return func() time.Time {
		now = now.Add(time.Second)
		return now
	}
}

// openLocal opens a store in dir.
func openLocal(t testing.TB, dir string) *local.Store {
	t.Helper()
	s, err := local.Open(dir, local.Options{})
	must(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

// stores are the two sorts of places that a repository may be in: one that can rename, and one that cannot.
func stores(t *testing.T, test func(t *testing.T, s store.Store)) {
	t.Run("local", func(t *testing.T) { test(t, openLocal(t, t.TempDir())) })
	t.Run("memory", func(t *testing.T) { test(t, &storetest.Memory{}) })
}

// newCatalog is a catalog with a clock that goes on by itself.
func newCatalog(s store.Store) *catalog.Catalog {
	return catalog.New(s, catalog.Options{Now: clock(), Host: "web1", Version: "1.0.0"})
}

// writeSet writes a small whole set.
func writeSet(ctx context.Context, c *catalog.Catalog, g catalog.Group) (catalog.Set, error) {
	d, err := c.Begin(ctx, g)
	if err != nil {
		return catalog.Set{}, err
	}
	defer d.Discard(ctx)
	var m catalog.Manifest
	for _, name := range []string{"10-pre-data.dump.zst", "20-data.dump.zst"} {
		b, err := d.Put(ctx, name, text("content of "+name))
		if err != nil {
			return catalog.Set{}, err
		}
		m.Artifacts = append(m.Artifacts, catalog.Artifact{Name: b.Name, Bytes: b.Bytes, SHA256: b.SHA256})
	}
	if _, err := d.Put(ctx, "RECOVER.md", text("# how\n")); err != nil {
		return catalog.Set{}, err
	}
	return d.Publish(ctx, m)
}

func mustWrite(t testing.TB, c *catalog.Catalog, g catalog.Group) catalog.Set {
	t.Helper()
	set, err := writeSet(t.Context(), c, g)
	must(t, err)
	if ok, why := set.Good(); !ok {
		t.Fatalf("a new set is not good: %s", why)
	}
	return set
}

func text(s string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, s)
		return err
	}
}

func listSets(t testing.TB, c *catalog.Catalog, g catalog.Group) []catalog.Set {
	t.Helper()
	sets, err := c.List(t.Context(), g)
	must(t, err)
	return sets
}

// names is everything that stands under a directory of a store, recursively.
func names(t testing.TB, s store.Store, dir string) []string {
	t.Helper()
	entries, err := s.List(t.Context(), dir)
	must(t, err)
	var all []string
	for _, e := range entries {
		name := strings.TrimPrefix(dir+"/"+e.Name, "/")
		if e.Dir {
			all = append(all, names(t, s, name)...)
		} else {
			all = append(all, name)
		}
	}
	return all
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Groups lists what has a directory, of one kind or of all, and nothing that is not ours.
func TestGroups(t *testing.T) {
	stores(t, func(t *testing.T, s store.Store) {
		c := newCatalog(s)
		odd := catalog.Group{Kind: catalog.KindDatabase, Database: "Größe/../x y"}
		media := catalog.Group{Kind: catalog.KindMedia}
		for _, g := range []catalog.Group{media, odd, forge} {
			mustWrite(t, c, g)
		}
		for _, name := range []string{"database/%zz/x", "database/file", "notes/x", ".lock", "database/ä/x"} {
			must(t, s.Put(t.Context(), name, text("foreign")))
		}
		for kind, want := range map[catalog.Kind][]catalog.Group{
			"":                   {odd, forge, media},
			catalog.KindDatabase: {odd, forge},
			catalog.KindMedia:    {media},
			catalog.KindFull:     nil,
		} {
			if got, err := c.Groups(t.Context(), kind); err != nil || !slices.Equal(got, want) {
				t.Errorf("Groups(%q) = %v, %v; want %v", kind, got, err, want)
			}
		}
	})
}

// A place that holds other things is told from a repository, also from one that is still empty.
func TestProbe(t *testing.T) {
	for content, ok := range map[string]bool{
		"": true, "database/x/y": true, "media/x": true, ".lock": true, "lost+found/x": true, "notes/x media/x": true,
		"etc/passwd": false, "media": false, ".git/x README.md": false,
	} {
		s := &storetest.Memory{}
		for _, name := range strings.Fields(content) {
			must(t, s.Put(t.Context(), name, text("")))
		}
		err := newCatalog(s).Probe(t.Context())
		if (err == nil) != ok || err != nil && !strings.Contains(err.Error(), catalog.ErrNotRepository.Error()) {
			t.Errorf("%q: %v", content, err)
		}
	}
}

// Sets are listed oldest first, each with its size; leftovers, foreign names and unfinished ones are not.
func TestList(t *testing.T) {
	stores(t, func(t *testing.T, s store.Store) {
		c := newCatalog(s)
		var want []string
		for range 20 { // more than there are workers
			want = append(want, mustWrite(t, c, forge).String())
		}
		for _, name := range []string{"20991231T000000Z/notes.txt", ".partial-20991231T000000Z/SHA256SUMS", "2026/SHA256SUMS", "20261123T020000Z.old/SHA256SUMS", "latest"} {
			must(t, s.Put(t.Context(), forge.Dir()+"/"+name, text("x")))
		}
		var got []string
		for _, set := range listSets(t, c, forge) {
			got = append(got, set.String())
			if set.Bytes < 200 || set.Manifest == nil || set.Problem != nil {
				t.Errorf("%+v", set)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("listed %v, want %v", got, want)
		}
		if _, err := c.Get(t.Context(), catalog.Ref{Group: forge, ID: "20991231T000000Z"}); err == nil || !strings.Contains(err.Error(), "no such backup set") {
			t.Errorf("Get of a directory without sums: %v", err)
		}
	})
}

// A group that does not exist holds no sets; a group that cannot exist is an error.
func TestListNothing(t *testing.T) {
	c := newCatalog(&storetest.Memory{})
	if sets := listSets(t, c, forge); len(sets) != 0 {
		t.Errorf("%v", sets)
	}
	for _, g := range []catalog.Group{{}, {Kind: "logs"}, {Kind: catalog.KindDatabase}, {Kind: catalog.KindMedia, Database: "x"}, {Kind: catalog.KindDatabase, Database: "\xff"}} {
		if _, err := c.List(t.Context(), g); err == nil {
			t.Errorf("%+v was listed", g)
		}
		if _, err := c.Begin(t.Context(), g); err == nil {
			t.Errorf("%+v was begun", g)
		}
	}
}

// What is asked of the store for each set is bounded: one listing and two small files, and one file a check.
func TestListAsksLittle(t *testing.T) {
	counter := &countingStore{Store: &storetest.Memory{}}
	c := newCatalog(counter)
	const sets = 50
	for range sets {
		set := mustWrite(t, c, forge)
		must(t, c.AddCheck(t.Context(), set.Ref, catalog.Check{What: catalog.CheckPin}))
	}
	counter.calls.Store(0)
	listSets(t, c, forge)
	if calls, most := counter.calls.Load(), int64(1+sets*(2+2+1)); calls > most {
		t.Errorf("%d calls for %d sets, want at most %d", calls, sets, most)
	}
}

// Promise: a repository of many sets (5,000 in make test-long) of a database with 60 tables costs what each set costs and
// no more: they are listed with one look at the group, two at each set, and three small files of it. The newest, good or
// not, is found by reading that one.
func TestManySets(t *testing.T) {
	dir := t.TempDir()
	const sets = manySets
	buildRepository(t, dir, sets)
	counter := &countingStore{Store: openLocal(t, dir)}
	c := newCatalog(around(counter))
	calls := func(do func()) int64 {
		counter.calls.Store(0)
		do()
		return counter.calls.Load()
	}
	list := calls(func() {
		all := listSets(t, c, forge)
		if len(all) != sets {
			t.Fatalf("%d sets", len(all))
		}
		for _, s := range all {
			if good, why := s.Good(); !good {
				t.Fatalf("%s: %s", s.Ref, why)
			}
		}
	})
	newest := calls(func() {
		s, _, err := c.Newest(t.Context(), forge, time.Time{})
		if err != nil || s.ID != catalog.NewID(start.Add((sets-1)*time.Hour)) {
			t.Errorf("%s, %v", s.Ref, err)
		}
	})
	last := calls(func() {
		s, err := c.Last(t.Context(), forge)
		if err != nil || s.ID != catalog.NewID(start.Add((sets-1)*time.Hour)) {
			t.Errorf("%s, %v", s.Ref, err)
		}
	})
	const ofSet = 2 + 2 + 1
	if list > 1+sets*ofSet || newest > 1+ofSet || last > 1+ofSet {
		t.Errorf("%d calls for the list, %d for the newest good one, %d for the newest", list, newest, last)
	}
}

// A set that is removed while it is being listed is left out or whole, never damaged.
func TestListWhileRemoving(t *testing.T) {
	stores(t, func(t *testing.T, s store.Store) {
		if _, ok := s.(store.Renamer); !ok {
			return // what cannot rename cannot hide everything at once
		}
		c := newCatalog(s)
		for range 40 {
			mustWrite(t, c, forge)
		}
		sets := listSets(t, c, forge)
		done := make(chan error)
		go func() {
			for _, set := range sets {
				if err := c.Remove(context.Background(), set.Ref); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
		for {
			for _, set := range listSets(t, c, forge) {
				if set.Problem != nil {
					t.Errorf("%v", set.Problem)
				}
			}
			select {
			case err := <-done:
				must(t, err)
				return
			default:
			}
		}
	})
}

// The location of a set is a path where there are files.
func TestLocation(t *testing.T) {
	dir := t.TempDir()
	c := newCatalog(openLocal(t, dir))
	set := mustWrite(t, c, forge)
	path, isLocal := c.Location(set.Ref)
	if !isLocal || path != filepath.Join(dir, "database", "bmad_forge", "20261123T020000Z") {
		t.Errorf("%s, %v", path, isLocal)
	}
	if _, err := os.Stat(filepath.Join(path, catalog.SumsName)); err != nil {
		t.Error(err)
	}
	if name, isLocal := newCatalog(&storetest.Memory{}).Location(set.Ref); isLocal || name != set.Dir() {
		t.Errorf("%s, %v", name, isLocal)
	}
}

// BenchmarkList lists 5,000 sets of a database with 60 tables, each with a check. Its figure is what the
// documentation quotes.
func BenchmarkList(b *testing.B) {
	s := openLocal(b, b.TempDir())
	path, err := s.Path("")
	must(b, err)
	buildRepository(b, path, 5000)
	c := newCatalog(s)
	for b.Loop() {
		if sets := listSets(b, c, forge); len(sets) != 5000 {
			b.Fatal(len(sets))
		}
	}
}

// buildRepository makes many sets from one, by hand: publishing each would spend minutes on fsync.
func buildRepository(b testing.TB, path string, count int) {
	for i := range count {
		ref := catalog.Ref{Group: forge, ID: catalog.NewID(start.Add(time.Duration(i) * time.Hour))}
		mem := &storetest.Memory{}
		c := catalog.New(mem, catalog.Options{Now: func() time.Time { return ref.ID.Time() }, Host: "web1"})
		d, err := c.Begin(b.Context(), forge)
		must(b, err)
		var m catalog.Manifest
		for _, name := range []string{"00-globals.sql.zst.gpg", "05-database.sql.zst.gpg", "10-pre-data.dump.zst.gpg", "20-data.dump.zst.gpg", "30-post-data.dump.zst.gpg"} {
			blob, err := d.Put(b.Context(), name, text(name))
			must(b, err)
			m.Artifacts = append(m.Artifacts, catalog.Artifact{Name: blob.Name})
		}
		m.Fingerprint = &catalog.Fingerprint{Level: catalog.FingerprintCounts}
		for n := range 60 {
			m.Fingerprint.Tables = append(m.Fingerprint.Tables, catalog.Table{Schema: "public", Name: fmt.Sprintf("forge_table_%d", n), Rows: int64(n * i)})
		}
		_, err = d.Publish(b.Context(), m)
		must(b, err)
		must(b, c.AddCheck(b.Context(), ref, catalog.Check{What: catalog.CheckVerify, Level: catalog.LevelChecksum, OK: true}))
		for _, name := range names(b, mem, ref.Dir()) {
			r, err := mem.Open(b.Context(), name)
			must(b, err)
			data, err := io.ReadAll(r)
			must(b, err)
			must(b, os.MkdirAll(filepath.Dir(filepath.Join(path, name)), 0o700))
			must(b, os.WriteFile(filepath.Join(path, name), data, 0o600))
		}
	}
}
