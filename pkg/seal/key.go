package seal

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	pgperrors "github.com/ProtonMail/go-crypto/openpgp/errors"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"
)

// Key is an OpenPGP key: a primary key with its user ids and subkeys, and perhaps the secret parts.
type Key struct {
	mu     sync.Mutex // the library remembers verified signatures inside the entity
	entity *openpgp.Entity
}

// KeyError says which key cannot be used, and why: errors.Is with one of the ErrKey sentinels.
type KeyError struct {
	Fingerprint string
	UserID      string
	Err         error
}

func (e *KeyError) Error() string {
	if e.UserID == "" {
		return fmt.Sprintf("%s: %v", e.Fingerprint, e.Err)
	}
	return fmt.Sprintf("%s (%s): %v", e.Fingerprint, e.UserID, e.Err)
}

func (e *KeyError) Unwrap() error { return e.Err }

// Fingerprint is that of the primary key, in upper case: 40 hexadecimal digits.
func (k *Key) Fingerprint() string { return fingerprint(k.entity.PrimaryKey) }

// UserID is the primary user id, or any when none is valid. What a terminal could misread is replaced.
func (k *Key) UserID() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.userID()
}

func (k *Key) userID() string {
	if _, id := k.entity.PrimaryIdentity(time.Time{}, readConfig()); id != nil {
		return printable(id.Name)
	}
	for _, name := range k.userIDs() {
		return printable(name)
	}
	return ""
}

func (k *Key) userIDs() []string {
	names := make([]string, 0, len(k.entity.Identities))
	for name := range k.entity.Identities {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// HasSecret tells whether the secret part of an encryption key is here; it may still be protected by a passphrase.
func (k *Key) HasSecret() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.ContainsFunc(k.decryptionKeys(0), hasSecret)
}

func hasSecret(k openpgp.Key) bool { return k.PrivateKey != nil && !k.PrivateKey.Dummy() }

// decryptionKeys are the keys of k that may open a message to the given key id (0: to any), however old.
func (k *Key) decryptionKeys(id uint64) []openpgp.Key {
	keys := k.entity.DecryptionKeys(id, time.Time{}, readConfig())
	return slices.DeleteFunc(keys, func(c openpgp.Key) bool { return id != 0 && c.PublicKey.KeyId != id })
}

// Expires is the moment from which nothing can be encrypted to k any more; false when there is none.
func (k *Key) Expires() (time.Time, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.expires()
}

func (k *Key) expires() (time.Time, bool) {
	end := k.primaryExpires()
	if subkeys := k.encryptionSubkeys(); len(subkeys) > 0 {
		var last time.Time
		for _, s := range subkeys {
			e := expiry(s.key.PublicKey, s.binding)
			if e.IsZero() {
				last = time.Time{}
				break
			}
			if e.After(last) {
				last = e
			}
		}
		end = earlier(end, last)
	}
	return end, !end.IsZero()
}

func (k *Key) primaryExpires() time.Time {
	var end time.Time
	if sig, err := k.entity.PrimarySelfSignature(time.Time{}, readConfig()); err == nil {
		end = expiry(k.entity.PrimaryKey, sig)
	}
	if sig, err := k.entity.LatestValidDirectSignature(time.Time{}, readConfig()); err == nil {
		end = earlier(end, expiry(k.entity.PrimaryKey, sig))
	}
	return end
}

type boundSubkey struct {
	key     *openpgp.Subkey
	binding *packet.Signature
}

// encryptionSubkeys are those that are meant for encryption, whether or not they are still valid.
func (k *Key) encryptionSubkeys() []boundSubkey {
	var found []boundSubkey
	for i := range k.entity.Subkeys {
		s := &k.entity.Subkeys[i]
		sig, err := s.LatestValidBindingSignature(time.Time{}, readConfig())
		if err == nil && s.PublicKey.PubKeyAlgo.CanEncrypt() && encrypts(sig) {
			found = append(found, boundSubkey{s, sig})
		}
	}
	return found
}

func encrypts(sig *packet.Signature) bool {
	return sig.FlagsValid && (sig.FlagEncryptCommunications || sig.FlagEncryptStorage)
}

// CanEncrypt says why k cannot be encrypted to at that moment: a *KeyError, or nil when it can.
func (k *Key) CanEncrypt(now time.Time) error {
	_, err := k.encryptionKey(now)
	return err
}

// encryptionKey chooses the newest valid encryption subkey, like gpg.
func (k *Key) encryptionKey(now time.Time) (*packet.PublicKey, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	chosen, err := k.entity.EncryptionKeyWithError(now, readConfig())
	if err != nil {
		return nil, k.errorf(k.whyNot(now, err))
	}
	return chosen.PublicKey, nil
}

// CanSign says why k cannot sign at that moment: a *KeyError, or nil when it can. The secret part may be missing.
func (k *Key) CanSign(now time.Time) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, ok := k.entity.SigningKey(now, readConfig()); ok {
		return nil
	}
	if err := k.primaryProblem(now); err != nil {
		return k.errorf(err)
	}
	return k.errorf(fmt.Errorf("%w: no valid signing key", ErrKeyUnusable))
}

func (k *Key) errorf(err error) error {
	return &KeyError{Fingerprint: k.Fingerprint(), UserID: k.userID(), Err: err}
}

// whyNot finds out what the operator has to know; the library's own error names neither the reason nor the key in full.
func (k *Key) whyNot(now time.Time, cause error) error {
	if err := k.primaryProblem(now); err != nil {
		return err
	}
	var selection pgperrors.ErrEncryptionKeySelection
	if errors.As(cause, &selection) && selection.PrimaryKeyErr != nil {
		return fmt.Errorf("%w: %w", ErrKeyUnusable, selection.PrimaryKeyErr)
	}
	subkeys := k.encryptionSubkeys()
	if len(subkeys) == 0 {
		return ErrKeyCannotEncrypt
	}
	// Of several unusable subkeys the one that lasted longest tells most.
	var reason error
	var last time.Time
	for _, s := range subkeys {
		end := expiry(s.key.PublicKey, s.binding)
		var err error
		switch {
		case s.key.Revoked(s.binding, now):
			err = fmt.Errorf("%w: its encryption subkey", ErrKeyRevoked)
		case s.key.PublicKey.CreationTime.After(now):
			err = fmt.Errorf("%w: its encryption subkey is from %s", ErrKeyNotYetValid, stamp(s.key.PublicKey.CreationTime))
		case !end.IsZero() && now.After(end):
			err = fmt.Errorf("%w: its encryption subkey, on %s", ErrKeyExpired, stamp(end))
		default:
			continue
		}
		if reason == nil || end.After(last) {
			reason, last = err, end
		}
	}
	if reason != nil {
		return reason
	}
	return fmt.Errorf("%w: %w", ErrKeyUnusable, cause)
}

// primaryProblem is what makes the whole key invalid, or nil.
func (k *Key) primaryProblem(now time.Time) error {
	if k.entity.Revoked(now) {
		return ErrKeyRevoked
	}
	if k.entity.PrimaryKey.CreationTime.After(now) {
		return fmt.Errorf("%w: it is from %s", ErrKeyNotYetValid, stamp(k.entity.PrimaryKey.CreationTime))
	}
	if end := k.primaryExpires(); !end.IsZero() && now.After(end) {
		return fmt.Errorf("%w on %s", ErrKeyExpired, stamp(end))
	}
	_, err := k.entity.VerifyPrimaryKey(now, readConfig())
	switch {
	case err == nil:
		return nil
	case errors.Is(err, pgperrors.ErrKeyExpired):
		return ErrKeyExpired
	case k.allUserIDsRevoked(now):
		return fmt.Errorf("%w: all its user ids", ErrKeyRevoked)
	}
	return fmt.Errorf("%w: %w", ErrKeyUnusable, err)
}

func (k *Key) allUserIDsRevoked(now time.Time) bool {
	for _, id := range k.entity.Identities {
		sig, err := id.LatestValidSelfCertification(now, readConfig())
		if err != nil || !id.Revoked(sig, now, readConfig()) {
			return false
		}
	}
	return len(k.entity.Identities) > 0
}

// expiry is the end of a key's life by one of its signatures; zero when there is none.
func expiry(pub *packet.PublicKey, sig *packet.Signature) time.Time {
	var end time.Time
	if s := sig.KeyLifetimeSecs; s != nil && *s != 0 {
		end = pub.CreationTime.Add(time.Duration(*s) * time.Second)
	}
	if s := sig.SigLifetimeSecs; s != nil && *s != 0 {
		end = earlier(end, sig.CreationTime.Add(time.Duration(*s)*time.Second))
	}
	return end
}

// earlier treats zero as never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func fingerprint(pub *packet.PublicKey) string {
	return strings.ToUpper(hex.EncodeToString(pub.Fingerprint))
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// printable makes a text from a key safe to show: user ids are anybody's bytes.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, strings.ToValidUTF8(s, "?"))
}

// readConfig is the library's strict default; nothing in it depends on the clock.
func readConfig() *packet.Config { return &packet.Config{} }
