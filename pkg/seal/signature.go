package seal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"
)

var (
	// ErrSignature means that what should be a signature is none, or is one of other data.
	ErrSignature = errors.New("wrong signature")
	// ErrUnknownSigner means that none of the keys that count can have made the signature: whether it is right
	// cannot be said.
	ErrUnknownSigner = errors.New("signed by an unknown key")
	// ErrSignerInvalid means that the signature is right, but was made by a key that was revoked, or had expired
	// by then.
	ErrSignerInvalid = errors.New("signed by a key that does not count")
)

// SignatureLimit is far above the size of any detached signature.
const SignatureLimit = 64 << 10

// Signature is what a detached signature says of itself, and by which of the keys it was made.
type Signature struct {
	Fingerprint string    // of the primary key; empty when the key is unknown
	UserID      string    // of the same key
	Key         string    // of the key that signed, as the signature names it: a fingerprint, or the long id
	Time        time.Time // when it was made, by the word of whoever made it
}

// Signers are the public keys whose signatures count.
type Signers []*Key

// Verify tells who signed data. The signature is binary or armored, exactly one, of type binary, and nothing else.
// An error is ErrSignature, ErrUnknownSigner or ErrSignerInvalid; the result is then as much as the signature says.
//
// Validity is judged for the moment of the signature, as the key's newest self-signatures have it: a key that has
// expired since, or was prolonged or retired, leaves its older signatures as good as they were. One that was revoked
// as compromised, or without a reason, never made a good one. now is for signatures that expire themselves.
//
// The library's own verification is not used: it wants self-signatures from before the signature, which gpg replaces
// when it prolongs a key.
func (s Signers) Verify(data, signature []byte, now time.Time) (Signature, error) {
	sig, err := readSignature(signature)
	if err != nil {
		return Signature{}, fmt.Errorf("%w: %w", ErrSignature, err)
	}
	said := Signature{Time: sig.CreationTime}
	switch {
	case len(sig.IssuerFingerprint) > 0:
		said.Key = fmt.Sprintf("%X", sig.IssuerFingerprint)
	case sig.IssuerKeyId != nil:
		said.Key = fmt.Sprintf("%016X", *sig.IssuerKeyId)
	default:
		return said, fmt.Errorf("%w: it does not name its key", ErrSignature)
	}
	err = fmt.Errorf("%w: %s", ErrUnknownSigner, said.Key)
	for _, k := range s {
		made, problem := k.made(sig, data, now)
		if !made {
			continue
		}
		said.Fingerprint, said.UserID = k.Fingerprint(), k.UserID()
		if err = problem; err == nil {
			break
		}
	}
	return said, err
}

// made says whether the signature claims to be one of k's, and what is wrong with it then.
func (k *Key) made(sig *packet.Signature, data []byte, now time.Time) (claimed bool, problem error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	pub := k.partNamed(sig)
	if pub == nil {
		return false, nil
	}
	if err := checkSignature(pub, sig, data); err != nil {
		return true, fmt.Errorf("%w: %w", ErrSignature, err)
	}
	if err := k.counted(pub, sig, now); err != nil {
		return true, fmt.Errorf("%w: %w", ErrSignerInvalid, k.errorf(err))
	}
	return true, nil
}

// partNamed is the part of k that the signature names.
func (k *Key) partNamed(sig *packet.Signature) *packet.PublicKey {
	fits := func(pub *packet.PublicKey) bool {
		if len(sig.IssuerFingerprint) > 0 {
			return bytes.Equal(pub.Fingerprint, sig.IssuerFingerprint)
		}
		return pub.KeyId == *sig.IssuerKeyId
	}
	if fits(k.entity.PrimaryKey) {
		return k.entity.PrimaryKey
	}
	for _, s := range k.entity.Subkeys {
		if fits(s.PublicKey) {
			return s.PublicKey
		}
	}
	return nil
}

// checkSignature is the arithmetic.
func checkSignature(pub *packet.PublicKey, sig *packet.Signature, data []byte) error {
	if readConfig().RejectMessageHashAlgorithm(sig.Hash) {
		return fmt.Errorf("its hash algorithm %s is too weak", sig.Hash)
	}
	h, err := sig.PrepareVerify()
	if err != nil {
		return err
	}
	if _, err := h.Write(data); err != nil {
		return err
	}
	if err := pub.VerifySignature(h, sig); err != nil {
		return errors.New("it does not fit what is signed")
	}
	return nil
}

// counted is nil when the key was good for a signature at the time of this one.
func (k *Key) counted(pub *packet.PublicKey, sig *packet.Signature, now time.Time) error {
	at := sig.CreationTime
	for _, n := range sig.Notations {
		if n.IsCritical {
			return fmt.Errorf("%w: critical notation %s", ErrKeyUnusable, printable(n.Name))
		}
	}
	if life := sig.SigLifetimeSecs; life != nil && *life != 0 && now.After(at.Add(time.Duration(*life)*time.Second)) {
		return fmt.Errorf("%w: the signature itself", ErrKeyExpired)
	}
	if _, err := k.entity.PrimarySelfSignature(time.Time{}, readConfig()); err != nil {
		return fmt.Errorf("%w: %w", ErrKeyUnusable, err)
	}
	if k.entity.Revoked(at) {
		return ErrKeyRevoked
	}
	if end := k.primaryExpires(); !end.IsZero() && at.After(end) {
		return fmt.Errorf("%w on %s", ErrKeyExpired, stamp(end))
	}
	for _, p := range k.signingParts() {
		if p.public == pub {
			return k.partProblem(p, at)
		}
	}
	return fmt.Errorf("%w: it is not meant for that", ErrKeyCannotSign)
}

// readSignature reads exactly one binary signature.
func readSignature(data []byte) (*packet.Signature, error) {
	if len(data) > SignatureLimit {
		return nil, fmt.Errorf("larger than %d bytes", SignatureLimit)
	}
	if len(data) > 0 && data[0]&0x80 == 0 {
		block, err := armor.Decode(bytes.NewReader(data))
		if err != nil {
			return nil, errors.New("neither a signature nor an armored one")
		}
		if block.Type != openpgp.SignatureType {
			return nil, fmt.Errorf("armored block: %s instead of a signature", printable(block.Type))
		}
		if data, err = io.ReadAll(block.Body); err != nil {
			return nil, fmt.Errorf("armored block: %w", err)
		}
	}
	r := bytes.NewReader(data)
	p, err := packet.Read(r)
	if err != nil {
		return nil, fmt.Errorf("not a signature: %w", untilEnd(err))
	}
	sig, ok := p.(*packet.Signature)
	if !ok {
		return nil, errors.New("not a signature")
	}
	if sig.SigType != packet.SigTypeBinary {
		return nil, fmt.Errorf("a signature of type %d, not of a file", sig.SigType)
	}
	if r.Len() > 0 {
		return nil, fmt.Errorf("%d bytes follow the signature", r.Len())
	}
	return sig, nil
}

// ReadPublicKeyFile is ReadKeyFile without secret parts, which are cleared.
func ReadPublicKeyFile(path string) ([]*Key, error) {
	keys, err := ReadKeyFile(path)
	if err != nil {
		return nil, err
	}
	public := make([]*Key, len(keys))
	for i, k := range keys {
		public[i], err = k.Public()
		k.wipe()
		if err != nil {
			return nil, fmt.Errorf("read keys: %s: %w", path, err)
		}
	}
	return public, nil
}
