package verify_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/catalog/catalogtest"
	"github.com/bmad-forge/forgectl/pkg/proc/proctest"
	"github.com/bmad-forge/forgectl/pkg/seal"
	"github.com/bmad-forge/forgectl/pkg/seal/sealtest"
	"github.com/bmad-forge/forgectl/pkg/store/local"
	"github.com/bmad-forge/forgectl/pkg/verify"
)

// Promise: one flipped bit, a missing end or a missing file is found at every
// level, whichever file it is, and named; and before the sums are known to be
// right no program is started and no key asked for.
func TestDamage(t *testing.T) {
	t.Parallel()
	for _, sealed := range []bool{false, true} {
		suffix := seal.Suffix(sealed)
		names := []string{"00-globals.sql" + suffix, "05-database.sql" + suffix, "10-pre-data.dump" + suffix, "20-data.dump" + suffix, "30-post-data.dump" + suffix, "manifest.json", "SHA256SUMS", "RECOVER.md"}
		for i, name := range names {
			for j, how := range []string{"flipped", "cut", "gone"} {
				if how == "gone" && name == "SHA256SUMS" {
					continue // then it is no set
				}
				level := []string{catalog.LevelChecksum, catalog.LevelDecode, catalog.LevelDrill}[(i+j)%3]
				t.Run(name+" "+how, func(t *testing.T) {
					t.Parallel()
					s := copySet(t, sealed)
					before := s.Set()
					data := s.Read(name)
					switch how {
					case "flipped":
						data[len(data)/2] ^= 1
						s.Write(name, data)
					case "cut":
						s.Write(name, data[:len(data)-1])
					case "gone":
						must(t, os.Remove(filepath.Join(s.Dir, name)))
					}
					// As it is listed now, and as it was listed before it was damaged.
					for what, set := range map[string]catalog.Set{"listed now": s.Set(), "listed before": before} {
						o := s.options(level)
						o.Runner = &proctest.Runner{T: t}
						o.Unlock = noUnlock{t}
						o.Step = func(name string) { t.Errorf("%s: went on to %q", what, name) }
						v, err := verify.Verify(t.Context(), o, set)
						must(t, err)
						var d *catalog.DamageError
						if v.OK || v.Err() == nil || !errors.As(v.Err(), &d) {
							t.Fatalf("%s: found well: %+v", what, v)
						}
						// A wrong line of the sums is damage of what it is about as well.
						if !strings.Contains(v.Err().Error(), name) && name != "SHA256SUMS" {
							t.Errorf("%s: %v", what, v.Err())
						}
						empty(t, o.Scratch.Dir)
					}
					s.failedCheck(level, "")
				})
			}
		}
	}
}

// noUnlock is an unlocker that must not be asked.
type noUnlock struct{ t testing.TB }

func (n noUnlock) Unlock(context.Context, []byte) (*seal.SessionKey, error) {
	n.t.Error("a key was asked for")
	return nil, seal.ErrNoSecretKey
}

// Promise: all files that are damaged are named, each once, not just the first.
func TestAllDamage(t *testing.T) {
	t.Parallel()
	want := []string{"00-globals.sql.zst", "20-data.dump.zst", "RECOVER.md"}
	for name, change := range map[string]func([]byte) []byte{
		"flipped": func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
		"cut":     func(b []byte) []byte { return b[:10] },
	} {
		s := copySet(t, false)
		for _, file := range want {
			s.Write(file, change(s.Read(file)))
		}
		v, err := verify.Verify(t.Context(), s.options(catalog.LevelChecksum), s.Set())
		must(t, err)
		if got := artifacts(t, v); !slices.Equal(got, want) {
			t.Errorf("%s: named %q", name, got)
		}
	}
	s := copySet(t, false)
	must(t, os.Mkdir(filepath.Join(s.Dir, "checks"), 0o700))
	s.Write("checks/note.json", []byte("{}"))
	v, err := verify.Verify(t.Context(), s.options(catalog.LevelDecode), s.Set())
	must(t, err)
	if got := artifacts(t, v); !slices.Equal(got, []string{"checks/note.json"}) {
		t.Errorf("a damaged record: named %q", got)
	}
}

// artifacts are the damaged files of a verdict, sorted.
func artifacts(t testing.TB, v verify.Verdict) []string {
	t.Helper()
	var names []string
	for _, err := range v.Damage {
		var d *catalog.DamageError
		if !errors.As(err, &d) {
			t.Fatal(err)
		}
		names = append(names, d.Artifact)
	}
	slices.Sort(names)
	return names
}

// Promise: decoding finds what right sums do not show.
func TestDecode(t *testing.T) {
	t.Parallel()
	cut := func(b []byte) []byte { return b[:len(b)-1] }
	for _, tt := range []struct {
		name   string
		base   string
		raw    bool
		change func([]byte) []byte
		kind   string
	}{
		{"other content", "20-data.dump", false, catalogtest.Replace("lorem", "ipsum"), catalog.DamageChecksum},
		{"other definitions", "05-database.sql", false, catalogtest.Replace("UTF8", "utf8"), catalog.DamageChecksum},
		{"archive without its end", "20-data.dump", true, cut, catalog.DamageMalformed},
		{"archive with more", "30-post-data.dump", true, func(b []byte) []byte { return append(b, 0) }, catalog.DamageMalformed},
		{"no archive", "10-pre-data.dump", true, func([]byte) []byte { return []byte("-- SQL") }, catalog.DamageMalformed},
	} {
		s := copySet(t, false)
		s.ForgeArtifact(tt.base, tt.raw, tt.change)
		v, err := verify.Verify(t.Context(), s.options(catalog.LevelChecksum), s.Set())
		must(t, err)
		if !v.OK {
			t.Errorf("%s: the sums are wrong: %v", tt.name, v.Err())
		}
		v, err = verify.Verify(t.Context(), s.options(catalog.LevelDecode), s.Set())
		must(t, err)
		var d *catalog.DamageError
		if v.OK || !errors.As(v.Err(), &d) || d.Artifact != tt.base+".zst" || d.Kind != tt.kind || d.Ref != s.Ref {
			t.Errorf("%s: %v", tt.name, v.Err())
		}
		s.failedCheck(catalog.LevelDecode, tt.base)
	}
}

// Promise: a good verdict is recorded with its level and times, and nothing of
// it says more than was done.
func TestGood(t *testing.T) {
	t.Parallel()
	for level, stages := range map[string][]string{"": {"checksum"}, catalog.LevelDecode: {"checksum", "decode"}} {
		s := copySet(t, true)
		o := s.options(level)
		last := map[string]int64{}
		o.Progress = func(stage string, done, total int64) {
			if done < last[stage] || done > total {
				t.Errorf("%s: %d after %d of %d", stage, done, last[stage], total)
			}
			last[stage] = done
		}
		v, err := verify.Verify(t.Context(), o, s.Set())
		must(t, err)
		var names []string
		for _, stage := range v.Stages {
			names = append(names, stage.Name)
		}
		if !v.OK || v.Err() != nil || len(v.Warnings) > 0 || !slices.Equal(names, stages) || v.Seconds() <= 0 {
			t.Errorf("%q: %+v", level, v)
		}
		set := s.Set()
		if level == "" {
			level = catalog.LevelChecksum
		}
		if len(set.Checks) != 1 || !set.Checks[0].Time.Equal(o.Now()) || set.Checks[0].Level != level || len(set.Checks[0].Stages) != len(stages) {
			t.Errorf("recorded %+v", set.Checks)
		}
		if ok, why := set.Good(); !ok {
			t.Error(why)
		}
		if last["checksum"] == 0 || (last["decode"] == 0) != (level != catalog.LevelDecode) {
			t.Errorf("progress %v", last)
		}
	}
}

// Promise: without the right secret key nothing is said about the set, except
// that its sums are right.
func TestNoSecretKey(t *testing.T) {
	t.Parallel()
	_, other := sealtest.Pair(t, "other")
	for name, unlock := range map[string]seal.Unlocker{"none": nil, "empty": keyring(), "wrong": keyring(other)} {
		for _, level := range []string{catalog.LevelDecode, catalog.LevelDrill} {
			s := copySet(t, true)
			o := s.options(level)
			o.Unlock = unlock
			o.Runner = &proctest.Runner{T: t}
			if v, err := verify.Verify(t.Context(), o, s.Set()); !errors.Is(err, seal.ErrNoSecretKey) || v.OK || len(v.Damage) > 0 {
				t.Errorf("%s, %s: %v, %+v", name, level, err, v)
			}
			s.unrecorded()
			o.Level = catalog.LevelChecksum
			if v, err := verify.Verify(t.Context(), o, s.Set()); err != nil || !v.OK {
				t.Errorf("%s: checksum: %v, %v", name, v.Err(), err)
			}
		}
	}
}

// Promise: what is not about the set is an error and no verdict.
func TestNotAboutTheSet(t *testing.T) {
	t.Parallel()
	t.Run("unknown level", func(t *testing.T) {
		s := copySet(t, false)
		if _, err := verify.Verify(t.Context(), s.options("thorough"), s.Set()); err == nil || !strings.Contains(err.Error(), `"thorough"`) {
			t.Errorf("got %v", err)
		}
		s.unrecorded()
	})
	t.Run("other kind", func(t *testing.T) {
		s := copySet(t, false)
		d, err := s.Catalog.Begin(t.Context(), catalog.Group{Kind: catalog.KindMedia})
		must(t, err)
		set, err := d.Publish(t.Context(), catalog.Manifest{})
		must(t, err)
		if v, err := verify.Verify(t.Context(), s.options(catalog.LevelDrill), set); err == nil || v.OK || len(v.Damage) > 0 {
			t.Errorf("got %v, %+v", err, v)
		}
		set, err = s.Catalog.Get(t.Context(), set.Ref)
		must(t, err)
		if len(set.Checks) > 0 {
			t.Errorf("recorded %+v", set.Checks)
		}
	})
	t.Run("made by a newer forgectl", func(t *testing.T) {
		s := copySet(t, false)
		s.Forge(func(m *catalog.Manifest) { m.Schema = catalog.SchemaVersion + 1 })
		if v, err := verify.Verify(t.Context(), s.options(""), s.Set()); !errors.Is(err, catalog.ErrNewer) || v.OK {
			t.Errorf("got %v", err)
		}
		s.unrecorded()
	})
	t.Run("removed meanwhile", func(t *testing.T) {
		s := copySet(t, false)
		set := s.Set()
		must(t, os.RemoveAll(s.Dir))
		if v, err := verify.Verify(t.Context(), s.options(""), set); !errors.Is(err, catalog.ErrNotFound) || v.OK {
			t.Errorf("got %v, %+v", err, v)
		}
	})
	t.Run("told to stop", func(t *testing.T) {
		why := errors.New("told to stop")
		for _, level := range []string{catalog.LevelChecksum, catalog.LevelDecode} {
			s := copySet(t, true)
			ctx, cancel := context.WithCancelCause(t.Context())
			o := s.options(level)
			o.Progress = func(stage string, _, _ int64) {
				if stage == level {
					cancel(why)
				}
			}
			if v, err := verify.Verify(ctx, o, s.Set()); !errors.Is(err, why) || v.OK {
				t.Errorf("%s: %v, %+v", level, err, v)
			}
			s.unrecorded()
		}
	})
	t.Run("store fails", func(t *testing.T) {
		s := copySet(t, false)
		set := s.Set()
		broken := errors.New("input/output error")
		o := s.options("")
		o.Catalog = catalog.New(faulty{catalogtest.Store(t, s.Root()), broken, nil}, catalog.Options{})
		if v, err := verify.Verify(t.Context(), o, set); !errors.Is(err, broken) || errors.Is(err, catalog.ErrDamaged) || v.OK {
			t.Errorf("got %v", err)
		}
		full := errors.New("read-only file system")
		o.Catalog = catalog.New(faulty{catalogtest.Store(t, s.Root()), nil, full}, catalog.Options{})
		v, err := verify.Verify(t.Context(), o, set)
		if err != nil || !v.OK || len(v.Warnings) != 1 || !strings.Contains(v.Warnings[0], full.Error()) {
			t.Errorf("a verdict that cannot be recorded: %v, %+v", err, v)
		}
	})
}

// faulty is a store whose artifacts cannot be read, or where nothing can be put.
type faulty struct {
	*local.Store
	read, put error
}

func (f faulty) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	r, err := f.Store.Open(ctx, name)
	if err == nil && f.read != nil && strings.HasSuffix(name, ".zst") {
		return io.NopCloser(io.MultiReader(io.LimitReader(r, 100), failing{f.read})), nil
	}
	return r, err
}

func (f faulty) Put(ctx context.Context, name string, write func(io.Writer) error) error {
	if f.put != nil {
		return f.put
	}
	return f.Store.Put(ctx, name, write)
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// Promise: a verdict that has been reached is recorded, also when the run is told
// to end at that moment.
func TestRecordedAtTheEnd(t *testing.T) {
	t.Parallel()
	s := copySet(t, false)
	ctx, cancel := context.WithCancel(t.Context())
	o := s.options(catalog.LevelChecksum)
	hit := false
	o.Step = func(name string) {
		if name == "hashed" {
			hit = true
			cancel()
		}
	}
	v, err := verify.Verify(ctx, o, s.Set())
	must(t, err)
	if !hit || !v.OK || len(v.Warnings) > 0 || len(s.Set().Checks) != 1 {
		t.Errorf("hit %v, %+v, recorded %d", hit, v, len(s.Set().Checks))
	}
}

// Promise: a record is JSON that says what was found, one problem each.
func TestRecord(t *testing.T) {
	t.Parallel()
	s := copySet(t, false)
	data := s.Read("20-data.dump.zst")
	s.Write("20-data.dump.zst", bytes.ToUpper(data))
	v, err := verify.Verify(t.Context(), s.options(""), s.Set())
	must(t, err)
	found, err := filepath.Glob(filepath.Join(s.Dir, "checks", "20261124T030000.000000Z-web1-verify.json"))
	must(t, err)
	if len(found) != 1 {
		t.Fatalf("records %q", found)
	}
	text, err := os.ReadFile(found[0])
	must(t, err)
	var k catalog.Check
	must(t, json.Unmarshal(text, &k))
	if k.OK || fmt.Sprint(k.Problems) != fmt.Sprint(v.Damage) || k.Forgectl != "1.0.0" {
		t.Errorf("%s", text)
	}
}
