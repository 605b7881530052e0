package seal

import (
	"context"
	"errors"
	"sync"
)

// Keyring unlocks with secret keys that are in this process. Fill it before its first use.
//
// The passphrase is asked for once in the life of the ring, when a protected key is needed for the first time, and
// tried on all keys; keys that it opens stay open.
type Keyring struct {
	Keys       []*Key
	Passphrase func(ctx context.Context) ([]byte, error) // nil: keys without passphrase only. The bytes are zeroed after use

	mu    sync.Mutex
	asked bool
}

// Unlock implements Unlocker.
func (r *Keyring) Unlock(ctx context.Context, pkesk []byte) (*SessionKey, error) {
	return nil, errors.ErrUnsupported
}

// Chain tries the unlockers in order and takes the first that can.
func Chain(unlockers ...Unlocker) Unlocker { return chain(unlockers) }

type chain []Unlocker

func (c chain) Unlock(ctx context.Context, pkesk []byte) (*SessionKey, error) {
	return nil, errors.ErrUnsupported
}
