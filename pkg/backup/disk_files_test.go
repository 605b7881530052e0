package backup_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/bmad-forge/forgectl/pkg/backup"
	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
	"github.com/bmad-forge/forgectl/pkg/seal/sealtest"
	"github.com/bmad-forge/forgectl/pkg/store/local"
	"github.com/bmad-forge/forgectl/pkg/store/storetest"
)

// filling is a store whose disk runs full in the middle of one file. Those that are
// written at the same time stand still from then on: the one has to fail.
type filling struct {
	*local.Store
	disk  *storetest.Disk
	group catalog.Group
	file  string // the end of its name; "": of none
	after int64  // so many bytes of it have been written

	mu  sync.Mutex
	hit bool // under mu
}

func (f *filling) Put(ctx context.Context, name string, write func(io.Writer) error) error {
	w := &fillingWriter{filling: f, ctx: ctx}
	if f.file != "" && strings.HasPrefix(name, f.group.Dir()+"/") && strings.HasSuffix(name, f.file) {
		w.chosen = true
		w.fill(f.after == 0)
	}
	return f.Store.Put(ctx, name, func(to io.Writer) error {
		w.to = to
		return write(w)
	})
}

// fill fills the disk, once.
func (f *filling) fill(now bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now && !f.hit {
		f.hit = true
		f.disk.Fill(0)
	}
}

type fillingWriter struct {
	*filling
	ctx    context.Context
	to     io.Writer
	chosen bool
	n      int64
}

func (w *fillingWriter) Write(p []byte) (int, error) {
	if !w.chosen {
		if n, err, written := w.writeOther(p); written {
			return n, err
		}
		select {
		case <-w.ctx.Done():
			return 0, context.Cause(w.ctx)
		case <-time.After(patience):
			return 0, errors.New("the backup goes on after a file could not be written")
		}
	}
	n, err := w.to.Write(p)
	w.n += int64(n)
	w.fill(w.after > 0 && w.n >= w.after)
	return n, err
}

// writeOther writes unless the disk is full.
func (w *fillingWriter) writeOther(p []byte) (n int, err error, written bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.hit {
		return 0, nil, false
	}
	n, err = w.to.Write(p)
	return n, err, true
}

// filled is a kind of backup whose disk runs full.
type filled struct {
	name  string
	group catalog.Group
	make  func(t *testing.T, o backup.SetOptions) (run func() error)
	// shrink takes most of the source away after a first set: the next one is suspect, which is a file more.
	shrink func(t *testing.T)
	// wants are files that must be among those at which it was tried.
	wants []string
}

func filledKinds(t *testing.T) []filled {
	e := scratchtest.Database(t, small, "CREATE TABLE large AS SELECT string_agg(md5(random()::text), '') FROM generate_series(1, 200000) i GROUP BY i % 1000")
	source, conf := mediaSource(t), etc(t)
	without := func(dir string) func(t *testing.T) {
		return func(t *testing.T) { must(t, os.RemoveAll(dir)) }
	}
	always := []string{catalog.ManifestName, catalog.SumsName, catalog.SignatureName, "RECOVER.md"}
	return []filled{
		{"database", group(e), func(t *testing.T, o backup.SetOptions) func() error {
			return func() error {
				d := options(e, o.Catalog)
				d.SetOptions = o
				_, err := backup.Database(t.Context(), d)
				return err
			}
		}, func(t *testing.T) { scratchtest.Exec(t, e, "DELETE FROM a_emptied", "DELETE FROM b_rewritten") },
			append(always, "00-globals.sql.zst", "05-database.sql.zst", "10-pre-data.dump.zst", "20-data.dump.zst", "30-post-data.dump.zst", "-suspect.json")},
		{"media", catalog.Group{Kind: catalog.KindMedia}, func(t *testing.T, o backup.SetOptions) func() error {
			return func() error {
				_, err := backup.Media(t.Context(), backup.MediaOptions{SetOptions: o, Source: source})
				return err
			}
		}, without(filepath.Join(source, "docs")), append(always, "index.jsonl.zst", "-suspect.json")},
		{"config", catalog.Group{Kind: catalog.KindConfig}, func(t *testing.T, o backup.SetOptions) func() error {
			return func() error {
				_, err := backup.Config(t.Context(), backup.ConfigOptions{SetOptions: o, Paths: []string{conf}, AllowPlain: true})
				return err
			}
		}, without(filepath.Join(conf, "app")), append(always, "-suspect.json")},
		{"full", fullGroup, func(t *testing.T, o backup.SetOptions) func() error {
			f := fullOptions(o.Catalog)
			f.Signer = o.Signer
			return func() error { _, err := backup.Full(t.Context(), f); return err }
		}, nil, always},
	}
}

// Promise: a disk that runs full at any file of a set, be it an artifact, its
// manifest, its sums, their signature or the check that makes it suspect, at its
// beginning or in its middle, ends the backup with that file and the reason. No set
// is listed that was not there before, nothing is left, and with room the next run
// succeeds.
func TestFullAtEveryFile(t *testing.T) {
	t.Parallel()
	signer := signerOf(t, sealtest.Entity(t, "host", nil))
	for _, k := range filledKinds(t) {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			disk := storetest.Mount(t, dir, 32<<20)
			place, err := local.Open(dir, local.Options{})
			must(t, err)
			t.Cleanup(func() { place.Close() })
			f := &filling{Store: place, disk: disk, group: k.group}
			c := catalog.New(f, catalog.Options{Now: clock(), Host: "web1", Version: "1.0.0"})
			run := k.make(t, backup.SetOptions{Catalog: c, Signer: signer, Shrink: 25})
			if k.shrink != nil {
				must(t, run())
				k.shrink(t)
			}
			must(t, run())
			f.everyFile(t, c, k, run)
		})
	}
}

// everyFile tries each file of the newest set, which it removes.
func (f *filling) everyFile(t *testing.T, c *catalog.Catalog, k filled, run func() error) {
	t.Helper()
	list := func() (all []string) {
		t.Helper()
		sets, err := c.List(t.Context(), k.group)
		must(t, err)
		for _, s := range sets {
			must(t, s.Problem)
			all = append(all, s.Ref.String())
		}
		return all
	}
	model, err := c.Last(t.Context(), k.group)
	must(t, err)
	sizes := map[string]int64{}
	must(t, fs.WalkDir(os.DirFS(filepath.Join(f.disk.Path, model.Dir())), ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && d.Name() == "tree" {
			return fs.SkipDir
		}
		if err != nil {
			return err
		}
		if info, err := d.Info(); err == nil && info.Mode().IsRegular() {
			if i := strings.LastIndex(path, "-"); strings.HasPrefix(path, catalog.ChecksDir) {
				path = path[i:] // the rest of its name is the time
			}
			sizes[path] = info.Size()
		}
		return nil
	}))
	must(t, c.Remove(t.Context(), model.Ref))
	for _, name := range k.wants {
		if sizes[name] == 0 {
			t.Errorf("the set has no %s: %v", name, sizes)
		}
	}
	before, inDir := list(), files(t, filepath.Join(f.disk.Path, k.group.Dir()))
	for name, size := range sizes {
		for _, after := range []int64{0, size / 2} {
			if after > 0 && size < 64<<10 {
				continue // no page of it is still to come
			}
			what := fmt.Sprintf("%s after %d bytes", name, after)
			f.file, f.after, f.hit = name, after, false
			err := run()
			if !f.hit {
				t.Fatalf("%s: never written: %v", what, err)
			}
			if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), name) {
				t.Errorf("%s: %v", what, err)
			}
			if got := list(); !slices.Equal(got, before) {
				t.Errorf("%s: sets %q, were %q", what, got, before)
			}
			if got := files(t, filepath.Join(f.disk.Path, k.group.Dir())); !slices.Equal(got, inDir) {
				t.Errorf("%s: files %q, were %q", what, got, inDir)
			}
			f.disk.Free()
		}
	}
	f.file, f.hit = "", false
	must(t, run())
	if got := list(); len(got) != len(before)+1 {
		t.Errorf("with room: %q", got)
	}
}
