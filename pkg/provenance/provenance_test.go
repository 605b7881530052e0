package provenance_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/provenance"
	"github.com/bmad-forge/forgectl/pkg/seal"
	"github.com/bmad-forge/forgectl/pkg/seal/sealtest"
	"github.com/bmad-forge/forgectl/pkg/store/local"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// key is one that signs.
type key struct {
	public *seal.Key
	signer *seal.Signer
}

func newKey(t testing.TB, name string) key {
	t.Helper()
	_, secret := sealtest.Serialize(t, sealtest.Entity(t, name, nil))
	path := filepath.Join(t.TempDir(), "sign.key")
	must(t, os.WriteFile(path, secret, 0o600))
	public, err := seal.ReadPublicKeyFile(path)
	must(t, err)
	signer, err := seal.NewSigner(t.Context(), seal.SignerOptions{File: path})
	must(t, err)
	return key{public[0], signer}
}

// repository is one of files, for tests to change them.
type repository struct {
	*catalog.Catalog
	t    testing.TB
	path string
	time time.Time
}

func newRepository(t testing.TB) *repository {
	t.Helper()
	r := &repository{t: t, path: t.TempDir(), time: time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC)}
	s, err := local.Open(r.path, local.Options{})
	must(t, err)
	t.Cleanup(func() { s.Close() })
	r.Catalog = catalog.New(s, catalog.Options{Host: "web1", Now: func() time.Time {
		r.time = r.time.Add(time.Second)
		return r.time
	}})
	return r
}

// add publishes a set of a server; signer nil: it is not signed.
func (r *repository) add(database, server string, signer catalog.Signer) catalog.Set {
	r.t.Helper()
	d, err := r.Begin(r.t.Context(), catalog.Group{Kind: catalog.KindDatabase, Database: database})
	must(r.t, err)
	_, err = d.Put(r.t.Context(), "20-data.dump.zst", func(w io.Writer) error {
		_, err := w.Write([]byte(database + server))
		return err
	})
	must(r.t, err)
	d.SignWith(signer)
	set, err := d.Publish(r.t.Context(), catalog.Manifest{
		Source:    &catalog.Source{Database: database, SystemIdentifier: server},
		Artifacts: []catalog.Artifact{{Name: "20-data.dump.zst"}},
	})
	must(r.t, err)
	return set
}

func (r *repository) dir(ref catalog.Ref) string { return filepath.Join(r.path, ref.Dir()) }

func (r *repository) get(ref catalog.Ref) catalog.Set {
	r.t.Helper()
	s, err := r.Get(r.t.Context(), ref)
	must(r.t, err)
	return s
}

// forge changes the manifest of a set, and makes the sums right again.
func (r *repository) forge(ref catalog.Ref, change func(*catalog.Manifest)) {
	r.t.Helper()
	dir := r.dir(ref)
	old, err := os.ReadFile(dir + "/manifest.json")
	must(r.t, err)
	var m catalog.Manifest
	must(r.t, json.Unmarshal(old, &m))
	change(&m)
	data, err := json.MarshalIndent(m, "", "  ")
	must(r.t, err)
	must(r.t, os.WriteFile(dir+"/manifest.json", data, 0o600))
	sums, err := os.ReadFile(dir + "/SHA256SUMS")
	must(r.t, err)
	must(r.t, os.WriteFile(dir+"/SHA256SUMS", bytes.ReplaceAll(sums, []byte(hash(old)), []byte(hash(data))), 0o600))
}

func hash(data []byte) string {
	h := sha256.Sum256(data)
	return hex.EncodeToString(h[:])
}

// copySet copies a set to another name.
func (r *repository) copySet(from, to catalog.Ref) {
	r.t.Helper()
	must(r.t, os.CopyFS(r.dir(to), os.DirFS(r.dir(from))))
}

// want compares the judgement with a state, and what it says with a text; "" is nothing.
func (r *repository) want(p provenance.Policy, ref catalog.Ref, state provenance.State, damage, warning string) {
	r.t.Helper()
	set := r.get(ref)
	f, err := p.Examine(r.t.Context(), r.Catalog, set)
	must(r.t, err)
	if f.State != state || f.Warning != warning && (warning == "" || !strings.Contains(f.Warning, warning)) {
		r.t.Errorf("%s: %s, warning %q, damage %v", ref, f.State, f.Warning, f.Damage)
	}
	switch {
	case damage == "" && f.Damage != nil, damage != "" && f.Damage == nil:
		r.t.Errorf("%s: damage %v instead of %q", ref, f.Damage, damage)
	case damage != "" && (!errors.Is(f.Damage, catalog.ErrDamaged) || !strings.Contains(f.Damage.Error(), damage) || !strings.HasPrefix(f.Damage.Error(), ref.String()+": ")):
		r.t.Errorf("%s: damage %v instead of %q", ref, f.Damage, damage)
	}
}

// Promise: a set by an accepted signer is good, several may be accepted at a time, one by somebody else is a warning
// or, where signatures are required, damage; so is none.
func TestPolicy(t *testing.T) {
	r := newRepository(t)
	anna, bert := newKey(t, "anna"), newKey(t, "bert")
	plain, signed := r.add("forge", "1", nil).Ref, r.add("forge", "1", anna.signer).Ref
	if m := r.get(signed).Manifest.Signature; m == nil || m.Fingerprint != anna.public.Fingerprint() || m.UserID != anna.public.UserID() || m.Key != "" {
		t.Errorf("manifest: %+v", m)
	}
	both := seal.Signers{bert.public, anna.public}
	r.want(provenance.Policy{}, plain, provenance.None, "", "")
	r.want(provenance.Policy{Signers: both, Require: true}, plain, provenance.None, "not signed, but a signature is required", "")
	r.want(provenance.Policy{Signers: both}, signed, provenance.Good, "", "")
	r.want(provenance.Policy{Signers: both, Require: true}, signed, provenance.Good, "", "")
	r.want(provenance.Policy{Signers: seal.Signers{bert.public}}, signed, provenance.Unknown, "", "signed by an unknown key: "+anna.public.Fingerprint())
	r.want(provenance.Policy{Signers: seal.Signers{bert.public}, Require: true}, signed, provenance.Unknown, "signed by an unknown key: "+anna.public.Fingerprint(), "")

	// Keys that cannot be read are no verdict about the set.
	trouble := provenance.Policy{Signers: seal.Signers{bert.public}, Trouble: errors.New("read anna.pub: no such file")}
	r.want(trouble, signed, provenance.Unchecked, "", "was not checked: read anna.pub: no such file")
	trouble.Require = true
	if f, err := trouble.Examine(t.Context(), r.Catalog, r.get(signed)); !errors.Is(err, trouble.Trouble) || f.Damage != nil {
		t.Errorf("%+v, %v", f, err)
	}
	trouble.Signers = both // the one that is needed is there
	r.want(trouble, signed, provenance.Good, "", "")
}

// Promise: a set that was forged, copied to another name, or signed anew by somebody else is damaged and named, also
// when all sums are right again, and a signature that was taken away is missed.
func TestForgery(t *testing.T) {
	r := newRepository(t)
	anna, mallory := newKey(t, "anna"), newKey(t, "mallory")
	policy := provenance.Policy{Signers: seal.Signers{anna.public}}
	first, second := r.add("forge", "1", anna.signer).Ref, r.add("forge", "1", anna.signer).Ref
	const wrong = "wrong signature: it does not fit what is signed"

	forged := r.add("forge", "1", anna.signer).Ref
	r.want(policy, forged, provenance.Good, "", "")
	r.forge(forged, func(m *catalog.Manifest) { m.Source.Migration = "forge.0001_initial" })
	if set := r.get(forged); set.Problem != nil {
		t.Fatalf("the catalog alone finds it: %v", set.Problem)
	}
	r.want(policy, forged, provenance.Wrong, wrong, "")

	// Under another id, and as another database: the manifest says so, and the signature when that was changed too.
	for _, to := range []catalog.Ref{{Group: first.Group, ID: "20270101T000000Z"}, {Group: catalog.Group{Kind: catalog.KindDatabase, Database: "other"}, ID: first.ID}} {
		r.copySet(first, to)
		if set := r.get(to); !errors.Is(set.Problem, catalog.ErrDamaged) {
			t.Errorf("%s: %v", to, set.Problem)
		}
		r.forge(to, func(m *catalog.Manifest) { m.ID, m.Database = to.ID, to.Database })
		if set := r.get(to); set.Problem != nil {
			t.Fatalf("the catalog alone finds it: %v", set.Problem)
		}
		r.want(policy, to, provenance.Wrong, wrong, "")
	}

	// The signature of another set of the same key.
	sig, err := os.ReadFile(r.dir(second) + "/" + catalog.SignatureName)
	must(t, err)
	exchanged := r.add("forge", "1", anna.signer).Ref
	must(t, os.WriteFile(r.dir(exchanged)+"/"+catalog.SignatureName, sig, 0o600))
	r.want(policy, exchanged, provenance.Wrong, wrong, "")

	// Another's signature, with the manifest as it was, and with one that says so.
	resigned := r.add("forge", "1", anna.signer).Ref
	sign := func(ref catalog.Ref, k key) {
		sums, err := os.ReadFile(r.dir(ref) + "/SHA256SUMS")
		must(t, err)
		sig, err := k.signer.Sign(t.Context(), sums)
		must(t, err)
		must(t, os.WriteFile(r.dir(ref)+"/"+catalog.SignatureName, sig, 0o600))
	}
	sign(resigned, mallory)
	r.want(policy, resigned, provenance.Wrong, "the manifest says that it is signed by "+anna.public.Fingerprint(), "")
	r.want(provenance.Policy{Signers: seal.Signers{mallory.public}}, resigned, provenance.Good, "", "") // one who counts may
	r.forge(resigned, func(m *catalog.Manifest) { m.Signature.Fingerprint = mallory.public.Fingerprint() })
	sign(resigned, mallory)
	r.want(policy, resigned, provenance.Unknown, "", "signed by an unknown key: "+mallory.public.Fingerprint())

	// Taken away: alone, and with the manifest's word for it, which only a policy can miss.
	taken := r.add("forge", "1", anna.signer).Ref
	must(t, os.Remove(r.dir(taken)+"/"+catalog.SignatureName))
	if good, why := r.get(taken).Good(); good || why != "SHA256SUMS.sig is missing" {
		t.Errorf("%v, %s", good, why)
	}
	r.want(policy, taken, provenance.Wrong, "SHA256SUMS.sig is missing", "")
	r.forge(taken, func(m *catalog.Manifest) { m.Signature = nil })
	r.want(policy, taken, provenance.None, "", "")
	r.want(provenance.Policy{Signers: policy.Signers, Require: true}, taken, provenance.None, "not signed", "")

	// Signed later by hand: there is a signature, and it is right.
	sign(taken, anna)
	r.want(provenance.Policy{Signers: policy.Signers, Require: true}, taken, provenance.Good, "", "")

	must(t, os.WriteFile(r.dir(first)+"/"+catalog.SignatureName, nil, 0o600))
	r.want(policy, first, provenance.Wrong, "SHA256SUMS.sig: wrong signature", "")
	must(t, os.Remove(r.dir(second)+"/"+catalog.SignatureName))
	must(t, os.Symlink("/etc/hostname", r.dir(second)+"/"+catalog.SignatureName))
	r.want(policy, second, provenance.Wrong, "SHA256SUMS.sig is not a regular file", "")
}

// Promise: a good finding is about the manifest in memory: a set that was exchanged between reading and checking is
// damaged, though what lies there now is signed.
func TestExchangedMeanwhile(t *testing.T) {
	r := newRepository(t)
	anna := newKey(t, "anna")
	ref := r.add("forge", "1", anna.signer).Ref
	sums, err := os.ReadFile(r.dir(ref) + "/SHA256SUMS")
	must(t, err)
	good, err := os.ReadFile(r.dir(ref) + "/manifest.json")
	must(t, err)
	r.forge(ref, func(m *catalog.Manifest) { m.Host = "elsewhere" })
	set := r.get(ref)
	must(t, os.WriteFile(r.dir(ref)+"/SHA256SUMS", sums, 0o600))
	must(t, os.WriteFile(r.dir(ref)+"/manifest.json", good, 0o600))
	f, err := provenance.Policy{Signers: seal.Signers{anna.public}}.Examine(t.Context(), r.Catalog, set)
	if err != nil || f.State != provenance.Wrong || !strings.Contains(f.Damage.Error(), "it has changed since it was read") {
		t.Errorf("%+v, %v", f, err)
	}
}

// Promise: a set that comes from another server than the good sets around it is spoken of, and both servers are
// named; a server that was replaced for good is not, from its second set on.
func TestStranger(t *testing.T) {
	r := newRepository(t)
	for _, server := range []string{"1", "1", "2", "1", "3", "3", "3"} {
		r.add("forge", server, nil)
	}
	warned := func() (all []string) {
		sets, err := r.List(t.Context(), catalog.Group{Kind: catalog.KindDatabase, Database: "forge"})
		must(t, err)
		for _, s := range sets {
			all = append(all, provenance.Stranger(s, sets))
		}
		return all
	}
	all := warned()
	for i, w := range all {
		// The third came from elsewhere. The fourth has nobody of its own kind beside it: that is said too.
		if (w != "") != (i == 2 || i == 3) {
			t.Errorf("set %d: %q", i, w)
		}
	}
	if want := "it was taken from server 2 (set of web1), but the good sets around it from server 1 (set of web1): it may have been exchanged"; all[2] != want {
		t.Errorf("%q", all[2])
	}
	r.add("forge", "4", nil)
	if all := warned(); !strings.Contains(all[7], "server 4 (set of web1), but the good set before it from server 3 ") || all[6] != "" {
		t.Errorf("the first of a new server: %q, %q", all[6], all[7])
	}
	r.add("forge", "4", nil)
	if all := warned(); all[7] != "" || all[8] != "" {
		t.Errorf("the second: %q", all)
	}
	if w := provenance.Stranger(r.add("alone", "9", nil), nil); w != "" {
		t.Errorf("alone: %q", w)
	}
}
