package media_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bmad-forge/forgectl/pkg/archive/archivetest"
	"github.com/bmad-forge/forgectl/pkg/media"
	"github.com/bmad-forge/forgectl/pkg/proc/proctest"
)

// Promise: every snapshot is for ever like the source was at its time, in content, names, metadata and links, whatever
// happens to the source afterwards; and its index describes it.
func TestRounds(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	s := newSeries(t)
	m := &mutator{t: t, r: rand.New(rand.NewPCG(seed, 1)), root: s.source}
	for range 60 {
		m.add()
	}
	const rounds = 20
	var trees, copies []string
	linked := int64(0)
	for n := range rounds {
		for range m.r.IntN(12) {
			m.mutate()
		}
		copied := filepath.Join(s.dir, fmt.Sprint("copy-", n))
		proctest.Program(t, "cp", "-a", s.source, copied)
		proctest.Program(t, "find", copied, "(", "-type", "p", "-o", "-type", "s", ")", "-delete")
		equalTimes(t, s.source, copied)
		report := s.must(func(o *media.SnapshotOptions) { o.Checksum = n%5 == 4; o.Jobs = 1 + n%4 })
		linked += report.Linked
		if report.Unreadable.Count+report.Vanished+report.Unstable.Count+report.Distrusted.Count > 0 {
			t.Errorf("%+v", report)
		}
		trees, copies = append(trees, s.tree), append(copies, copied)
		checkIndex(t, s)
		if n%4 == 0 {
			s.settle()
		}
	}
	for i := range trees {
		archivetest.Same(t, copies[i], trees[i])
	}
	if linked == 0 {
		t.Error("nothing was ever linked")
	}
}

// equalTimes gives directories their times again, from which something was removed.
func equalTimes(t *testing.T, from, to string) {
	must(t, filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		var st unix.Stat_t
		must(t, unix.Lstat(path, &st))
		return unix.UtimesNanoAt(unix.AT_FDCWD, to+strings.TrimPrefix(path, from), []unix.Timespec{st.Atim, st.Mtim}, 0)
	}))
}

// checkIndex compares the index with the tree.
func checkIndex(t *testing.T, s *series) {
	t.Helper()
	entries := s.entries()
	must(t, filepath.WalkDir(s.tree, func(path string, _ fs.DirEntry, err error) error {
		must(t, err)
		rel, _ := filepath.Rel(s.tree, path)
		e, ok := entries[rel]
		if !ok {
			t.Errorf("%q is not in the index", rel)
			return nil
		}
		delete(entries, rel)
		var st unix.Stat_t
		must(t, unix.Lstat(path, &st))
		if e.Type == media.File {
			data, err := os.ReadFile(path)
			must(t, err)
			sum := sha256.Sum256(data)
			if hex.EncodeToString(sum[:]) != e.SHA256 || int64(len(data)) != e.Size {
				t.Errorf("%q: %+v", rel, e)
			}
		}
		if e.MTime != st.Mtim.Nano() || e.Mode != st.Mode&0o7777 || e.UID != st.Uid {
			t.Errorf("%q: %+v, %+v", rel, e, st)
		}
		return nil
	}))
	for path, e := range entries {
		if e.Type.Copied() {
			t.Errorf("%q is in the index only", path)
		}
	}
}

// mutator changes a tree at random.
type mutator struct {
	t    testing.TB
	r    *rand.Rand
	root string
	n    int
}

var oddNames = []string{"a b", "-rf", "new\nline", "\xff\xfe", "ünï", "$(x)", ".hidden", "tab\t", "'\"\\", strings.Repeat("n", 240), "*?[", " "}

func (m *mutator) name() string {
	m.n++
	return oddNames[m.r.IntN(len(oddNames))] + fmt.Sprint(m.n)
}

// pick is something that is there; dirs: a directory.
func (m *mutator) pick(dirs bool) string {
	var all []string
	must(m.t, filepath.WalkDir(m.root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && (dirs && d.IsDir() || !dirs && d.Type().IsRegular()) {
			all = append(all, path)
		}
		return err
	}))
	if len(all) == 0 {
		return ""
	}
	return all[m.r.IntN(len(all))]
}

func (m *mutator) data() []byte {
	b := make([]byte, m.r.IntN(1<<m.r.IntN(18)))
	for i := range b {
		b[i] = byte(m.r.Uint32())
	}
	return b
}

func (m *mutator) add() {
	path := filepath.Join(m.pick(true), m.name())
	switch m.r.IntN(9) {
	case 0, 1:
		must(m.t, os.Mkdir(path, 0o755))
	case 2:
		must(m.t, os.Symlink([]string{"../..", "/etc/passwd", ".", "\xff", "nowhere"}[m.r.IntN(5)], path))
	case 3:
		if from := m.pick(false); from != "" {
			must(m.t, os.Link(from, path))
		}
	case 4:
		must(m.t, unix.Mkfifo(path, 0o600))
	case 5: // sparse
		f, err := os.Create(path)
		must(m.t, err)
		for range m.r.IntN(3) {
			_, err = f.WriteAt(m.data(), m.r.Int64N(1<<20))
			must(m.t, err)
		}
		must(m.t, f.Truncate(1<<20+m.r.Int64N(1<<16)))
		must(m.t, f.Close())
	default:
		must(m.t, os.WriteFile(path, m.data(), 0o644))
	}
}

func (m *mutator) mutate() {
	file, dir := m.pick(false), m.pick(true)
	switch m.r.IntN(11) {
	case 0, 1, 2:
		m.add()
	case 3:
		must(m.t, os.WriteFile(file, m.data(), 0o644))
	case 4: // content that has the same size and time as before
		fi, err := os.Stat(file)
		must(m.t, err)
		must(m.t, os.WriteFile(file, bytes.Repeat([]byte{byte(m.r.Uint32())}, int(fi.Size())), 0o644))
		must(m.t, os.Chtimes(file, time.Time{}, fi.ModTime()))
	case 5:
		must(m.t, os.Chmod(file, []fs.FileMode{0o600, 0o444, 0o755 | fs.ModeSetuid, 0o400}[m.r.IntN(4)]))
	case 6:
		must(m.t, os.Rename(file, filepath.Join(dir, m.name())))
	case 7:
		must(m.t, os.Remove(file))
	case 8:
		if dir != m.root && m.r.IntN(3) == 0 {
			must(m.t, os.RemoveAll(dir))
		}
	case 9:
		if err := unix.Setxattr(file, "user.note", m.data()[:0], 0); err != nil {
			m.t.Logf("no attributes: %v", err)
		}
		must(m.t, os.Chtimes(dir, time.Time{}, time.Unix(m.r.Int64N(2e9), m.r.Int64N(1e9))))
	case 10:
		if os.Geteuid() == 0 {
			must(m.t, os.Lchown(file, m.r.IntN(2000), m.r.IntN(2000)))
		}
	}
	if m.pick(false) == "" {
		must(m.t, os.WriteFile(filepath.Join(m.root, m.name()), nil, 0o644))
	}
}
