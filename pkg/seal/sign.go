package seal

import (
	"bytes"
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"time"

	pgpecdsa "github.com/ProtonMail/go-crypto/openpgp/ecdsa"
	pgped25519 "github.com/ProtonMail/go-crypto/openpgp/ed25519"
	pgpeddsa "github.com/ProtonMail/go-crypto/openpgp/eddsa"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"
)

// ErrKeyCannotSign means that a key has no part that may sign, or not its secret half.
var ErrKeyCannotSign = errors.New("key cannot sign")

// SignerOptions say where a Signer finds its key.
type SignerOptions struct {
	// File holds one secret key, binary or armored.
	File string
	// Passphrase is asked each time a protected key is opened; nil: keys without a passphrase only. The bytes are
	// zeroed after use.
	Passphrase func(ctx context.Context) ([]byte, error)
	Now        func() time.Time // nil: time.Now
}

// Signer makes detached OpenPGP signatures. The secret key and its passphrase are read for each signature, and
// cleared right after it, as far as the library lets them be: a Signer that waits for hours holds neither.
type Signer struct {
	o           SignerOptions
	fingerprint string
	userID      string
	subkey      string
	ends        time.Time
}

// NewSigner proves that the key can sign now, by signing something. Otherwise the error is a *KeyError,
// ErrPassphrase, or says what is wrong with the file.
func NewSigner(ctx context.Context, o SignerOptions) (*Signer, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Signer{o: o}
	key, part, err := s.open(ctx)
	if err != nil {
		return nil, err
	}
	defer key.wipe()
	s.fingerprint, s.userID, s.subkey, s.ends = key.Fingerprint(), key.UserID(), fingerprint(part.public), part.ends
	if _, err := key.sign(part, []byte("can this key sign?\n"), s.o.Now()); err != nil {
		return nil, err
	}
	return s, nil
}

// Fingerprint is that of the primary key, in upper case.
func (s *Signer) Fingerprint() string { return s.fingerprint }

// KeyFingerprint is that of the key that signs: a subkey, or the primary key itself.
func (s *Signer) KeyFingerprint() string { return s.subkey }

// UserID is the primary user id of the key.
func (s *Signer) UserID() string { return s.userID }

// Expires is the moment from which the key does not sign any more; false when there is none.
func (s *Signer) Expires() (time.Time, bool) { return s.ends, !s.ends.IsZero() }

// Sign makes a binary detached signature of data, which has been verified. Another key in the file than the one that
// NewSigner met is an error.
func (s *Signer) Sign(ctx context.Context, data []byte) ([]byte, error) {
	key, part, err := s.open(ctx)
	if err != nil {
		return nil, err
	}
	defer key.wipe()
	if f := key.Fingerprint(); f != s.fingerprint || fingerprint(part.public) != s.subkey {
		return nil, fmt.Errorf("sign: %s holds key %s now, not %s", s.o.File, f, s.fingerprint)
	}
	return key.sign(part, data, s.o.Now())
}

// open reads the key and opens the part of it that signs. The caller wipes the key.
func (s *Signer) open(ctx context.Context) (*Key, signingPart, error) {
	keys, err := ReadKeyFile(s.o.File)
	if err != nil {
		return nil, signingPart{}, err
	}
	key := keys[0]
	if len(keys) > 1 {
		err = fmt.Errorf("read keys: %s: %d keys, where one is meant", s.o.File, len(keys))
	}
	var part signingPart
	if err == nil {
		part, err = key.signingPart(s.o.Now())
	}
	if err == nil && part.private.Encrypted {
		err = s.unlock(ctx, key, part.private)
	}
	if err != nil {
		for _, k := range keys {
			k.wipe()
		}
		return nil, signingPart{}, err
	}
	return key, part, nil
}

func (s *Signer) unlock(ctx context.Context, key *Key, private *packet.PrivateKey) error {
	if s.o.Passphrase == nil {
		return fmt.Errorf("%w for signing key %s", ErrPassphrase, key.Fingerprint())
	}
	pass, err := s.o.Passphrase(ctx)
	defer clear(pass)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("%w for signing key %s: %w", ErrPassphrase, key.Fingerprint(), err)
	}
	if err := private.Decrypt(pass); err != nil {
		return fmt.Errorf("%w for signing key %s", ErrPassphrase, key.Fingerprint()) // the library's reason tells nothing
	}
	return nil
}

// signingPart is the primary key or a subkey that may sign.
type signingPart struct {
	public  *packet.PublicKey
	private *packet.PrivateKey
	ends    time.Time // of it and of the whole key; zero: never
}

// signingPart chooses the newest valid part whose secret half is here. An export of the subkeys alone has none for the
// primary key.
func (k *Key) signingPart(now time.Time) (signingPart, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.primaryProblem(now); err != nil {
		return signingPart{}, k.errorf(err)
	}
	var chosen signingPart
	var reason error
	for _, p := range k.signingParts() {
		switch problem := k.partProblem(p, now); {
		case problem != nil:
			reason = problem
		case p.private == nil || p.private.Dummy():
			reason = fmt.Errorf("%w: the secret key is not in the file", ErrKeyCannotSign)
		case chosen.public == nil || p.subkey != nil:
			chosen = signingPart{p.public, p.private, earlier(k.primaryExpires(), expiry(p.public, p.self))}
		}
	}
	switch {
	case chosen.public != nil:
		return chosen, nil
	case reason != nil:
		return signingPart{}, k.errorf(reason)
	}
	return signingPart{}, k.errorf(fmt.Errorf("%w: it is not meant for that", ErrKeyCannotSign))
}

// part is the primary key or a subkey, with the signature that says what it is for.
type part struct {
	public  *packet.PublicKey
	private *packet.PrivateKey
	self    *packet.Signature
	subkey  *openpgp.Subkey // nil: the primary key
}

// signingParts are those that are meant for signing, the primary key first, then from old to new, by their newest
// self-signatures: gpg replaces these when a key is prolonged.
func (k *Key) signingParts() []part {
	var parts []part
	if sig, err := k.entity.PrimarySelfSignature(time.Time{}, readConfig()); err == nil && signs(k.entity.PrimaryKey, sig) {
		parts = append(parts, part{public: k.entity.PrimaryKey, private: k.entity.PrivateKey, self: sig})
	}
	for i := range k.entity.Subkeys {
		s := &k.entity.Subkeys[i]
		sig, err := s.LatestValidBindingSignature(time.Time{}, readConfig())
		if err == nil && signs(s.PublicKey, sig) {
			parts = append(parts, part{s.PublicKey, s.PrivateKey, sig, s})
		}
	}
	return parts
}

func signs(pub *packet.PublicKey, sig *packet.Signature) bool {
	return pub.PubKeyAlgo.CanSign() && sig.FlagsValid && sig.FlagSign
}

// partProblem is why the part cannot sign, or could not at that moment. The key as a whole is looked at elsewhere.
func (k *Key) partProblem(p part, at time.Time) error {
	what := "its signing subkey"
	if p.subkey == nil {
		what = "its primary key"
	}
	switch end := expiry(p.public, p.self); {
	case p.subkey != nil && p.subkey.Revoked(p.self, at):
		return fmt.Errorf("%w: %s", ErrKeyRevoked, what)
	case p.public.CreationTime.After(at):
		return fmt.Errorf("%w: %s is from %s", ErrKeyNotYetValid, what, stamp(p.public.CreationTime))
	case !end.IsZero() && at.After(end):
		return fmt.Errorf("%w: %s, on %s", ErrKeyExpired, what, stamp(end))
	case weak(p.public):
		return fmt.Errorf("%w: %s is too weak", ErrKeyUnusable, what)
	}
	return nil
}

// weak tells keys whose signatures the library's defaults would not accept.
func weak(pub *packet.PublicKey) bool {
	c := readConfig()
	if c.RejectPublicKeyAlgorithm(pub.PubKeyAlgo) {
		return true
	}
	switch pub.PubKeyAlgo {
	case packet.PubKeyAlgoRSA, packet.PubKeyAlgoRSASignOnly:
		bits, err := pub.BitLength()
		return err != nil || bits < c.MinimumRSABits()
	case packet.PubKeyAlgoECDSA, packet.PubKeyAlgoEdDSA:
		curve, err := pub.Curve()
		return err != nil || c.RejectCurve(curve)
	}
	return false
}

// sign signs and verifies what came out: a signature that nobody can verify is worse than none.
func (k *Key) sign(p signingPart, data []byte, now time.Time) ([]byte, error) {
	k.mu.Lock()
	var b bytes.Buffer
	err := openpgp.DetachSign(&b, []*openpgp.Entity{k.entity}, bytes.NewReader(data),
		&packet.Config{Time: func() time.Time { return now }, SigningKeyId: p.public.KeyId})
	k.mu.Unlock()
	if err != nil {
		return nil, k.named(fmt.Errorf("%w: %w", ErrKeyCannotSign, err))
	}
	if _, err := (Signers{k}).Verify(data, b.Bytes(), now); err != nil {
		return nil, k.named(fmt.Errorf("%w: what it signed is not right: %w", ErrKeyCannotSign, err))
	}
	return b.Bytes(), nil
}

// named is errorf for who does not hold the lock.
func (k *Key) named(err error) error {
	return &KeyError{Fingerprint: k.Fingerprint(), UserID: k.UserID(), Err: err}
}

// Public is the key without its secret parts.
func (k *Key) Public() (*Key, error) {
	k.mu.Lock()
	var b bytes.Buffer
	err := k.entity.Serialize(&b)
	k.mu.Unlock()
	if err != nil {
		return nil, k.named(err)
	}
	keys, err := ReadKeys(b.Bytes())
	if err != nil {
		return nil, k.named(err)
	}
	return keys[0], nil
}

// wipe overwrites the secret numbers of k, which cannot be used any more. The library's own copies live until the
// memory is used again.
func (k *Key) wipe() {
	k.mu.Lock()
	defer k.mu.Unlock()
	wipe(k.entity.PrivateKey)
	for _, s := range k.entity.Subkeys {
		wipe(s.PrivateKey)
	}
}

func wipe(private *packet.PrivateKey) {
	if private == nil {
		return
	}
	switch k := private.PrivateKey.(type) {
	case *rsa.PrivateKey:
		clear(k.D.Bits())
		for _, p := range k.Primes {
			clear(p.Bits())
		}
	case *pgpecdsa.PrivateKey:
		clear(k.D.Bits())
	case *pgpeddsa.PrivateKey:
		clear(k.D)
	case *pgped25519.PrivateKey:
		clear(k.Key)
	}
	private.PrivateKey = nil
}
