package seal

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// A name stands for exactly one usable key of gpg's keyring, else the error says why and lists the candidates.
func TestFind(t *testing.T) {
	g := newGnuPG(t)
	ctx := context.Background()
	alice := g.key("alice", "ecc", "0")
	xalice := g.key("xalice", "ecc", "0") // whose address ends like that of alice
	ops1, ops2 := g.key("ops", "ecc", "0"), g.key("ops", "ecc", "0")
	bobOld, bob := g.key("bob", "ecc", "1d"), g.key("bob", "ecc", "0")
	carol := g.key("carol", "sign-only", "0")
	dave := g.key("dave", "ecc", "0")
	g.revoke(dave)
	eve := g.key("eve", "ecc", "0")
	g.run(nil, "--quick-add-uid", eve, "eve <new@example.org>")
	g.run(nil, "--quick-revoke-uid", eve, "eve <eve@example.org>")
	subkey := fingerprint(one(t, g.public(alice)).entity.Subkeys[0].PublicKey)
	spaced := alice[:4] + " " + alice[4:20] + "  " + alice[20:]
	later := time.Now().Add(48 * time.Hour)

	for _, tt := range []struct {
		name string
		want string // fingerprint
		err  error
		says []string
	}{
		{name: alice, want: alice},
		{name: strings.ToLower(alice), want: alice},
		{name: "0x" + alice, want: alice},
		{name: spaced, want: alice},
		{name: alice[24:], want: alice},
		{name: subkey, want: alice},
		{name: subkey[24:], want: alice},
		{name: "alice@example.org", want: alice},
		{name: "<alice@example.org>", want: alice},
		{name: "ALICE@EXAMPLE.ORG", want: alice},
		{name: "xalice@example.org", want: xalice},
		{name: "bob@example.org", want: bob}, // the old one has expired
		{name: "new@example.org", want: eve},
		{name: ops1, want: ops1},

		{name: bobOld, err: ErrKeyExpired, says: []string{bobOld, "bob <bob@example.org>"}},
		{name: "carol@example.org", err: ErrKeyCannotEncrypt, says: []string{carol}},
		{name: "dave@example.org", err: ErrKeyRevoked, says: []string{dave}},
		{name: dave, err: ErrKeyRevoked, says: []string{dave}},
		{name: "eve@example.org", err: ErrKeyRevoked, says: []string{eve}},
		{name: "ops@example.org", says: []string{ops1, ops2, "2 usable keys"}},
		{name: "nobody@example.org", err: ErrNoKey},
		{name: "lice@example.org", err: ErrNoKey}, // gpg alone would take a part
		{name: strings.Repeat("A", 40), err: ErrNoKey},
		{name: strings.Repeat("A", 16), err: ErrNoKey},
		{name: alice[32:], err: ErrKeyName, says: []string{"forged"}},
		{name: "alice", err: ErrKeyName},
		{name: "", err: ErrKeyName},
		{name: "@example.org", err: ErrKeyName},
		{name: "--version", err: ErrKeyName},
		{name: "*", err: ErrKeyName},
		{name: "Alice <alice@example.org>", err: ErrKeyName},
	} {
		k, err := g.lib().Find(ctx, tt.name, later)
		if tt.want != "" {
			if err != nil || k.Fingerprint() != tt.want {
				t.Errorf("%q: %v", tt.name, err)
			}
			continue
		}
		if err == nil || tt.err != nil && !errors.Is(err, tt.err) {
			t.Errorf("%q: %v", tt.name, err)
			continue
		}
		for _, text := range append(tt.says, fmt.Sprintf("find key %q: ", tt.name)) {
			if !strings.Contains(err.Error(), text) {
				t.Errorf("%q: %q does not say %q", tt.name, err, text)
			}
		}
		t.Log(err)
	}
	var ambiguous *AmbiguousError
	if _, err := g.lib().Find(ctx, "ops@example.org", later); !errors.As(err, &ambiguous) || len(ambiguous.Keys) != 2 {
		t.Errorf("two keys: %v", err)
	}
	bad := g.lib()
	bad.Home = "/nonexistent"
	if _, err := bad.Find(ctx, alice, later); err == nil || errors.Is(err, ErrNoKey) {
		t.Errorf("a home that is not there: %v", err)
	}
}
