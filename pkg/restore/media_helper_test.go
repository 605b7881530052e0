package restore_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bmad-forge/forgectl/pkg/artifact"
	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/media"
	"github.com/bmad-forge/forgectl/pkg/proc/proctest"
	"github.com/bmad-forge/forgectl/pkg/restore"
	"github.com/bmad-forge/forgectl/pkg/seal"
	"github.com/bmad-forge/forgectl/pkg/store/local"
)

// files is a live directory, a repository, and where intents go.
type files struct {
	t                   testing.TB
	dir, live, original string
	catalog             *catalog.Catalog
	set                 catalog.Set
}

// newFiles fills a directory with everything that is odd, keeps a copy of it, and makes a set of it.
func newFiles(t testing.TB) *files {
	t.Helper()
	dir := t.TempDir()
	f := &files{t: t, dir: dir, live: filepath.Join(dir, "media"), original: filepath.Join(dir, "original")}
	for path, text := range map[string]string{
		"a/one.txt": "one", "a/two.txt": "two", "a/deep/er/three": "three", "empty": "", "-dash": "x", "new\nline": "n",
		"bytes\xff\xfe": "not UTF-8", strings.Repeat("n", 255): "long", "a.b/c": "sorts before a/", "setuid": "s",
	} {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(f.live, path)), 0o755))
		must(t, os.WriteFile(filepath.Join(f.live, path), []byte(text), 0o644))
	}
	at := func(path string) string { return filepath.Join(f.live, path) }
	must(t, os.Mkdir(at("bare"), 0o700))
	must(t, os.Link(at("a/one.txt"), at("a/deep/same")))
	must(t, os.Symlink("../../../etc/passwd", at("a/out")))
	must(t, os.Symlink(".", at("loop")))
	must(t, unix.Lsetxattr(at("a/two.txt"), "user.note", []byte("kept\x00"), 0))
	must(t, os.Chmod(at("setuid"), 0o4755))
	hole, err := os.Create(at("holes"))
	must(t, err)
	_, err = hole.WriteAt([]byte("end"), 1<<20)
	must(t, err)
	must(t, hole.Close())
	if os.Geteuid() == 0 {
		must(t, os.Lchown(at("a/two.txt"), 1234, 4321))
		must(t, os.Lchown(at("a/out"), 1234, 4321))
		must(t, os.Chown(at("setuid"), 1234, 4321))
		must(t, os.Chmod(at("setuid"), 0o4755))
	}
	must(t, os.Chtimes(at("a"), time.Time{}, time.Unix(1_000_000_000, 123456789)))
	proctest.Program(t, "cp", "-a", f.live, f.original)
	repository := filepath.Join(dir, "repository")
	must(t, os.Mkdir(repository, 0o700))
	f.open()
	f.set = f.publish()
	return f
}

func (f *files) open() {
	f.t.Helper()
	s, err := local.Open(filepath.Join(f.dir, "repository"), local.Options{})
	must(f.t, err)
	f.t.Cleanup(func() { _ = s.Close() })
	f.catalog = catalog.New(s, catalog.Options{})
}

// publish makes a set of the live files.
func (f *files) publish() catalog.Set {
	f.t.Helper()
	ctx := f.t.Context()
	d, err := f.catalog.Begin(ctx, catalog.Group{Kind: catalog.KindMedia})
	must(f.t, err)
	place, _ := f.catalog.Location(catalog.Ref{Group: catalog.Group{Kind: catalog.KindMedia}, ID: d.ID()})
	place = filepath.Join(strings.TrimSuffix(place, d.Ref().Dir()), d.Dir())
	var bytes int64
	written, err := artifact.Write(ctx, d, seal.Options{}, media.IndexName, func(w io.Writer) error {
		index := media.NewIndexWriter(w)
		report, err := media.Snapshot(ctx, media.SnapshotOptions{Source: f.live, Target: filepath.Join(place, "tree"), Write: index.Write})
		bytes = report.Bytes
		return errors.Join(err, index.Close())
	})
	must(f.t, err)
	set, err := d.Publish(ctx, catalog.Manifest{Artifacts: []catalog.Artifact{{Name: media.TreeName, Bytes: bytes}, written.Artifact}})
	must(f.t, err)
	return set
}

func (f *files) options() restore.MediaOptions {
	return restore.MediaOptions{
		Catalog: f.catalog, Set: f.set, Live: f.live, Intents: restore.Intents{Dir: filepath.Join(f.dir, "intents")}, PID: os.Getpid(), Host: "here",
	}
}

func (f *files) tree(path string) string {
	dir, _ := f.catalog.Location(f.set.Ref)
	return filepath.Join(dir, "tree", path)
}

// spoil does what an unlucky day does to the live files.
func (f *files) spoil() {
	f.t.Helper()
	must(f.t, os.RemoveAll(filepath.Join(f.live, "a/two.txt")))
	must(f.t, os.WriteFile(filepath.Join(f.live, "a/one.txt"), []byte("overwritten"), 0o600))
	must(f.t, os.WriteFile(filepath.Join(f.live, "uploaded"), []byte("later"), 0o600))
	must(f.t, os.RemoveAll(filepath.Join(f.live, "a/deep")))
}

// snapshotOf is a copy of the live files as they are.
func (f *files) copyOf(name string) string {
	f.t.Helper()
	to := filepath.Join(f.dir, name)
	proctest.Program(f.t, "cp", "-a", f.live, to)
	return to
}

// beside lists what lies beside the live directory and was left by a restore.
func (f *files) beside() (names []string) {
	f.t.Helper()
	entries, err := os.ReadDir(f.dir)
	must(f.t, err)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "media_") {
			names = append(names, strings.Join(strings.Split(e.Name(), "_")[:2], "_"))
		}
	}
	return names
}

func (f *files) left(want ...string) {
	f.t.Helper()
	if got := f.beside(); fmt.Sprint(got) != fmt.Sprint(want) {
		f.t.Errorf("beside the live directory: %v, want %v", got, want)
	}
	if open, err := (restore.Intents{Dir: filepath.Join(f.dir, "intents")}).List(f.t.Context()); err != nil || len(open) > 0 {
		f.t.Errorf("open: %v, %v", open, err)
	}
}
