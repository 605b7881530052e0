package verify_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/provenance"
	"github.com/bmad-forge/forgectl/pkg/seal"
	"github.com/bmad-forge/forgectl/pkg/seal/sealtest"
	"github.com/bmad-forge/forgectl/pkg/verify"
)

// sign signs the set as it lies there, and returns the key that counts then.
func (s *copied) sign() *seal.Key {
	s.T.Helper()
	public, path := newKeyFile(s.T)
	signer, err := seal.NewSigner(s.T.Context(), seal.SignerOptions{File: path})
	must(s.T, err)
	sig, err := signer.Sign(s.T.Context(), s.Read(catalog.SumsName))
	must(s.T, err)
	s.Write(catalog.SignatureName, sig)
	return public
}

// newKeyFile is a secret key in a file, as gpg exports it.
func newKeyFile(t testing.TB) (public *seal.Key, path string) {
	t.Helper()
	e := sealtest.Entity(t, "host", nil)
	path = filepath.Join(t.TempDir(), "sign.key")
	f, err := os.Create(path)
	must(t, err)
	must(t, e.SerializePrivateWithoutSigning(f, nil))
	must(t, f.Close())
	keys, err := seal.ReadPublicKeyFile(path)
	must(t, err)
	return keys[0], path
}

// Promise: at every level a forged set is damaged though all its sums are right, the verdict is recorded, and nothing
// of it is loaded.
func TestForged(t *testing.T) {
	t.Parallel()
	for _, level := range []string{catalog.LevelChecksum, catalog.LevelDecode, catalog.LevelDrill} {
		t.Run(level, func(t *testing.T) {
			t.Parallel()
			s := copySet(t, false)
			public := s.sign()
			s.Forge(func(m *catalog.Manifest) { m.Source.Migration = "forge.0001_initial" })
			v, err := verify.Verify(t.Context(), verify.Options{
				Catalog: s.Catalog, Level: level, Provenance: provenance.Policy{Signers: seal.Signers{public}},
				Step: func(name string) { t.Errorf("went on to %s", name) },
			}, s.Set())
			must(t, err)
			if v.OK || len(v.Damage) != 1 || !errors.Is(v.Err(), catalog.ErrDamaged) || !strings.HasPrefix(v.Err().Error(), s.Ref.String()+": SHA256SUMS.sig by ") {
				t.Errorf("ok %v, %v", v.OK, v.Err())
			}
			if failed := s.Set().Failed(); failed == nil || failed.Level != level {
				t.Errorf("recorded: %+v", failed)
			}
		})
	}
}

// Promise: what only the policy of this host refuses ends in damage here, and is no verdict for others; keys that
// cannot be read are none at all.
func TestRefusedIsNotRecorded(t *testing.T) {
	t.Parallel()
	s := copySet(t, false)
	stranger, _ := newKeyFile(t)
	policy := provenance.Policy{Signers: seal.Signers{stranger}, Require: true}
	examine := func() (verify.Verdict, error) {
		return verify.Verify(t.Context(), verify.Options{Catalog: s.Catalog, Provenance: policy}, s.Set())
	}
	v, err := examine()
	if err != nil || v.OK || !strings.Contains(v.Err().Error(), "not signed") {
		t.Errorf("unsigned: %v, %v, %v", v.OK, v.Err(), err)
	}
	known := s.sign()
	if v, err = examine(); err != nil || v.OK || !strings.Contains(v.Err().Error(), "signed by an unknown key: "+known.Fingerprint()) {
		t.Errorf("unknown: %v, %v, %v", v.OK, v.Err(), err)
	}
	policy.Trouble = errors.New("no such file")
	if v, err = examine(); !errors.Is(err, policy.Trouble) || v.OK {
		t.Errorf("keys that cannot be read: %v, %v", v.Err(), err)
	}
	if checks := s.Set().Checks; len(checks) > 0 {
		t.Errorf("recorded: %+v", checks)
	}
	policy.Signers, policy.Trouble = seal.Signers{known}, nil
	if v, err = examine(); err != nil || !v.OK || v.Signature.State != provenance.Good {
		t.Errorf("known: %v, %v", v.Err(), err)
	}
	s.Write("RECOVER.md", []byte("damaged as well"))
	policy.Signers = nil
	if v, err = examine(); err != nil || len(v.Damage) != 2 {
		t.Errorf("damaged: %v, %v", v.Err(), err)
	}
	if s.Set().Failed() == nil {
		t.Error("damage was not recorded")
	}
}

// Promise: a set of another server that was put among those of this one, rightly signed, is a warning that names both.
func TestExchangedBetweenServers(t *testing.T) {
	t.Parallel()
	s := copySet(t, false)
	const other = "7000000000000000007"
	home := s.Set().Manifest.Source.SystemIdentifier
	// A second good set of the same server, later than the first.
	second := *s
	second.Ref.ID = "20990101T000000Z"
	second.Dir = filepath.Join(filepath.Dir(s.Dir), string(second.Ref.ID))
	must(t, os.CopyFS(second.Dir, os.DirFS(s.Dir)))
	second.Forge(func(m *catalog.Manifest) { m.ID = second.Ref.ID })
	options := verify.Options{Catalog: s.Catalog, Group: func(ctx context.Context, g catalog.Group) ([]catalog.Set, error) { return s.Catalog.List(ctx, g) }}
	v, err := verify.Verify(t.Context(), options, s.Set())
	if err != nil || len(v.Warnings) > 0 {
		t.Fatalf("%q, %v", v.Warnings, err)
	}
	s.Forge(func(m *catalog.Manifest) { m.Source.SystemIdentifier, m.Host = other, "web2" })
	options.Provenance = provenance.Policy{Signers: seal.Signers{s.sign()}, Require: true}
	v, err = verify.Verify(t.Context(), options, s.Set())
	must(t, err)
	if !v.OK || len(v.Warnings) != 1 || !strings.Contains(v.Warnings[0], other+" (set of web2)") || !strings.Contains(v.Warnings[0], home) {
		t.Errorf("%v, %q", v.Err(), v.Warnings)
	}
}
