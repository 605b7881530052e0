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
)

// sign signs the set as it lies there, and returns the key that counts then.
func (s *copied) sign() *seal.Key {
	s.t.Helper()
	path := filepath.Join(s.t.TempDir(), "sign.key")
	f, err := os.Create(path)
	must(s.t, err)
	must(s.t, newEntity(s.t, "host").SerializePrivateWithoutSigning(f, nil))
	must(s.t, f.Close())
	signer, err := seal.NewSigner(s.t.Context(), seal.SignerOptions{File: path})
	must(s.t, err)
	sig, err := signer.Sign(s.t.Context(), s.read(catalog.SumsName))
	must(s.t, err)
	s.write(catalog.SignatureName, sig)
	keys, err := seal.ReadPublicKeyFile(path)
	must(s.t, err)
	return keys[0]
}

// Promise: a set whose signature is wrong, or missing where one is required, is not restored, and no database is
// made; one that is rightly signed is, and the plan says by whom.
func TestProvenance(t *testing.T) {
	t.Parallel()
	s := copySet(t, false)
	into := scratchtest.Name("signed")
	o := options(t, s.c, s.set(), into)
	refused := func(want string) {
		t.Helper()
		o.Set = s.set()
		_, err := restore.Into(t.Context(), o)
		if !errors.Is(err, catalog.ErrDamaged) || !strings.Contains(err.Error(), s.ref.String()+": ") || !strings.Contains(err.Error(), want) {
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
	o.Provenance.Require, o.Set = false, s.set()
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
	s.forge(func(m *catalog.Manifest) { m.Source.Migration = "forge.0001_initial" })
	o.Provenance.Require = false
	refused("wrong signature: it does not fit what is signed")
}

// Promise: the plan says that a set comes from another server than the good sets around it, and names both.
func TestPlanOfExchangedSet(t *testing.T) {
	t.Parallel()
	s := copySet(t, false)
	home := s.set().Manifest.Source.SystemIdentifier
	second := *s
	second.ref.ID = "20990101T000000Z"
	second.dir = filepath.Join(filepath.Dir(s.dir), string(second.ref.ID))
	must(t, os.CopyFS(second.dir, os.DirFS(s.dir)))
	second.forge(func(m *catalog.Manifest) {
		m.ID, m.Host, m.Source.SystemIdentifier = second.ref.ID, "web2", "7000000000000000007"
	})
	key := second.sign()
	o := options(t, s.c, second.set(), scratchtest.Name("exchanged"))
	o.Provenance = provenance.Policy{Signers: seal.Signers{key}, Require: true}
	plan, err := restore.PlanInto(t.Context(), o)
	must(t, err)
	if len(plan.Warnings) != 1 || !strings.Contains(plan.Warnings[0], "7000000000000000007 (set of web2)") || !strings.Contains(plan.Warnings[0], home) {
		t.Errorf("%q", plan.Warnings)
	}
}
