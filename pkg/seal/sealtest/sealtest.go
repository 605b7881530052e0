// Package sealtest makes key pairs for tests.
//
// They are real ones, made by the library that seals, and an hour old: what is sealed to one can be opened with it, also
// by gpg, and what one signs is valid now. A key that has to be odd is changed before it is made. What goes wrong fails the
// test.
package sealtest

import (
	"bytes"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"github.com/bmad-forge/forgectl/pkg/seal"
)

// Entity makes a key pair that is an hour old, of <name>@example.org. Without a change, which may be nil, its keys are of
// elliptic curves, which are made at once.
func Entity(t testing.TB, name string, change func(*packet.Config)) *openpgp.Entity {
	t.Helper()
	c := &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA, Time: func() time.Time { return time.Now().Add(-time.Hour) }}
	if change != nil {
		change(c)
	}
	e, err := openpgp.NewEntity(name, "", name+"@example.org", c)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// Serialize is the pair in its two forms, as key files hold them.
func Serialize(t testing.TB, e *openpgp.Entity) (public, secret []byte) {
	t.Helper()
	var p, s bytes.Buffer
	if err := e.SerializePrivateWithoutSigning(&s, nil); err != nil {
		t.Fatal(err)
	}
	if err := e.Serialize(&p); err != nil {
		t.Fatal(err)
	}
	return p.Bytes(), s.Bytes()
}

// Key reads the one key of a key file.
func Key(t testing.TB, data []byte) *seal.Key {
	t.Helper()
	keys, err := seal.ReadKeys(data)
	if err != nil {
		t.Fatal(err)
	}
	if len(keys) != 1 {
		t.Fatalf("%d keys", len(keys))
	}
	return keys[0]
}

// Pair makes a key in its two forms.
func Pair(t testing.TB, name string) (public, secret *seal.Key) {
	t.Helper()
	p, s := Serialize(t, Entity(t, name, nil))
	return Key(t, p), Key(t, s)
}
