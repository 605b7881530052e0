package seal

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// Keyring unlocks with secret keys that are in this process. Fill it before its first use; it may be used by several
// goroutines.
//
// The passphrase is asked for once in the life of the ring, when a protected key is needed for the first time, and
// tried on all keys; keys that it opens stay open.
type Keyring struct {
	Keys       []*Key
	Passphrase func(ctx context.Context) ([]byte, error) // nil: keys without passphrase only. The bytes are zeroed after use

	mu    sync.Mutex
	asked bool
	why   error // what Passphrase answered, if it failed
}

// Unlock implements Unlocker: *NoSecretKeyError when no key fits, ErrPassphrase when one fits but stays closed.
func (r *Keyring) Unlock(ctx context.Context, pkesk []byte) (*SessionKey, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	packets, err := sessionKeyPackets(pkesk)
	if err != nil {
		return nil, err
	}
	fitting := r.fitting(packets)
	if len(fitting) == 0 {
		return nil, &NoSecretKeyError{KeyIDs: keyIDs(pkesk)}
	}
	key, locked, failed := try(fitting)
	if key == nil && locked != nil {
		if err := r.open(ctx); err != nil {
			return nil, err
		}
		key, locked, failed = try(fitting)
	}
	switch {
	case key != nil:
		return key, nil
	case locked != nil:
		return nil, fmt.Errorf("%w for key %s", ErrPassphrase, fingerprint(&locked.PublicKey))
	case failed != nil:
		return nil, fmt.Errorf("%w: session key packet: %w", ErrCorrupt, failed)
	}
	return nil, &NoSecretKeyError{KeyIDs: keyIDs(pkesk)}
}

// pair is a session-key packet with a secret key that may open it.
type pair struct {
	packet *packet.EncryptedKey
	owner  *Key // locked while key is used: other rings may share it
	key    *packet.PrivateKey
}

func (r *Keyring) fitting(packets []*packet.EncryptedKey) []pair {
	var pairs []pair
	for _, p := range packets {
		r.eachSecret(p.KeyId, func(owner *Key, k *packet.PrivateKey) { pairs = append(pairs, pair{p, owner, k}) })
	}
	return pairs
}

// eachSecret calls do with the secret keys that may open a message to the key id (0: to any). The owner is locked meanwhile.
func (r *Keyring) eachSecret(id uint64, do func(owner *Key, k *packet.PrivateKey)) {
	for _, owner := range r.Keys {
		owner.mu.Lock()
		for _, c := range owner.decryptionKeys(id) {
			if hasSecret(c) {
				do(owner, c.PrivateKey)
			}
		}
		owner.mu.Unlock()
	}
}

// try uses every key that is open. It returns a session key, or why the last one that should have fitted did not, and a
// key that is still closed.
func try(pairs []pair) (key *SessionKey, locked *packet.PrivateKey, failed error) {
	for _, p := range pairs {
		key, err := p.open()
		switch {
		case err == nil:
			return key, nil, nil
		case errors.Is(err, ErrPassphrase):
			locked = p.key
		case p.packet.KeyId != 0: // a hidden recipient is just somebody else
			failed = err
		}
	}
	return nil, locked, failed
}

func (p pair) open() (*SessionKey, error) {
	p.owner.mu.Lock()
	defer p.owner.mu.Unlock()
	if p.key.Encrypted {
		return nil, ErrPassphrase
	}
	if err := p.packet.Decrypt(p.key, readConfig()); err != nil {
		return nil, err
	}
	return newSessionKey(p.packet.CipherFunc, p.packet.Key)
}

// open asks for the passphrase, once, and opens every key that it fits.
func (r *Keyring) open(ctx context.Context) error {
	if r.asked {
		return r.why
	}
	if r.Passphrase == nil {
		return nil
	}
	pass, err := r.Passphrase(ctx)
	if ctx.Err() != nil {
		clear(pass)
		return context.Cause(ctx) // not an answer
	}
	r.asked = true
	if err != nil {
		r.why = fmt.Errorf("%w: %w", ErrPassphrase, err)
		return r.why
	}
	defer clear(pass)
	r.eachSecret(0, func(_ *Key, k *packet.PrivateKey) {
		if k.Encrypted {
			_ = k.Decrypt(pass) // those that stay closed are named when they are needed
		}
	})
	return nil
}
