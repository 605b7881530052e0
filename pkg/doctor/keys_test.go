package doctor

import (
	"context"
	"errors"
	"testing"
	"time"

	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"github.com/bmad-forge/forgectl/pkg/seal"
)

// Promise: a key that no set can be sealed to stops the night, one that ends
// within a month is spoken of before it does.
func TestKeys(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for _, c := range []struct {
		name string
		key  func(t *testing.T) *openpgp.Entity
		want string
	}{
		{"without an end", func(t *testing.T) *openpgp.Entity { return newKey(t, 0) }, "ok: to Forge <backup@example.org> without an end"},
		{"in two months", func(t *testing.T) *openpgp.Entity { return newKey(t, 60*day) }, "ok: until 2027-01-2"},
		{"in 29 days", func(t *testing.T) *openpgp.Entity { return newKey(t, 29*day+2*time.Hour) }, "warning: expires 2026-12-23, in 29 days | gpg --quick-set-expire"},
		{"expired", func(t *testing.T) *openpgp.Entity { return newKey(t, time.Minute) }, "critical: expired | gpg --quick-set-expire"},
		{"revoked", func(t *testing.T) *openpgp.Entity {
			key := newKey(t, 0)
			if err := key.Revoke(0, "lost", nil); err != nil {
				t.Fatal(err)
			}
			return key
		}, "critical: revoked"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			h.key = c.key(t)
			if c.name == "revoked" {
				h.Now = func() time.Time { return time.Now().Add(time.Hour) } // the signature has today's date
			}
			wants(t, h.only("keys"), c.want)
		})
	}
	h := newHost(t)
	h.Recipients = func(context.Context) ([]*seal.Key, error) { return nil, nil }
	wants(t, h.only("keys"), "warning: sealed to nobody")
	h.RequireSealed = true
	wants(t, h.only("keys"), "critical: sealed to nobody")
	h.Recipients = func(context.Context) ([]*seal.Key, error) { return nil, errors.New("find recipient x: no key") }
	wants(t, h.only("keys"), "critical: find recipient x: no key: no backup can be made")
}

// Promise: whether this host can open its sets is said either way, and a key
// that should open them and does not is critical.
func TestSecretKey(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	other := newKey(t, 0)
	wants(t, h.only("secret key"), "ok: no secret key is on this host; for a restore bring that of "+fingerprintOf(h.key))
	secret := h.writeKey("key.sec", h.key, true)
	h.SecretKeyFiles = []string{secret}
	wants(t, h.only("secret key"), "info: Forge <backup@example.org> is on this host")

	// What opens the newest set counts, not what is configured today.
	h.set(now.Add(-time.Hour), fingerprintOf(other))
	wants(t, h.only("secret key"), "critical: open nothing: the newest set is sealed to "+fingerprintOf(other))
	h.SecretKeyFiles = append(h.SecretKeyFiles, h.writeKey("other.sec", other, true))
	wants(t, h.only("secret key"), "info: is on this host")

	h.SecretKeyFiles = []string{h.dir + "/missing.sec"}
	wants(t, h.only("secret key"), "critical: missing.sec: no such file")
	h.SecretKeyFiles = []string{h.writeKey("key.pub", h.key, false)}
	wants(t, h.only("secret key"), "critical: holds public keys only")

	h.SecretKeyFiles = nil
	h.GPGHolds = func(_ context.Context, fingerprint string) (bool, error) {
		return fingerprint == fingerprintOf(other), nil
	}
	wants(t, h.only("secret key"), "info: "+fingerprintOf(other)+" (gpg) is on this host")
	h.GPGHolds = func(context.Context, string) (bool, error) { return false, errors.New("gpg broke") }
	wants(t, h.only("secret key"), "unknown: gpg broke")
}
