package seal

import (
	"context"
	"os"
	"path/filepath"
	"testing"
)

// Promise: whether gpg holds a secret key is found out without an agent, and a
// home that does not exist stays like that.
func TestHolds(t *testing.T) {
	ctx := context.Background()
	has, lacks := newGnuPG(t), newGnuPG(t)
	has.key("alice", "ecc", "0")
	key := one(t, has.public("alice"))
	lacks.run(has.public("alice"), "--import")
	for _, c := range []struct {
		name, home, fingerprint string
		want                    bool
	}{
		{"its owner", has.home, key.Fingerprint(), true},
		{"somebody else's key", has.home, "0123456789012345678901234567890123456789", false},
		{"the public key only", lacks.home, key.Fingerprint(), false},
		{"no home", filepath.Join(t.TempDir(), "none"), key.Fingerprint(), false},
	} {
		if got, err := has.lib().Holds(ctx, c.home, c.fingerprint); err != nil || got != c.want {
			t.Errorf("%s: %v, %v; want %v", c.name, got, err, c.want)
		}
	}
	// The secret part of the encryption subkey alone was taken away, as for a host that only signs.
	grips, err := filepath.Glob(filepath.Join(has.home, "private-keys-v1.d", "*.key"))
	if err != nil || len(grips) != 2 {
		t.Fatalf("%d secret keys, %v", len(grips), err)
	}
	held := 0
	for _, grip := range grips {
		if err := os.Rename(grip, grip+".away"); err != nil {
			t.Fatal(err)
		}
		if got, err := has.lib().Holds(ctx, has.home, key.Fingerprint()); err != nil {
			t.Error(err)
		} else if got {
			held++
		}
		if err := os.Rename(grip+".away", grip); err != nil {
			t.Fatal(err)
		}
	}
	if held != 1 {
		t.Errorf("%d of 2 keys are taken for the one that opens messages", 2-held)
	}
}
