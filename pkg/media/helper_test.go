package media_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bmad-forge/forgectl/pkg/media"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// series is a source and its snapshots.
type series struct {
	t      testing.TB
	source string
	dir    string
	n      int
	index  []byte // of the newest
	tree   string
}

func newSeries(t testing.TB) *series {
	t.Helper()
	dir := t.TempDir()
	s := &series{t: t, source: filepath.Join(dir, "source"), dir: dir}
	must(t, os.Mkdir(s.source, 0o755))
	return s
}

// take is one snapshot more, on the one before.
func (s *series) take(change func(*media.SnapshotOptions)) (media.Report, error) {
	s.t.Helper()
	s.n++
	var index bytes.Buffer
	w := media.NewIndexWriter(&index)
	o := media.SnapshotOptions{Source: s.source, Target: filepath.Join(s.dir, "tree-"+string(rune('A'-1+s.n))), Write: w.Write}
	if s.tree != "" {
		o.Previous = &media.Previous{Tree: s.tree, Index: bytes.NewReader(s.index)}
	}
	if change != nil {
		change(&o)
	}
	report, err := media.Snapshot(s.t.Context(), o)
	if err != nil {
		return report, err
	}
	if o.Target != "" {
		must(s.t, w.Close())
		s.tree, s.index = o.Target, index.Bytes()
	}
	return report, nil
}

func (s *series) must(change func(*media.SnapshotOptions)) media.Report {
	s.t.Helper()
	report, err := s.take(change)
	must(s.t, err)
	return report
}

func (s *series) path(name string) string { return filepath.Join(s.source, name) }

func (s *series) write(name, text string) {
	s.t.Helper()
	must(s.t, os.MkdirAll(filepath.Dir(s.path(name)), 0o755))
	must(s.t, os.WriteFile(s.path(name), []byte(text), 0o644))
}

// settle waits until the clock of the file system has gone on: files that were written before count as unchanged.
func (s *series) settle() { time.Sleep(50 * time.Millisecond) }

// entries reads the newest index.
func (s *series) entries() map[string]media.Entry {
	s.t.Helper()
	all := map[string]media.Entry{}
	for r := media.NewIndexReader(bytes.NewReader(s.index)); ; {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		must(s.t, err)
		all[e.Path] = e
	}
}

func inode(t testing.TB, path string) uint64 {
	t.Helper()
	var st unix.Stat_t
	must(t, unix.Lstat(path, &st))
	return st.Ino
}

func root(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("cannot be left out in CI: only root may do this")
		}
		t.Skip("only root")
	}
}
