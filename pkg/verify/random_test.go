package verify_test

import (
	"bytes"
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

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/catalog/catalogtest"
	"github.com/bmad-forge/forgectl/pkg/verify"
)

var seed = flag.Uint64("seed", 0, "of the places that are damaged; 0: another one each time")

// victim is a sealed set that is pinned and was suspect, whose neighbours are whole.
type victim struct {
	*copied
	files       []string
	unrecording *catalog.Catalog
}

func newVictim(t testing.TB) *victim {
	t.Helper()
	s := &victim{copied: copySet(t, true)}
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
	if good, why := s.Set().Good(); !good || !s.Set().Pinned() || len(s.files) < 11 {
		t.Fatalf("%s, %q", why, s.files)
	}
	return s
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

// Promise: one bit that is wrong anywhere in a set, its sums or its records is
// found, and the file named. (Of a wrong hash in the sums, it is the file whose
// hash that is.)
func TestEveryBit(t *testing.T) {
	t.Parallel()
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-seed %d", *seed)
	random := rand.New(rand.NewPCG(*seed, 0))
	s := newVictim(t)
	for n := range 600 {
		name := s.files[n%len(s.files)] // each file as often as the large ones
		whole := s.Read(name)
		bit := random.IntN(8 * len(whole))
		data := bytes.Clone(whole)
		data[bit/8] ^= 1 << (bit % 8)
		s.Write(name, data)
		s.found(name, "flipped")
		if t.Failed() {
			t.Fatalf("bit %d of %s", bit, name)
		}
		s.Write(name, whole)
	}
	v, err := verify.Verify(t.Context(), s.options(""), s.Set())
	if err != nil || !v.OK {
		t.Errorf("the test did not put things back: %v, %v", err, v.Err())
	}
}

// Promise: whatever else becomes of a file, be it cut, exchanged, or no file any
// more, it is found and named, and nothing waits for it.
func TestEveryFile(t *testing.T) {
	t.Parallel()
	s := newVictim(t)
	other := newVictim(t)
	other.Forge(func(m *catalog.Manifest) { m.Host = "web2" }) // the copies are the same otherwise
	for i, name := range s.files {
		path, aside := filepath.Join(s.Dir, name), filepath.Join(t.TempDir(), "aside")
		whole := s.Read(name)
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
			cases["of another set"] = as(other.Read(name))
		}
		for how, change := range cases {
			must(t, os.Rename(path, aside))
			must(t, change())
			s.found(name, how)
			must(t, os.RemoveAll(path))
			must(t, os.Rename(aside, path))
		}
	}
	v, err := verify.Verify(t.Context(), s.options(""), s.Set())
	if err != nil || !v.OK {
		t.Errorf("the test did not put things back: %v, %v", err, v.Err())
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
