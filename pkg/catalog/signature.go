package catalog

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/bmad-forge/forgectl/pkg/store"
)

// SignatureName is the detached OpenPGP signature of SHA256SUMS, which cannot cover it. It is there before SHA256SUMS.
const SignatureName = "SHA256SUMS.sig"

// maxSignature is far above the size of any.
const maxSignature = 64 << 10

// Signature is what a manifest says of the signature of its set, so that one that was taken away is missed.
type Signature struct {
	Format      string `json:"format"`      // "openpgp"
	Fingerprint string `json:"fingerprint"` // of the primary key, 40 upper-case hex digits
	UserID      string `json:"user_id,omitempty"`
	Key         string `json:"key,omitempty"` // fingerprint of the subkey that signed, where it is one
}

// Signer signs sets.
type Signer interface {
	Fingerprint() string    // of the primary key
	KeyFingerprint() string // of the key that signs
	UserID() string
	// Sign makes a detached signature of data.
	Sign(ctx context.Context, data []byte) ([]byte, error)
}

// SignWith has Publish sign the set; nil: it is not signed.
func (d *Draft) SignWith(s Signer) { d.signer = s }

// signatureOf is what the manifest says of the signer.
func signatureOf(s Signer) *Signature {
	if s == nil {
		return nil
	}
	sig := &Signature{Format: "openpgp", Fingerprint: s.Fingerprint(), UserID: s.UserID()}
	if key := s.KeyFingerprint(); key != sig.Fingerprint {
		sig.Key = key
	}
	return sig
}

// sign puts the signature of what SHA256SUMS will be.
func (d *Draft) sign(ctx context.Context, sums []byte) error {
	if d.signer == nil {
		return nil
	}
	sig, err := d.signer.Sign(ctx, sums)
	if err != nil {
		return fmt.Errorf("sign: %w", err)
	}
	name := d.dir + "/" + SignatureName
	if err := d.c.store.Put(ctx, name, writeAll(sig)); err != nil {
		return err
	}
	back, err := d.c.store.Open(ctx, name)
	if err != nil {
		return err
	}
	defer back.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(back); err != nil {
		return fmt.Errorf("read back %s: %w", SignatureName, err)
	}
	if !bytes.Equal(b.Bytes(), sig) {
		return fmt.Errorf("read back %s: it is not what was written", SignatureName)
	}
	return nil
}

// Signed is what was read for a signature to be checked: both files as they lie there.
type Signed struct {
	Sums, Signature []byte
}

// ReadSigned reads SHA256SUMS and its signature, whole. The sums are those that vouched for the manifest of the set:
// others are a *DamageError, and so is a signature that is missing.
func (c *Catalog) ReadSigned(ctx context.Context, s Set) (signed Signed, err error) {
	if signed.Signature, err = c.readFile(ctx, s.Ref, SignatureName, 0, maxSignature); err != nil {
		return signed, err
	}
	if signed.Sums, err = c.readFile(ctx, s.Ref, SumsName, 0, maxSums); err != nil {
		return signed, err
	}
	if sha256.Sum256(signed.Sums) != s.sums {
		return signed, &DamageError{Ref: s.Ref, Artifact: SumsName, Kind: DamageMalformed, Err: errors.New("it has changed since it was read")}
	}
	return signed, nil
}

// compareSignature holds what the manifest says of a signature against the directory. Whether it is right is not for
// the catalog to say.
func (s *Set) compareSignature(files map[string]store.Entry) error {
	e, there := files[SignatureName]
	s.Signed = there
	switch {
	case there && (e.Dir || e.Irregular):
		return &DamageError{Ref: s.Ref, Artifact: SignatureName, Kind: DamageIrregular}
	case !there && s.Manifest != nil && s.Manifest.Signature != nil:
		return &DamageError{Ref: s.Ref, Artifact: SignatureName, Kind: DamageMissing}
	}
	return nil
}
