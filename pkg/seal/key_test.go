package seal

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"
)

// edit runs a dialogue of gpg --edit-key.
func (g *gnupg) edit(fingerprint string, commands ...string) {
	g.t.Helper()
	cmd := exec.Command("gpg", "--homedir", g.home, "--no-tty", "--yes", "--command-fd", "0", "--status-fd", "2", "--edit-key", fingerprint)
	cmd.Stdin = strings.NewReader(strings.Join(commands, "\n") + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		g.t.Fatalf("gpg --edit-key: %v\n%s", err, out)
	}
}

// Each way in which a key of gpg cannot be encrypted to is its own error, which names the key in full and its user; a
// Writer refuses it before it writes a byte.
func TestCanEncrypt(t *testing.T) {
	g := newGnuPG(t)
	good := g.key("good", "ecc", "10d")
	signOnly := g.key("signonly", "sign-only", "0")
	subSign := g.key("subsign", "sub-sign", "0")
	oneKey := g.key("onekey", "one-key", "0")
	revoked := g.key("revoked", "ecc", "0")
	g.revoke(revoked)
	subExpired := g.key("subexpired", "ecc", "0")
	g.run(nil, "--quick-set-expire", subExpired, "1d", "*")
	subRevoked := g.key("subrevoked", "ecc", "0")
	g.edit(subRevoked, "key 1", "revkey", "y", "0", "", "y", "save")
	lastUser := g.key("lastuser", "ecc", "0")
	g.run(nil, "--quick-add-uid", lastUser, "Other <other@example.org>")
	g.run(nil, "--quick-revoke-uid", lastUser, "lastuser <lastuser@example.org>")
	replaced := g.key("replaced", "ecc", "0")
	g.run(nil, "--quick-set-expire", replaced, "1d", "*")
	g.run(nil, "--passphrase", "", "--quick-add-key", replaced, "cv25519", "encr", "5d")
	weak := g.batch("Key-Type: RSA\nKey-Length: 1024\nKey-Usage: sign,cert,encrypt\nName-Real: weak\nName-Email: weak@example.org\n%no-protection\n")

	now := time.Now().Add(time.Second) // the keys are there, whatever rounding there is
	days := func(n int) time.Time { return now.Add(time.Duration(n) * 24 * time.Hour) }
	tests := []struct {
		name        string
		fingerprint string
		now         time.Time
		want        error
		expires     int // days; 0: never
	}{
		{"good", good, now, nil, 10},
		{"good until its last day", good, days(9), nil, 10},
		{"expired", good, days(11), ErrKeyExpired, 10},
		{"not yet valid", good, days(-1), ErrKeyNotYetValid, 10},
		{"only an encryption subkey expired", subExpired, days(2), ErrKeyExpired, 1},
		{"revoked", revoked, now, ErrKeyRevoked, 0},
		{"encryption subkey revoked", subRevoked, now, ErrKeyRevoked, 0},
		{"one of two user ids revoked", lastUser, now, nil, 0},
		{"for signing only", signOnly, now, ErrKeyCannotEncrypt, 0},
		{"signing subkey only", subSign, now, ErrKeyCannotEncrypt, 0},
		{"primary key encrypts", oneKey, now, nil, 0},
		{"an old and a new subkey", replaced, days(2), nil, 5},
		{"too short", weak, now, ErrKeyUnusable, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k := one(t, g.public(tt.fingerprint))
			if k.Fingerprint() != tt.fingerprint {
				t.Errorf("fingerprint %s instead of %s", k.Fingerprint(), tt.fingerprint)
			}
			end, ends := k.Expires()
			if ends != (tt.expires > 0) || ends && end.Sub(days(tt.expires)).Abs() > time.Hour {
				t.Errorf("expires %v %v, want in %d days", end, ends, tt.expires)
			}
			err := k.CanEncrypt(tt.now)
			var typed *KeyError
			if !errors.Is(err, tt.want) || (tt.want == nil) != (err == nil) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			var dst bytes.Buffer
			w, werr := NewWriter(&dst, Options{Recipients: []*Key{generated(t, "somebody", nil), k}, Now: func() time.Time { return tt.now }})
			if tt.want == nil {
				if werr != nil {
					t.Fatalf("NewWriter: %v", werr)
				}
				w.Abort()
				return
			}
			for _, err := range []error{err, werr} {
				if !errors.As(err, &typed) || typed.Fingerprint != tt.fingerprint && !strings.Contains(tt.name, "not yet") {
					t.Errorf("not a *KeyError of this key: %v", err)
				}
			}
			if text := err.Error(); !strings.Contains(text, tt.fingerprint) || !strings.Contains(text, "@example.org>") || strings.Contains(text, "\n") {
				t.Errorf("message: %q", text)
			}
			if dst.Len() > 0 {
				t.Errorf("%d bytes were written", dst.Len())
			}
			t.Log(err)
		})
	}
	if err := one(t, g.public(signOnly)).CanSign(now); err != nil {
		t.Errorf("a signing key cannot sign: %v", err)
	}
	if err := one(t, g.public(revoked)).CanSign(now); !errors.Is(err, ErrKeyRevoked) {
		t.Errorf("a revoked key signs: %v", err)
	}
}

// HasSecret tells a key that can decrypt from one that cannot, also when gpg exported only some secret parts.
func TestHasSecret(t *testing.T) {
	g := newGnuPG(t)
	f := g.key("alice", "ecc", "0")
	signOnly := g.key("signonly", "sign-only", "0")
	for name, tt := range map[string]struct {
		data []byte
		want bool
	}{
		"public":            {g.public(f), false},
		"secret":            {g.secret(f), true},
		"secret subkeys":    {g.run(nil, "--export-secret-subkeys", f), true},
		"sign only, secret": {g.secret(signOnly), false},
	} {
		if got := one(t, tt.data).HasSecret(); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// Key files come binary or armored, one key or many, with text around; a key that cannot be read is never left out.
func TestReadKeys(t *testing.T) {
	var binary [][]byte
	var armored []string
	var names []string
	for _, name := range []string{"alice", "bob", "carol"} {
		k := generated(t, name, nil)
		var b bytes.Buffer
		if err := k.entity.Serialize(&b); err != nil {
			t.Fatal(err)
		}
		binary = append(binary, b.Bytes())
		armored = append(armored, armor64(t, openpgp.PublicKeyType, b.Bytes()))
		names = append(names, k.Fingerprint())
	}
	alice := generated(t, "alice", nil)
	var secret, public bytes.Buffer
	if err := errors.Join(alice.entity.SerializePrivate(&secret, nil), alice.entity.Serialize(&public)); err != nil {
		t.Fatal(err)
	}
	all := func(b ...[]byte) string { return string(bytes.Join(b, nil)) }

	tests := []struct {
		name string
		data string
		want []string // fingerprints; nil: an error
		err  error
	}{
		{"one binary", all(binary[0]), names[:1], nil},
		{"three binary", all(binary...), names, nil},
		{"one armored", armored[0], names[:1], nil},
		{"three armored blocks with text", "Keys of the team\n\n" + strings.Join(armored, "\nAlso:\n"), names, nil},
		{"three in one block", armor64(t, openpgp.PublicKeyType, bytes.Join(binary, nil)), names, nil},
		{"windows lines", strings.ReplaceAll(armored[0]+armored[1], "\n", "\r\n"), names[:2], nil},
		{"twice the same", armored[0] + armored[0], names[:1], nil},
		{"public, then secret", all(public.Bytes(), secret.Bytes()), []string{alice.Fingerprint()}, nil},
		{"secret, then public", all(secret.Bytes(), public.Bytes()), []string{alice.Fingerprint()}, nil},
		{"empty", "", nil, ErrNoKey},
		{"text", "no key here\n", nil, ErrNoKey},
		{"a message", armor64(t, "PGP MESSAGE", binary[0]), nil, nil},
		{"cut binary", all(binary[0], binary[1][:len(binary[1])/2]), nil, nil},
		{"cut armored", armored[0] + armored[1][:len(armored[1])/2], nil, nil},
		{"garbage behind", all(binary[0], []byte("\x99garbage")), nil, nil},
		{"user id first", "\xcd\x05alice", nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			keys, err := ReadKeys([]byte(tt.data))
			var got []string
			for _, k := range keys {
				got = append(got, k.Fingerprint())
			}
			if fmt.Sprint(got) != fmt.Sprint(tt.want) || (err == nil) != (tt.want != nil) || tt.err != nil && !errors.Is(err, tt.err) {
				t.Errorf("got %v, %v", got, err)
			}
			if strings.Contains(tt.name, "secret") && !keys[0].HasSecret() {
				t.Error("the secret part was lost")
			}
		})
	}
}

func armor64(t *testing.T, kind string, data []byte) string {
	t.Helper()
	var b strings.Builder
	w, err := armor.Encode(&b, kind, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String() + "\n"
}

// Errors of a key file name it.
func TestReadKeyFile(t *testing.T) {
	dir := t.TempDir()
	var b bytes.Buffer
	if err := generated(t, "alice", nil).entity.Serialize(&b); err != nil {
		t.Fatal(err)
	}
	write := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	if keys, err := ReadKeyFile(write("alice.gpg", b.Bytes())); err != nil || len(keys) != 1 || keys[0].UserID() != "alice <alice@example.org>" {
		t.Errorf("%v, %v", keys, err)
	}
	for path, want := range map[string]error{
		filepath.Join(dir, "missing.gpg"):                fs.ErrNotExist,
		write("empty.gpg", nil):                          ErrNoKey,
		write("large.gpg", make([]byte, keyFileLimit+1)): nil,
		dir: nil,
	} {
		_, err := ReadKeyFile(path)
		if err == nil || want != nil && !errors.Is(err, want) || !strings.Contains(err.Error(), path) || strings.Count(err.Error(), "read keys") != 1 {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// User ids are anybody's bytes: none reaches a terminal as a control character.
func TestUserIDIsPrintable(t *testing.T) {
	e, err := openpgp.NewEntity("Eve \x1b[2J\nroot", "", "eve@example.org", &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA})
	if err != nil {
		t.Log(err) // the library refuses such a name itself
	} else if id := (&Key{entity: e}).UserID(); strings.ContainsAny(id, "\x1b\n") {
		t.Errorf("%q", id)
	}
	if got := printable("a\x1b[1mb\xff\u202ec é"); got != "a?[1mb??c é" {
		t.Errorf("%q", got)
	}
}

// A recipient that is given twice gets one packet; several keys each get theirs and any of them opens.
func TestRecipients(t *testing.T) {
	alice, bob := generated(t, "alice", nil), generated(t, "bob", nil)
	data := rows(1000)
	packed, _ := pack(t, data, Options{Recipients: []*Key{alice, bob, alice}})
	for _, k := range []*Key{alice, bob} {
		got, err := unpack(packed, &Keyring{Keys: []*Key{k}})
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: %v", k.UserID(), err)
		}
	}
	_, err := unpack(packed, &Keyring{Keys: []*Key{generated(t, "eve", nil)}})
	var missing *NoSecretKeyError
	if !errors.As(err, &missing) {
		t.Fatalf("somebody else: %v", err)
	}
	if len(missing.KeyIDs) != 2 || missing.KeyIDs[0] == missing.KeyIDs[1] {
		t.Errorf("key ids %v", missing.KeyIDs)
	}
}
