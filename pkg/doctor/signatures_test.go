package doctor

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/bmad-forge/forgectl/pkg/provenance"
	"github.com/bmad-forge/forgectl/pkg/seal"
)

// Promise: whether sets can be signed is known before the night, the passphrase included, and a key that ends within a
// month is spoken of; so is a key for checking that cannot be read.
func TestSignatures(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	var policy provenance.Policy
	h.Provenance = func() (provenance.Policy, error) { return policy, nil }
	wants(t, h.only("signatures"), "info: sets are not signed")

	const day = 24 * time.Hour
	pass := "open sesame"
	sign := func(lifetime time.Duration, protected bool) {
		key := newKey(t, lifetime)
		if protected {
			if err := key.EncryptPrivateKeys([]byte("open sesame"), nil); err != nil {
				t.Fatal(err)
			}
		}
		path := h.writeKey("sign.key", key, true)
		h.Signer = func(ctx context.Context) (*seal.Signer, error) {
			return seal.NewSigner(ctx, seal.SignerOptions{File: path, Now: h.Now, Passphrase: func(context.Context) ([]byte, error) { return []byte(pass), nil }})
		}
	}
	sign(0, true)
	wants(t, h.only("signatures"), "ok: sets can be signed by Forge <backup@example.org> without an end")
	pass = "sesame"
	wants(t, h.only("signatures"), "critical: missing or wrong passphrase for signing key | forgectl config show backup.encrypt")
	sign(60*day, false)
	wants(t, h.only("signatures"), "ok: until 2027-01-2")
	sign(29*day+2*time.Hour, false)
	wants(t, h.only("signatures"), "warning: expires 2026-12-23, in 29 days: no backup can be made then | gpg --quick-set-expire")
	sign(time.Minute, false)
	wants(t, h.only("signatures"), "critical: key has expired")

	sign(0, false)
	policy.Require = true
	wants(t, h.only("signatures"), "ok: without an end", "critical: no key is accepted")
	policy.Trouble = errors.New("read host.pub: no such file")
	wants(t, h.only("signatures"), "ok: without an end", "critical: read host.pub: no such file: signatures are required and cannot be checked")
	policy.Require = false
	wants(t, h.only("signatures"), "ok: without an end", "warning: read host.pub: no such file: signatures by that key are not checked")
}
