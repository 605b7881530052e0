package seal

import (
	"context"
	"errors"
	"time"

	"github.com/bmad-forge/forgectl/pkg/proc"
)

// GPG is the GnuPG that is installed: its public keyring to find recipients, its agent to unlock.
type GPG struct {
	Runner proc.Runner
	Home   string // --homedir; default: gpg's own
	Path   string // default: gpg
}

// AmbiguousError means that more than one usable key answers to a name.
type AmbiguousError struct {
	Spec string
	Keys []*Key
}

func (e *AmbiguousError) Error() string { return "ambiguous" }

// Find returns the one key that spec (a fingerprint, a long key id or an e-mail address) names.
func (g GPG) Find(ctx context.Context, spec string, now time.Time) (*Key, error) {
	return nil, errors.ErrUnsupported
}

// Unlocker asks gpg, and so its agent, for the session key.
func (g GPG) Unlocker() Unlocker { return gpgUnlocker{g} }

type gpgUnlocker struct{ gpg GPG }

func (u gpgUnlocker) Unlock(ctx context.Context, pkesk []byte) (*SessionKey, error) {
	return nil, errors.ErrUnsupported
}
