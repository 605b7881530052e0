package seal

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// SessionKey opens one message, the one that it was made for. It is an Unlocker for exactly that message.
type SessionKey struct {
	mu     sync.Mutex
	cipher packet.CipherFunction
	key    []byte
	head   []byte // what a Writer put before the encrypted data; nil: unknown
}

// Unlocker finds the session key of a message from the public-key-encrypted-session-key packets at its head.
type Unlocker interface {
	Unlock(ctx context.Context, pkesk []byte) (*SessionKey, error)
}

// newSessionKey takes over key.
func newSessionKey(cipher packet.CipherFunction, key []byte) (*SessionKey, error) {
	if !cipher.IsSupported() || len(key) != cipher.KeySize() {
		clear(key)
		return nil, fmt.Errorf("session key: cipher %d with %d bytes is not supported", cipher, len(key))
	}
	return &SessionKey{cipher: cipher, key: key}, nil
}

// Unlock implements Unlocker: it returns k. That of a Writer compares the head of the message with what was written:
// nothing else would notice that the recipients can no longer open it.
func (k *SessionKey) Unlock(_ context.Context, pkesk []byte) (*SessionKey, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.key == nil:
		return nil, ErrWiped
	case k.head != nil && !bytes.Equal(k.head, pkesk):
		return nil, fmt.Errorf("%w: the packets for the recipients differ from what was written", ErrCorrupt)
	}
	return k, nil
}

// Wipe zeroes the key; it may be called again. What a running Writer or Reader derived from it (the
// expanded key of the cipher) lives until the garbage collector takes it.
func (k *SessionKey) Wipe() {
	if k == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	clear(k.key)
	k.key = nil
}

// use lends the key to f, which must not keep it.
func (k *SessionKey) use(f func(cipher packet.CipherFunction, key []byte) error) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.key == nil {
		return ErrWiped
	}
	return f(k.cipher, k.key)
}

// Format keeps the key out of every log line and error, whatever the verb.
func (k *SessionKey) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "session key (hidden)") }
