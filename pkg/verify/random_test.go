package verify_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bmad-forge/forgectl/pkg/backup"
	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/catalog/catalogtest"
	"github.com/bmad-forge/forgectl/pkg/seal"
	"github.com/bmad-forge/forgectl/pkg/seal/sealtest"
	"github.com/bmad-forge/forgectl/pkg/verify"
)

var seed = flag.Uint64("seed", 0, "of the places that are damaged; 0: another one each time")

// victimKinds makes a set of each kind.
var victimKinds = map[catalog.Kind]func(t testing.TB) *copied{
	catalog.KindDatabase: func(t testing.TB) *copied { return copySet(t, true) },
	catalog.KindMedia:    func(t testing.TB) *copied { return victimOf(t, catalog.KindMedia) },
	catalog.KindConfig:   func(t testing.TB) *copied { return victimOf(t, catalog.KindConfig) },
	catalog.KindFull:     func(t testing.TB) *copied { return victimOf(t, catalog.KindFull) },
}

// victimOf makes a full set of files and sealed configuration, and returns it or that part of it.
func victimOf(t testing.TB, kind catalog.Kind) *copied {
	t.Helper()
	media, conf, dir := t.TempDir(), filepath.Join(t.TempDir(), "nginx.conf"), t.TempDir()
	must(t, os.MkdirAll(filepath.Join(media, "docs"), 0o755))
	for name, text := range map[string]string{"docs/one.pdf": "one", "two.pdf": "two", "docs/empty not": "\x00", "großes": strings.Repeat("x", 100_000)} {
		must(t, os.WriteFile(filepath.Join(media, name), []byte(text), 0o640))
	}
	must(t, os.Link(filepath.Join(media, "two.pdf"), filepath.Join(media, "docs", "again")))
	must(t, os.Symlink("docs", filepath.Join(media, "link")))
	must(t, os.WriteFile(conf, []byte("server {}\n"), 0o644))
	public, _ := sealtest.Pair(t, "ops")
	c := catalogtest.Open(t, dir)
	o := backup.SetOptions{Catalog: c}
	r, err := backup.Full(t.Context(), backup.FullOptions{Catalog: c, Parts: []backup.FullPart{
		{Name: "media", Backup: func(ctx context.Context) (catalog.Set, error) {
			r, err := backup.Media(ctx, backup.MediaOptions{SetOptions: o, Source: media})
			return r.Set, err
		}},
		{Name: "config", Backup: func(ctx context.Context) (catalog.Set, error) {
			r, err := backup.Config(ctx, backup.ConfigOptions{SetOptions: o, Sealing: backup.Sealing{Seal: seal.Options{Recipients: []*seal.Key{public}}}, Paths: []string{conf}})
			return r.Set, err
		}},
	}})
	must(t, err)
	ref := r.Set.Ref
	for _, part := range r.Set.Refers() {
		if part.Kind == kind {
			ref = part
		}
	}
	return &copied{*catalogtest.At(t, dir, ref)}
}

// victim is a set that is pinned and was suspect, whose neighbours are whole.
type victim struct {
	*copied
	files       []string
	unrecording *catalog.Catalog
}

func newVictim(t testing.TB, set *copied) *victim {
	t.Helper()
	s := &victim{copied: set}
	s.unrecording = catalog.New(faulty{catalogtest.Store(t, s.Root()), nil, errors.New("not recorded")}, catalog.Options{})
	for i, id := range []catalog.ID{"20980101T000000Z", "20990101T000000Z"} {
		now := func() time.Time { return id.Time() }
		d, err := catalog.New(catalogtest.Store(t, s.Root()), catalog.Options{Now: now, Host: "web1"}).Begin(t.Context(), s.Ref.Group)
		must(t, err)
		_, err = d.Publish(t.Context(), catalog.Manifest{})
		must(t, err)
		what := []string{catalog.CheckPin, catalog.CheckSuspect}[i]
		must(t, s.Catalog.AddCheck(t.Context(), s.Ref, catalog.Check{What: what, Reason: "before the migration", Time: id.Time()}))
	}
	must(t, s.Catalog.AddCheck(t.Context(), s.Ref, catalog.Check{What: catalog.CheckAccept}))
	must(t, filepath.WalkDir(s.Dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			s.files = append(s.files, strings.TrimPrefix(path, s.Dir+"/"))
		}
		return err
	}))
	if good, why := s.Set().Good(); !good || !s.Set().Pinned() || len(s.files) < 5 {
		t.Fatalf("%s, %q", why, s.files)
	}
	return s
}

// stamps are what of a file and its directory shows that somebody was there: with them put back, only reading helps.
type stamps struct {
	path      string
	file, dir fs.FileInfo
}

func (s *victim) stamps(name string) stamps {
	s.T.Helper()
	of := stamps{path: filepath.Join(s.Dir, name)}
	var errs [2]error
	of.file, errs[0] = os.Stat(of.path)
	of.dir, errs[1] = os.Stat(filepath.Dir(of.path))
	must(s.T, errors.Join(errs[:]...))
	return of
}

// putBack gives them to whatever regular file has the name now.
func (of stamps) putBack() error {
	var errs []error
	if now, err := os.Lstat(of.path); err == nil && now.Mode().IsRegular() {
		sys := of.file.Sys().(*syscall.Stat_t)
		errs = append(errs, os.Chown(of.path, int(sys.Uid), int(sys.Gid)), os.Chmod(of.path, of.file.Mode().Perm()), os.Chtimes(of.path, of.file.ModTime(), of.file.ModTime()))
	}
	return errors.Join(append(errs, os.Chtimes(filepath.Dir(of.path), of.dir.ModTime(), of.dir.ModTime()))...)
}

// found fails unless a damaged file is found, by the list and by Verify, and
// named; and unless the neighbours are listed as whole. The verdict is not
// recorded.
func (s *victim) found(name, how string) {
	s.T.Helper()
	sets, err := s.Catalog.List(s.T.Context(), s.Ref.Group)
	must(s.T, err)
	i := slices.IndexFunc(sets, func(set catalog.Set) bool { return set.Ref == s.Ref })
	if len(sets) != 3 || i != 0 {
		s.T.Fatalf("%s %s: listed %v", name, how, sets)
	}
	for _, n := range []int{1, 2} {
		if good, why := sets[n].Good(); !good {
			s.T.Errorf("%s %s: its neighbour: %s", name, how, why)
		}
	}
	// A check file, the manifest and the sums are read by the list: what it says must not be "good".
	good, _ := sets[i].Good()
	if read := strings.HasPrefix(name, catalog.ChecksDir) || name == catalog.ManifestName; good && read {
		s.T.Errorf("%s %s: good in the list", name, how)
	}
	o := s.options("")
	o.Catalog = s.unrecording
	v, err := verify.Verify(s.T.Context(), o, sets[i])
	if err != nil || v.OK || v.Err() == nil {
		s.T.Fatalf("%s %s: %v, %+v", name, how, err, v)
	}
	if text := v.Err().Error(); !strings.Contains(text, name) && name != catalog.SumsName {
		s.T.Errorf("%s %s: %s", name, how, text)
	}
	var d *catalog.DamageError
	if !errors.As(v.Err(), &d) {
		s.T.Errorf("%s %s: %v", name, how, v.Err())
	}
}

// Promise: one bit that is wrong anywhere in a set of whatever kind, its sums or
// its records is found, and the file named, although its size and its times are as
// they were. (Of a wrong hash in the sums, it is the file whose hash that is.)
func TestEveryBit(t *testing.T) {
	t.Parallel()
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-seed %d", *seed)
	// Sets of all kinds are checked by the same code but for what is in them.
	flips := map[catalog.Kind]int{catalog.KindDatabase: 600, catalog.KindMedia: 300, catalog.KindConfig: 150, catalog.KindFull: 150}
	for kind, made := range victimKinds {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(*seed, 0))
			s := newVictim(t, made(t))
			for n := range flips[kind] {
				name := s.files[n%len(s.files)] // each file as often as the large ones
				whole, of := s.Read(name), s.stamps(name)
				bit := random.IntN(8 * len(whole))
				data := bytes.Clone(whole)
				data[bit/8] ^= 1 << (bit % 8)
				s.Write(name, data)
				must(t, of.putBack())
				s.found(name, "flipped")
				if t.Failed() {
					t.Fatalf("bit %d of %s", bit, name)
				}
				s.Write(name, whole)
				must(t, of.putBack())
			}
			s.stillWhole()
		})
	}
}

// stillWhole fails unless a test has put everything back.
func (s *victim) stillWhole() {
	s.T.Helper()
	v, err := verify.Verify(s.T.Context(), s.options(""), s.Set())
	if err != nil || !v.OK {
		s.T.Errorf("the test did not put things back: %v, %v", err, v.Err())
	}
}

// Promise: whatever else becomes of a file of a set of whatever kind, be it cut,
// exchanged, or no file any more, it is found and named, and nothing waits for it.
func TestEveryFile(t *testing.T) {
	t.Parallel()
	for kind, made := range victimKinds {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			s := newVictim(t, made(t))
			for i := range s.files {
				s.everyHarm(i)
			}
			s.stillWhole()
		})
	}
}

// everyHarm does to a file whatever may become of it.
func (s *victim) everyHarm(i int) {
	s.T.Helper()
	name := s.files[i]
	path, aside := filepath.Join(s.Dir, name), filepath.Join(s.T.TempDir(), "aside")
	whole, of := s.Read(name), s.stamps(name)
	neighbour := s.Read(s.files[(i+1)%len(s.files)])
	as := func(data []byte) func() error {
		return func() error { return os.WriteFile(path, data, 0o600) }
	}
	cases := map[string]func() error{
		"emptied":                       as(nil),
		"without its first byte":        as(whole[1:]),
		"cut in the middle":             as(whole[:len(whole)/2]),
		"without its last byte":         as(whole[:len(whole)-1]),
		"with a byte more":              as(append(bytes.Clone(whole), 0)),
		"with a newline more":           as(append(bytes.Clone(whole), '\n')),
		"doubled":                       as(append(bytes.Clone(whole), whole...)),
		"zeroed":                        as(make([]byte, len(whole))),
		"exchanged with another":        as(neighbour),
		"a link to itself elsewhere":    func() error { return os.Symlink(aside, path) },
		"a link to nowhere":             func() error { return os.Symlink("nowhere", path) },
		"a link in a circle":            func() error { return os.Symlink(filepath.Base(path), path) },
		"a link to a directory":         func() error { return os.Symlink(".", path) },
		"a directory":                   func() error { return os.Mkdir(path, 0o700) },
		"a directory that is not empty": func() error { return os.MkdirAll(filepath.Join(path, "more"), 0o700) },
		"a pipe":                        func() error { return syscall.Mkfifo(path, 0o600) },
		"a socket":                      func() error { return syscall.Mknod(path, syscall.S_IFSOCK|0o600, 0) },
	}
	if os.Geteuid() == 0 {
		cases["a device"] = func() error { return syscall.Mknod(path, syscall.S_IFCHR|0o600, 1<<8|5) } // /dev/zero
	}
	if strings.HasSuffix(name, ".gpg") {
		cases["grown without end"] = func() error {
			return errors.Join(os.WriteFile(path, whole, 0o600), os.Truncate(path, 1<<40)) // holes
		}
	}
	// What is gone was never there, as far as records can say.
	if !strings.HasPrefix(name, catalog.ChecksDir) {
		cases["removed"] = func() error { return nil }
	}
	if name == catalog.ManifestName || name == catalog.SumsName {
		other := catalogtest.New(s.T, s.Root(), s.Ref)
		other.Forge(func(m *catalog.Manifest) { m.Host = "web2" }) // the copies are the same otherwise
		cases["of another set"] = as(other.Read(name))
	}
	same := map[string]bool{} // what makes no difference: one byte that was zero, say
	for how, data := range map[string][]byte{"zeroed": make([]byte, len(whole)), "exchanged with another": neighbour} {
		same[how] = bytes.Equal(data, whole)
	}
	for how, change := range cases {
		if same[how] {
			continue
		}
		must(s.T, os.Rename(path, aside))
		must(s.T, errors.Join(change(), of.putBack()))
		s.found(name, how)
		must(s.T, os.RemoveAll(path))
		must(s.T, os.Rename(aside, path))
		must(s.T, of.putBack())
	}
}

// Promise: a damaged record is no way to change what the set is taken for: a pin
// that cannot be read does not let the set go, a suspicion that cannot be read
// does not make it good.
func TestDamagedRecords(t *testing.T) {
	t.Parallel()
	for _, what := range []string{catalog.CheckPin, catalog.CheckSuspect} {
		s := copySet(t, true)
		must(t, s.Catalog.AddCheck(t.Context(), s.Ref, catalog.Check{What: what, Reason: "x"}))
		records, err := filepath.Glob(filepath.Join(s.Dir, catalog.ChecksDir, "*.json"))
		must(t, err)
		whole, err := os.ReadFile(records[0])
		must(t, err)
		for i := range whole {
			for bit := range 8 {
				// Of what is no number one bit does.
				if bit != i%8 && (whole[i] < '0' || whole[i] > '9') {
					continue
				}
				data := bytes.Clone(whole)
				data[i] ^= 1 << bit
				must(t, os.WriteFile(records[0], data, 0o600))
				set := s.Set()
				if good, _ := set.Good(); good || !errors.Is(set.Problem, catalog.ErrDamaged) {
					t.Fatalf("%s, byte %d, bit %d: good %v, %v", what, i, bit, good, set.Problem)
				}
			}
		}
	}
}
