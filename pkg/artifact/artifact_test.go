package artifact_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/artifact"
	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/seal"
	"github.com/bmad-forge/forgectl/pkg/seal/sealtest"
	"github.com/bmad-forge/forgectl/pkg/store/local"
)

var group = catalog.Group{Kind: catalog.KindDatabase, Database: "forge"}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// draft is a new one, with the directory that it is in.
func draft(t testing.TB) (*catalog.Catalog, *catalog.Draft, string) {
	t.Helper()
	dir := t.TempDir()
	s, err := local.Open(dir, local.Options{})
	must(t, err)
	t.Cleanup(func() { s.Close() })
	c := catalog.New(s, catalog.Options{})
	d, err := c.Begin(t.Context(), group)
	must(t, err)
	return c, d, filepath.Join(dir, d.Dir())
}

func content(data []byte) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	}
}

// noise makes bytes that do not compress.
func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

// Promise: what is written comes back, read back from the draft with the key in
// memory and opened from the published set with the secret one.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	public, secret := sealtest.Pair(t, "ops")
	for _, size := range []int{0, 1, 1000, 5 << 20} {
		for _, sealed := range []bool{false, true} {
			c, d, _ := draft(t)
			o := seal.Options{Level: seal.Fastest}
			if sealed {
				o.Recipients = []*seal.Key{public}
			}
			data := noise(size)
			w, err := artifact.Write(t.Context(), d, o, "20-data.dump", content(data))
			must(t, err)
			if w.Name != "20-data.dump"+seal.Suffix(sealed) || artifact.Sealed(w.Name) != sealed || w.RawBytes != int64(size) || w.Bytes == 0 {
				t.Errorf("written %+v", w.Artifact)
			}
			for _, level := range []string{catalog.ReadbackHash, catalog.ReadbackDecode} {
				var seen []byte
				must(t, w.ReadBack(t.Context(), d, level, nil, func(r io.Reader) (err error) {
					seen, err = io.ReadAll(r)
					return err
				}))
				if (level == catalog.ReadbackDecode) != (seen != nil) || seen != nil && !bytes.Equal(seen, data) {
					t.Errorf("%s, %d bytes: inspected %d", level, size, len(seen))
				}
			}
			set, err := d.Publish(t.Context(), catalog.Manifest{Artifacts: []catalog.Artifact{w.Artifact}})
			must(t, err)
			var hashed, read int64
			must(t, artifact.Hash(t.Context(), c, set.Ref, w.Artifact, func(n int64) { hashed += n }))
			r, err := artifact.Open(t.Context(), c, set.Ref, w.Artifact, &seal.Keyring{Keys: []*seal.Key{secret}}, func(n int64) { read += n })
			must(t, err)
			got, err := io.ReadAll(r)
			must(t, errors.Join(err, r.Close()))
			if !bytes.Equal(got, data) || hashed != w.Bytes || read != int64(size) {
				t.Errorf("%d of %d bytes came back, progress %d and %d", len(got), size, hashed, read)
			}
			if n, err := r.Read(make([]byte, 1)); n != 0 || err == nil {
				t.Errorf("after Close: %d, %v", n, err)
			}
		}
	}
}

// Promise: when the bytes cannot be had there is no artifact, and the reason
// comes back.
func TestWriteFails(t *testing.T) {
	t.Parallel()
	public, _ := sealtest.Pair(t, "ops")
	broken := errors.New("pg_dump: exit status 1")
	_, d, dir := draft(t)
	for _, o := range []seal.Options{{}, {Recipients: []*seal.Key{public}}} {
		_, err := artifact.Write(t.Context(), d, o, "20-data.dump", func(w io.Writer) error {
			if _, err := w.Write(noise(1 << 20)); err != nil {
				return err
			}
			return broken
		})
		if !errors.Is(err, broken) {
			t.Errorf("got %v", err)
		}
	}
	if _, err := artifact.Write(t.Context(), d, seal.Options{Level: 99}, "20-data.dump", content(nil)); err == nil {
		t.Error("an unknown level was taken")
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	_, err := artifact.Write(ctx, d, seal.Options{}, "20-data.dump", func(w io.Writer) error { cancel(broken); return nil })
	if !errors.Is(err, broken) {
		t.Errorf("the end of the context: %v", err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) > 0 {
		t.Errorf("left: %v", entries)
	}
	_, err = artifact.Write(t.Context(), d, seal.Options{}, "20-data.dump", content(nil))
	must(t, err)
}

// damages are ways in which a file comes to hold something else.
func damages(data []byte) map[string][]byte {
	flip := func(i int) []byte {
		b := bytes.Clone(data)
		b[i] ^= 1
		return b
	}
	return map[string][]byte{
		"first bit": flip(0), "a bit inside": flip(len(data) / 2), "last bit": flip(len(data) - 1),
		"cut": data[:len(data)-1], "cut in the middle": data[:len(data)/2], "emptied": {},
		"longer": append(bytes.Clone(data), 0), "doubled": append(bytes.Clone(data), data...),
	}
}

// Promise: whatever happens to a file between write and read back is noticed at
// both levels, as ErrReadBack.
func TestReadBack(t *testing.T) {
	t.Parallel()
	public, _ := sealtest.Pair(t, "ops")
	for _, sealed := range []bool{false, true} {
		o := seal.Options{}
		if sealed {
			o.Recipients = []*seal.Key{public}
		}
		_, d, dir := draft(t)
		w, err := artifact.Write(t.Context(), d, o, "20-data.dump", content(noise(10_000)))
		must(t, err)
		other, err := artifact.Write(t.Context(), d, o, "other", content(noise(10_001)))
		must(t, err)
		path := filepath.Join(dir, w.Name)
		whole, err := os.ReadFile(path)
		must(t, err)
		all := damages(whole)
		all["another artifact"], err = os.ReadFile(filepath.Join(dir, other.Name))
		must(t, err)
		for name, data := range all {
			must(t, os.WriteFile(path, data, 0o600))
			for _, level := range []string{catalog.ReadbackHash, catalog.ReadbackDecode} {
				err := w.ReadBack(t.Context(), d, level, nil, func(r io.Reader) error {
					_, err := io.Copy(io.Discard, r)
					return err
				})
				if !errors.Is(err, artifact.ErrReadBack) || !strings.Contains(fmt.Sprint(err), w.Name) {
					t.Errorf("%s, %s: %v", name, level, err)
				}
			}
		}
		must(t, os.WriteFile(path, whole, 0o600))
		must(t, w.ReadBack(t.Context(), d, catalog.ReadbackDecode, nil, nil))

		changed := w
		changed.RawSHA256 = strings.Repeat("0", 64)
		if err := changed.ReadBack(t.Context(), d, catalog.ReadbackDecode, nil, nil); !errors.Is(err, artifact.ErrReadBack) {
			t.Errorf("other plain bytes: %v", err)
		}

		// What is wrong with the content is not a matter of reading back.
		odd := errors.New("not an archive")
		if err := w.ReadBack(t.Context(), d, catalog.ReadbackDecode, nil, func(io.Reader) error { return odd }); !errors.Is(err, odd) || errors.Is(err, artifact.ErrReadBack) {
			t.Errorf("inspection: %v", err)
		}
		why := errors.New("told to stop")
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		for _, level := range []string{catalog.ReadbackDecode, catalog.ReadbackHash} {
			err := w.ReadBack(ctx, d, level, nil, func(io.Reader) error { cancel(why); return nil })
			if !errors.Is(err, why) || errors.Is(err, artifact.ErrReadBack) {
				t.Errorf("%s, stopped: %v", level, err)
			}
		}
		w.Forget()
		w.Forget()
		if err := w.ReadBack(t.Context(), d, catalog.ReadbackDecode, nil, nil); errors.Is(err, seal.ErrWiped) != sealed || (err != nil) != sealed {
			t.Errorf("sealed %v, after Forget: %v", sealed, err)
		}
		must(t, w.ReadBack(t.Context(), d, catalog.ReadbackHash, nil, nil))
		must(t, os.Remove(path))
		if err := w.ReadBack(t.Context(), d, catalog.ReadbackHash, nil, nil); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("gone: %v", err)
		}
	}
}

// Promise: damage of a published file is a DamageError that names it, and its
// kind; what is not about its bytes is none.
func TestDamage(t *testing.T) {
	t.Parallel()
	public, secret := sealtest.Pair(t, "ops")
	_, stranger := sealtest.Pair(t, "ops")
	unlock := &seal.Keyring{Keys: []*seal.Key{secret}}
	for _, sealed := range []bool{false, true} {
		o := seal.Options{}
		if sealed {
			o.Recipients = []*seal.Key{public}
		}
		c, d, _ := draft(t)
		w, err := artifact.Write(t.Context(), d, o, "20-data.dump", content(noise(10_000)))
		must(t, err)
		set, err := d.Publish(t.Context(), catalog.Manifest{Artifacts: []catalog.Artifact{w.Artifact}})
		must(t, err)
		dir, _ := c.Location(set.Ref)
		path := filepath.Join(dir, w.Name)
		whole, err := os.ReadFile(path)
		must(t, err)
		a := w.Artifact
		open := func(ctx context.Context, a catalog.Artifact, u seal.Unlocker) error {
			r, err := artifact.Open(ctx, c, set.Ref, a, u, nil)
			if err != nil {
				return err
			}
			_, err = io.Copy(io.Discard, r)
			return errors.Join(err, r.Close())
		}
		hash := func(a catalog.Artifact) error { return artifact.Hash(t.Context(), c, set.Ref, a, nil) }
		is := func(what string, err error, kinds ...string) {
			t.Helper()
			var damage *catalog.DamageError
			if !errors.As(err, &damage) || damage.Ref != set.Ref || damage.Artifact != w.Name || !strings.Contains(strings.Join(kinds, " "), damage.Kind) {
				t.Errorf("sealed %v, %s: %v", sealed, what, err)
			}
		}
		for name, data := range damages(whole) {
			must(t, os.WriteFile(path, data, 0o600))
			kind := catalog.DamageChecksum
			if len(data) != len(whole) {
				kind = catalog.DamageSize
			}
			is(name+", hash", hash(a), kind)
			unsized := a
			unsized.Bytes = -1
			is(name+", hash without a size", hash(unsized), catalog.DamageChecksum)
			// A plain stream has bits that mean nothing: only the sum of the file covers those. The
			// session key may be what is damaged.
			if err := open(t.Context(), a, unlock); err != nil && !errors.Is(err, seal.ErrNoSecretKey) {
				is(name+", open", err, catalog.DamageMalformed, catalog.DamageChecksum)
			} else if sealed && err == nil {
				t.Errorf("%s: opened", name)
			}
		}
		must(t, os.Remove(path))
		is("gone, hash", hash(a), catalog.DamageMissing)
		is("gone, open", open(t.Context(), a, unlock), catalog.DamageMissing)
		must(t, os.Symlink("/etc/passwd", path))
		is("a link, hash", hash(a), catalog.DamageIrregular)
		is("a link, open", open(t.Context(), a, unlock), catalog.DamageIrregular)
		must(t, os.Remove(path))
		must(t, os.WriteFile(path, whole, 0o600))

		// The stream is whole, but it is not what was written.
		for name, change := range map[string]func(*catalog.Artifact){
			"other raw size": func(a *catalog.Artifact) { a.RawBytes++ },
			"other raw hash": func(a *catalog.Artifact) { a.RawSHA256 = a.SHA256 },
			"no raw hash":    func(a *catalog.Artifact) { a.RawSHA256 = "" },
		} {
			changed := a
			change(&changed)
			is(name, open(t.Context(), changed, unlock), catalog.DamageChecksum)
		}
		must(t, errors.Join(hash(a), open(t.Context(), a, unlock)))

		none := func(what string, err, want error) {
			t.Helper()
			if !errors.Is(err, want) || errors.Is(err, catalog.ErrDamaged) {
				t.Errorf("sealed %v, %s: %v", sealed, what, err)
			}
		}
		if sealed {
			none("no key", open(t.Context(), a, nil), seal.ErrNoSecretKey)
			none("wrong key", open(t.Context(), a, &seal.Keyring{Keys: []*seal.Key{stranger}}), seal.ErrNoSecretKey)
		}
		why := errors.New("told to stop")
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		r, err := artifact.Open(ctx, c, set.Ref, a, unlock, func(int64) { cancel(why) })
		must(t, err)
		// The rest may be in memory already: what matters is that an end is no end of the bytes.
		if n, err := io.Copy(io.Discard, r); err != nil || n != a.RawBytes {
			none("open, stopped", err, why)
		}
		must(t, r.Close())
		none("open, stopped before", open(ctx, a, unlock), why)
		none("hash, stopped", artifact.Hash(ctx, c, set.Ref, a, nil), why)
		must(t, os.RemoveAll(dir))
		none("the whole set is gone", hash(a), catalog.ErrNotFound)
	}
}

// Promise: bytes that are damaged never end like bytes that are whole: a reader
// that looks for io.EOF alone is told.
func TestNoFalseEnd(t *testing.T) {
	t.Parallel()
	c, d, _ := draft(t)
	w, err := artifact.Write(t.Context(), d, seal.Options{}, "20-data.dump", content([]byte("all rows")))
	must(t, err)
	set, err := d.Publish(t.Context(), catalog.Manifest{Artifacts: []catalog.Artifact{w.Artifact}})
	must(t, err)
	changed := w.Artifact
	changed.RawSHA256 = strings.Repeat("0", 64)
	r, err := artifact.Open(t.Context(), c, set.Ref, changed, nil, nil)
	must(t, err)
	defer r.Close()
	buf := make([]byte, 3)
	for {
		_, err := r.Read(buf)
		if err == io.EOF {
			t.Fatal("an ordinary end")
		}
		if errors.Is(err, catalog.ErrDamaged) {
			break
		}
		must(t, err)
	}
	if _, err := r.Read(buf); !errors.Is(err, catalog.ErrDamaged) {
		t.Errorf("once more: %v", err)
	}
}

// stingy takes some bytes and no more.
type stingy struct{ left int }

func (s *stingy) Write(p []byte) (int, error) {
	if s.left -= len(p); s.left < 0 {
		return 0, errEnough
	}
	return len(p), nil
}

var errEnough = errors.New("enough")

// Promise: a consumer that wants no more is heard, and what it left can be read
// to its proven end.
func TestConsumerStops(t *testing.T) {
	t.Parallel()
	c, d, _ := draft(t)
	data := bytes.Repeat([]byte("a row of a table\n"), 600_000)
	w, err := artifact.Write(t.Context(), d, seal.Options{}, "20-data.dump", content(data))
	must(t, err)
	set, err := d.Publish(t.Context(), catalog.Manifest{Artifacts: []catalog.Artifact{w.Artifact}})
	must(t, err)
	for _, damaged := range []bool{false, true} {
		a := w.Artifact
		if damaged {
			a.RawSHA256 = strings.Repeat("0", 64)
		}
		r, err := artifact.Open(t.Context(), c, set.Ref, a, nil, nil)
		must(t, err)
		defer r.Close()
		first, err := io.Copy(&stingy{left: 3_000_000}, r)
		if !errors.Is(err, errEnough) {
			t.Errorf("copied %d bytes: %v", first, err)
		}
		rest, err := io.Copy(io.Discard, r)
		if first+rest != a.RawBytes || errors.Is(err, catalog.ErrDamaged) != damaged {
			t.Errorf("damaged %v: %d and %d bytes of %d: %v", damaged, first, rest, a.RawBytes, err)
		}
	}
}
