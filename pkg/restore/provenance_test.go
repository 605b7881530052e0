package restore_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
	"github.com/bmad-forge/forgectl/pkg/provenance"
	"github.com/bmad-forge/forgectl/pkg/restore"
	"github.com/bmad-forge/forgectl/pkg/seal"
	"github.com/bmad-forge/forgectl/pkg/seal/sealtest"
)

// sign signs the set as it lies there, and returns the key that counts then.
func (s *copied) sign() *seal.Key {
	s.T.Helper()
	path := filepath.Join(s.T.TempDir(), "sign.key")
	f, err := os.Create(path)
	must(s.T, err)
	must(s.T, sealtest.Entity(s.T, "host", nil).SerializePrivateWithoutSigning(f, nil))
	must(s.T, f.Close())
	signer, err := seal.NewSigner(s.T.Context(), seal.SignerOptions{File: path})
	must(s.T, err)
	sig, err := signer.Sign(s.T.Context(), s.Read(catalog.SumsName))
	must(s.T, err)
	s.Write(catalog.SignatureName, sig)
	keys, err := seal.ReadPublicKeyFile(path)
	must(s.T, err)
	return keys[0]
}

// Promise: a set whose signature is wrong, or missing where one is required, is not restored, and no database is
// made; one that is rightly signed is, and the plan says by whom.
func TestProvenance(t *testing.T) {
	t.Parallel()
	s := copySet(t, false)
	into := scratchtest.Name("signed")
	o := options(t, s.Catalog, s.Set(), into)
	refused := func(want string) {
		t.Helper()
		o.Set = s.Set()
		_, err := restore.Into(t.Context(), o)
		if !errors.Is(err, catalog.ErrDamaged) || !strings.Contains(err.Error(), s.Ref.String()+": ") || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v", err)
		}
		if there := like(t, into); there != "" {
			t.Errorf("made: %s", there)
		}
	}
	o.Provenance.Require = true
	refused("not signed, but a signature is required")
	key := s.sign()
	refused("signed by an unknown key: " + key.Fingerprint())
	o.Provenance.Trouble = errors.New("host.pub: no such file")
	if _, err := restore.PlanInto(t.Context(), o); err == nil {
		t.Error("planned without the keys that are required")
	}
	o.Provenance.Require, o.Set = false, s.Set()
	plan, err := restore.PlanInto(t.Context(), o)
	if err != nil || len(plan.Warnings) != 1 || !strings.Contains(plan.Warnings[0], "was not checked: host.pub: no such file") {
		t.Errorf("in a disaster: %q, %v", plan.Warnings, err)
	}
	o.Provenance = provenance.Policy{Signers: seal.Signers{key}, Require: true}
	plan, err = restore.PlanInto(t.Context(), o)
	if err != nil || plan.Signature.State != provenance.Good || plan.Signature.By.Fingerprint != key.Fingerprint() || len(plan.Warnings) > 0 {
		t.Errorf("%+v, %q, %v", plan.Signature, plan.Warnings, err)
	}
	_, err = restore.Into(t.Context(), o)
	must(t, err)
	scratchtest.Exec(t, scratchtest.Admin(t), `DROP DATABASE "`+into+`"`)
	s.Forge(func(m *catalog.Manifest) { m.Source.Migration = "forge.0001_initial" })
	o.Provenance.Require = false
	refused("wrong signature: it does not fit what is signed")
}

// Promise: the plan says that a set comes from another server than the good sets around it, and names both.
func TestPlanOfExchangedSet(t *testing.T) {
	t.Parallel()
	s := copySet(t, false)
	home := s.Set().Manifest.Source.SystemIdentifier
	second := *s
	second.Ref.ID = "20990101T000000Z"
	second.Dir = filepath.Join(filepath.Dir(s.Dir), string(second.Ref.ID))
	must(t, os.CopyFS(second.Dir, os.DirFS(s.Dir)))
	second.Forge(func(m *catalog.Manifest) {
		m.ID, m.Host, m.Source.SystemIdentifier = second.Ref.ID, "web2", "7000000000000000007"
	})
	key := second.sign()
	o := options(t, s.Catalog, second.Set(), scratchtest.Name("exchanged"))
	o.Provenance = provenance.Policy{Signers: seal.Signers{key}, Require: true}
	plan, err := restore.PlanInto(t.Context(), o)
	must(t, err)
	if len(plan.Warnings) != 1 || !strings.Contains(plan.Warnings[0], "7000000000000000007 (set of web2)") || !strings.Contains(plan.Warnings[0], home) {
		t.Errorf("%q", plan.Warnings)
	}
}
