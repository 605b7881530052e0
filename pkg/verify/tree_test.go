package verify_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bmad-forge/forgectl/pkg/backup"
	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
	"github.com/bmad-forge/forgectl/pkg/proc/proctest"
	"github.com/bmad-forge/forgectl/pkg/store/local"
	"github.com/bmad-forge/forgectl/pkg/verify"
)

// gallery is a directory of files, and a repository for its sets.
type gallery struct {
	t           testing.TB
	source, dir string
	catalog     *catalog.Catalog
	now         time.Time
}

func newGallery(t testing.TB) *gallery {
	t.Helper()
	g := &gallery{t: t, source: filepath.Join(t.TempDir(), "media"), dir: t.TempDir(), now: time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC)}
	must(t, os.Chmod(g.dir, 0o700))
	for i := range 40 {
		g.file(fmt.Sprintf("docs/%d/file.pdf", i), strings.Repeat("x", 10+i))
	}
	g.file("odd\n\xff", "not UTF-8")
	must(t, os.Link(filepath.Join(g.source, "docs/1/file.pdf"), filepath.Join(g.source, "again")))
	must(t, os.Symlink("docs", filepath.Join(g.source, "link")))
	time.Sleep(50 * time.Millisecond) // until the clock of the file system has gone on: what was written then counts as unchanged
	s, err := local.Open(g.dir, local.Options{})
	must(t, err)
	t.Cleanup(func() { _ = s.Close() })
	g.catalog = catalog.New(s, catalog.Options{Now: func() time.Time { return g.now }})
	return g
}

func (g *gallery) file(name, text string) {
	g.t.Helper()
	path := filepath.Join(g.source, name)
	must(g.t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(g.t, os.WriteFile(path, []byte(text), 0o644))
}

func (g *gallery) set() catalog.Set {
	g.t.Helper()
	g.now = g.now.Add(24 * time.Hour)
	r, err := backup.Media(g.t.Context(), backup.MediaOptions{SetOptions: backup.SetOptions{Catalog: g.catalog}, Source: g.source})
	must(g.t, err)
	return r.Set
}

func (g *gallery) tree(s catalog.Set, name string) string {
	return filepath.Join(g.dir, s.Dir(), "tree", name)
}

func (g *gallery) verify(s catalog.Set, sample float64) verify.Verdict {
	g.t.Helper()
	s, err := g.catalog.Get(g.t.Context(), s.Ref)
	must(g.t, err)
	v, err := verify.Verify(g.t.Context(), verify.Options{Catalog: g.catalog, Sample: sample, Now: func() time.Time { return g.now }}, s)
	must(g.t, err)
	return v
}

// patch writes into a file in place and gives it its old times back: only reading it shows it.
func patch(t testing.TB, path string) {
	t.Helper()
	var st unix.Stat_t
	must(t, unix.Lstat(path, &st))
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	must(t, err)
	_, err = f.WriteAt([]byte("y"), 3)
	must(t, errors.Join(err, f.Close()))
	must(t, unix.UtimesNano(path, []unix.Timespec{st.Atim, st.Mtim}))
}

// Promise: whatever is not as the index says is found, and the path is named; decode is the same, a drill is refused.
func TestTreeDamage(t *testing.T) {
	one := func(g *gallery, s catalog.Set) string { return g.tree(s, "docs/7/file.pdf") }
	for name, c := range map[string]struct {
		do   func(g *gallery, s catalog.Set)
		want string
	}{
		"bit":     {func(g *gallery, s catalog.Set) { patch(t, one(g, s)) }, "checksum mismatch in tree/docs/7/file.pdf"},
		"cut":     {func(g *gallery, s catalog.Set) { must(t, os.Truncate(one(g, s), 3)) }, "tree/docs/7/file.pdf is malformed: 3 bytes instead of 17"},
		"gone":    {func(g *gallery, s catalog.Set) { must(t, os.RemoveAll(filepath.Dir(one(g, s)))) }, "tree/docs/7/file.pdf is missing"},
		"mode":    {func(g *gallery, s catalog.Set) { must(t, os.Chmod(one(g, s), 0o666)) }, "mode 0666 instead of 0644"},
		"time":    {func(g *gallery, s catalog.Set) { must(t, os.Chtimes(one(g, s), g.now, g.now)) }, "tree/docs/7/file.pdf is malformed: modified 2026-"},
		"more":    {func(g *gallery, s catalog.Set) { must(t, os.Mkdir(g.tree(s, "zz"), 0o755)) }, "tree/zz is malformed: it is not in the index"},
		"instead": {func(g *gallery, s catalog.Set) { must(t, os.Remove(one(g, s))); must(t, unix.Mkfifo(one(g, s), 0o644)) }, "fifo instead of file"},
		"link": {func(g *gallery, s catalog.Set) {
			must(t, os.Rename(one(g, s), one(g, s)+"x"))
			must(t, os.Symlink("file.pdfx", one(g, s)))
		}, "symlink instead of file"},
		"target": {func(g *gallery, s catalog.Set) {
			must(t, os.Remove(g.tree(s, "link")))
			must(t, os.Symlink("/etc", g.tree(s, "link")))
		}, "leads to /etc instead of docs"},
		"name":     {func(g *gallery, s catalog.Set) { patch(t, g.tree(s, "odd\n\xff")) }, `checksum mismatch in tree/"odd\n\xff"`},
		"xattr":    {func(g *gallery, s catalog.Set) { must(t, unix.Lsetxattr(one(g, s), "user.x", []byte("1"), 0)) }, "extended attribute user.x is another"},
		"index":    {func(g *gallery, s catalog.Set) { patch(t, g.tree(s, "../index.jsonl.zst")) }, "checksum mismatch in index.jsonl.zst"},
		"manifest": {func(g *gallery, s catalog.Set) { patch(t, g.tree(s, "../manifest.json")) }, "checksum mismatch in manifest.json"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGallery(t)
			s := g.set()
			if v := g.verify(s, 0); !v.OK || v.Hashed != 42 || len(v.Warnings) > 0 {
				t.Fatalf("a good set: %v, %d files, %q", v.Err(), v.Hashed, v.Warnings)
			}
			c.do(g, s)
			v := g.verify(s, 0)
			if v.OK || !strings.Contains(v.Err().Error(), c.want) || !errors.Is(v.Err(), catalog.ErrDamaged) {
				t.Errorf("%v\nwant %s", v.Err(), c.want)
			}
			again, err := g.catalog.Get(t.Context(), s.Ref)
			must(t, err)
			if good, why := again.Good(); good {
				t.Errorf("still good: %s", why)
			}
		})
	}
	g := newGallery(t)
	s := g.set()
	v, err := verify.Verify(t.Context(), verify.Options{Catalog: g.catalog, Level: catalog.LevelDecode}, s)
	if must(t, err); !v.OK || v.Level != catalog.LevelDecode {
		t.Errorf("decode: %v", v.Err())
	}
	if _, err := verify.Verify(t.Context(), verify.Options{Catalog: g.catalog, Level: catalog.LevelDrill}, s); !errors.Is(err, verify.ErrNoDrill) {
		t.Errorf("drill: %v", err)
	}
}

// Promise: as root, owners are compared as well. That files have the owner of the set, who was not root and could not
// give them away, is said and is no damage.
func TestTreeOwners(t *testing.T) {
	g := newGallery(t)
	if os.Geteuid() != 0 {
		if v := g.verify(g.set(), 0); !v.OK || v.Owners != "owners were not compared, which takes root" {
			t.Errorf("%v, %q", v.Err(), v.Owners)
		}
		return
	}
	must(t, os.Lchown(filepath.Join(g.source, "docs/7/file.pdf"), 1234, 4321))
	must(t, os.Lchown(filepath.Join(g.source, "link"), 1234, 4321))
	s := g.set()
	if v := g.verify(s, 0); !v.OK || v.Owners != "" {
		t.Fatalf("%v, %q", v.Err(), v.Owners)
	}
	// The repository is copied by somebody who is not root.
	must(t, filepath.WalkDir(filepath.Join(g.dir, s.Dir()), func(path string, _ os.DirEntry, err error) error {
		must(t, err)
		return os.Lchown(path, 1500, 1500)
	}))
	if v := g.verify(s, 0); !v.OK || v.Owners == "" {
		t.Errorf("copied by another user: %v, %q", v.Err(), v.Owners)
	}
	for _, name := range []string{"docs/7/file.pdf", "link", "docs"} {
		must(t, os.Lchown(g.tree(s, name), 77, 1500))
		if v := g.verify(s, 0); v.OK || !strings.Contains(v.Err().Error(), "tree/"+name+" is malformed: owner 77:1500 instead of ") {
			t.Errorf("%s: %v", name, v.Err())
		}
		must(t, os.Lchown(g.tree(s, name), 1500, 1500))
	}
}

// Promise: as root, attributes that only root can set are compared too; in a set of another user they may be missing, and may
// be no others.
func TestTreePrivileged(t *testing.T) {
	if os.Geteuid() != 0 {
		scratchtest.Skip(t, "only root can set these attributes")
	}
	g := newGallery(t)
	const file = "docs/7/file.pdf"
	must(t, unix.Setxattr(filepath.Join(g.source, file), "trusted.a", []byte("1"), 0))
	s := g.set()
	if v := g.verify(s, 0); !v.OK {
		t.Fatal(v.Err())
	}
	for _, change := range []struct {
		do   func(path string) error
		want string
	}{
		{func(p string) error { return unix.Setxattr(p, "trusted.a", []byte("2"), 0) }, "extended attribute trusted.a is another"},
		{func(p string) error { return unix.Removexattr(p, "trusted.a") }, "extended attribute trusted.a is missing"},
	} {
		must(t, change.do(g.tree(s, file)))
		if v := g.verify(s, 0); v.OK || !strings.Contains(v.Err().Error(), "tree/"+file+" is malformed: "+change.want) {
			t.Errorf("%v instead of %q", v.Err(), change.want)
		}
	}
	proctest.Program(t, "chown", "-R", "--no-dereference", "1500:1500", filepath.Join(g.dir, s.Dir()))
	if v := g.verify(s, 0); !v.OK {
		t.Errorf("a set of another user: %v", v.Err())
	}
	must(t, unix.Setxattr(g.tree(s, file), "trusted.a", []byte("3"), 0))
	if v := g.verify(s, 0); v.OK {
		t.Error("another value in a set of another user")
	}
}

// Promise: a verdict names so many damaged paths, and says how many more there are.
func TestTreeManyDamaged(t *testing.T) {
	g := newGallery(t)
	s := g.set()
	for i := range 40 {
		patch(t, g.tree(s, fmt.Sprintf("docs/%d/file.pdf", i)))
	}
	v := g.verify(s, 0)
	if len(v.Damage) != 21 || !strings.Contains(v.Damage[20].Error(), "21 more of its paths are damaged") || len(v.Damaged) != 41 {
		t.Errorf("%d named, %d kept: %v", len(v.Damage), len(v.Damaged), v.Damage[len(v.Damage)-1])
	}
}

// Promise: a file that is damaged is damaged in every set that shares it, under whatever name; each set is told, and the
// next one copies the file anew and is good.
func TestTreeShared(t *testing.T) {
	g := newGallery(t)
	one, two := g.set(), g.set()
	must(t, os.Remove(g.tree(one, "again")))
	must(t, os.Link(g.tree(one, "docs/1/file.pdf"), g.tree(one, "elsewhere")))
	patch(t, g.tree(two, "docs/1/file.pdf"))
	v := g.verify(two, 0)
	if v.OK || len(v.Shared) != 1 || v.Shared[0] != one.Ref || len(v.Warnings) != 1 {
		t.Fatalf("%v, shared %v, %q", v.Err(), v.Shared, v.Warnings)
	}
	first, err := g.catalog.Get(t.Context(), one.Ref)
	must(t, err)
	paths, all := first.Damaged()
	if !slices.Equal(paths, []string{"docs/1/file.pdf", "elsewhere"}) || all {
		t.Errorf("in the other set: %q, %v", paths, all)
	}
	if good, why := first.Good(); good || !strings.Contains(why, "the same file as in "+two.Ref.String()) {
		t.Errorf("the other set: %v, %s", good, why)
	}
	three := g.set()
	var old, fresh, kept unix.Stat_t
	must(t, unix.Lstat(g.tree(two, "docs/1/file.pdf"), &old))
	must(t, unix.Lstat(g.tree(three, "docs/1/file.pdf"), &fresh))
	must(t, unix.Lstat(g.tree(three, "docs/2/file.pdf"), &kept))
	if fresh.Ino == old.Ino || kept.Nlink < 3 {
		t.Errorf("damaged file linked: %v; other file has %d names", fresh.Ino == old.Ino, kept.Nlink)
	}
	if v := g.verify(three, 0); !v.OK {
		t.Errorf("the next set: %v", v.Err())
	}
}

// Promise: samples read other files each night until all were read, across sets; what they cover is remembered, and the
// pass of a sample makes no failure good.
func TestTreeSampled(t *testing.T) {
	g := newGallery(t)
	var hashed int64
	sets := []catalog.Set{}
	for range 4 {
		s := g.set()
		sets = append(sets, s)
		v := g.verify(s, 0.25)
		if !v.OK || v.Level != catalog.LevelSample || v.Hashed > 25 {
			t.Fatalf("%v, level %s, %d files", v.Err(), v.Level, v.Hashed)
		}
		hashed += v.Hashed
	}
	if hashed != 42 {
		t.Errorf("four quarters are %d files of 42", hashed)
	}
	list, err := g.catalog.List(t.Context(), sets[0].Group)
	must(t, err)
	for days, want := range map[int]float64{30: 1, 2: 0.75, 0: 0.25} {
		if got := verify.Covered(list, g.now.AddDate(0, 0, -days)); got != want {
			t.Errorf("within %d days: %v, want %v", days, got, want)
		}
	}
	// What the newest set records is enough: the others may be pruned.
	if got := verify.Covered(list[3:], g.now.AddDate(0, 0, -30)); got != 1 {
		t.Errorf("recorded beside the newest: %v", got)
	}
	if list[3].LastCheck(catalog.LevelChecksum) != nil {
		t.Error("a sample counts as a whole verify")
	}
	patch(t, g.tree(sets[3], "docs/7/file.pdf"))
	found := 0
	for range 4 {
		if v := g.verify(sets[3], 0.25); !v.OK {
			found++
		}
	}
	s, err := g.catalog.Get(t.Context(), sets[3].Ref)
	must(t, err)
	if k := s.Failed(); found != 1 || k == nil || k.Level != catalog.LevelChecksum {
		t.Errorf("found %d times, standing: %v", found, k)
	}
	if _, err := verify.Verify(t.Context(), verify.Options{Catalog: g.catalog, Sample: 1.5}, s); err == nil {
		t.Error("a share of 150 %")
	}
}
