package catalog_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/store"
)

// signer signs by saying what it was given.
type signer struct {
	subkey string
	err    error
	before func() // what to do before it signs
}

func (s signer) Fingerprint() string { return "0123456789ABCDEF0123456789ABCDEF01234567" }
func (s signer) UserID() string      { return "Host <host@example.org>" }
func (s signer) KeyFingerprint() string {
	if s.subkey != "" {
		return s.subkey
	}
	return s.Fingerprint()
}

func (s signer) Sign(_ context.Context, data []byte) ([]byte, error) {
	if s.before != nil {
		s.before()
	}
	return fmt.Appendf(nil, "signed: %s", data), s.err
}

// begun is a draft with one file.
func begun(t testing.TB, c *catalog.Catalog) *catalog.Draft {
	t.Helper()
	d, err := c.Begin(t.Context(), forge)
	must(t, err)
	_, err = d.Put(t.Context(), "20-data.dump.zst", text("bytes"))
	must(t, err)
	return d
}

// Promise: the signature is of SHA256SUMS as it lies there, is there before it and not named in it, and the manifest,
// which SHA256SUMS vouches for, says whose it is.
func TestPublishSigned(t *testing.T) {
	stores(t, func(t *testing.T, s store.Store) {
		c := newCatalog(s)
		d := begun(t, c)
		d.SignWith(signer{subkey: strings.Repeat("A", 40), before: func() {
			if there := names(t, s, d.Dir()); slices.Contains(there, d.Dir()+"/"+catalog.SumsName) || !slices.Contains(there, d.Dir()+"/"+catalog.ManifestName) {
				t.Errorf("before it is signed: %q", there)
			}
		}})
		set, err := d.Publish(t.Context(), catalog.Manifest{Artifacts: []catalog.Artifact{{Name: "20-data.dump.zst"}}, Signature: &catalog.Signature{Fingerprint: "a lie"}})
		must(t, err)
		sums := read(t, c, set.Ref, catalog.SumsName)
		if !set.Signed || strings.Contains(sums, catalog.SignatureName) || read(t, c, set.Ref, catalog.SignatureName) != "signed: "+sums {
			t.Errorf("signed %v:\n%s", set.Signed, sums)
		}
		want := catalog.Signature{Format: "openpgp", Fingerprint: signer{}.Fingerprint(), UserID: "Host <host@example.org>", Key: strings.Repeat("A", 40)}
		if got := set.Manifest.Signature; got == nil || *got != want {
			t.Errorf("manifest: %+v", got)
		}
		signed, err := c.ReadSigned(t.Context(), set)
		if err != nil || string(signed.Sums) != sums || string(signed.Signature) != "signed: "+sums {
			t.Errorf("%q, %v", signed, err)
		}
		must(t, s.Delete(t.Context(), set.Dir()+"/"+catalog.SignatureName))
		set, err = c.Get(t.Context(), set.Ref)
		must(t, err)
		if good, why := set.Good(); good || why != "SHA256SUMS.sig is missing" || !errors.Is(set.Problem, catalog.ErrDamaged) {
			t.Errorf("without it: %v, %s", good, why)
		}
	})
}

// Promise: a set that could not be signed is none, and nothing of it stays after Discard.
func TestPublishNotSigned(t *testing.T) {
	stores(t, func(t *testing.T, s store.Store) {
		c := newCatalog(s)
		d := begun(t, c)
		broken := errors.New("the key is gone")
		d.SignWith(signer{err: broken})
		if _, err := d.Publish(t.Context(), catalog.Manifest{}); !errors.Is(err, broken) {
			t.Fatalf("got %v", err)
		}
		if sets := listSets(t, c, forge); len(sets) > 0 {
			t.Errorf("published: %v", sets)
		}
		must(t, d.Discard(t.Context()))
		if left := names(t, s, forge.Dir()); len(left) > 0 {
			t.Errorf("left: %q", left)
		}
		// Nobody else can put a file of that name into a set, or have it vouched for.
		if _, err := begun(t, c).Put(t.Context(), catalog.SignatureName, text("mine")); !errors.Is(err, catalog.ErrInvalid) {
			t.Errorf("put: %v", err)
		}
	})
}
