package seal

import (
	"context"
	"crypto/rsa"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	pgpecdsa "github.com/ProtonMail/go-crypto/openpgp/ecdsa"
	pgpeddsa "github.com/ProtonMail/go-crypto/openpgp/eddsa"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// keyFile writes a key file as gpg --export-secret-keys would.
func keyFile(t testing.TB, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sign.key")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// answering answers like a file that holds it.
func answering(s string) func(context.Context) ([]byte, error) {
	return func(context.Context) ([]byte, error) { return []byte(s), nil }
}

var sums = []byte(strings.Repeat("0", 64) + "  manifest.json\n")

// Promise: what we sign stock gpg verifies, and what gpg signs, binary or armored, we do: RSA and ed25519, primary
// keys and signing subkeys, files with all secret keys or the subkeys only, with and without passphrase.
func TestSignAndVerifyWithGPG(t *testing.T) {
	g := newGnuPG(t)
	rsa, ecc, sub := g.key("rsa", "rsa", "0"), g.key("ecc", "ecc", "10d"), g.key("sub", "sub-sign", "0")
	closed := g.batch("Key-Type: EDDSA\nKey-Curve: ed25519\nKey-Usage: sign,cert\nName-Real: closed\nName-Email: closed@example.org\nPassphrase: open sesame\n")
	for _, tt := range []struct {
		name, fingerprint string
		secret            []byte
		pass              func(context.Context) ([]byte, error)
		subkey            bool
	}{
		{"RSA-3072", rsa, g.secret(rsa), nil, false},
		{"ed25519", ecc, g.secret(ecc), nil, false},
		{"armored", ecc, g.run(nil, "--armor", "--export-secret-keys", ecc), nil, false},
		{"signing subkey", sub, g.secret(sub), nil, true},
		{"subkeys only", sub, g.run(nil, "--export-secret-subkeys", sub), nil, true},
		{"with a passphrase", closed, g.run(nil, "--passphrase", "open sesame", "--export-secret-keys", closed), answering("open sesame"), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := NewSigner(t.Context(), SignerOptions{File: keyFile(t, tt.secret), Passphrase: tt.pass})
			if err != nil {
				t.Fatal(err)
			}
			if s.Fingerprint() != tt.fingerprint || (s.KeyFingerprint() != tt.fingerprint) != tt.subkey || !strings.Contains(s.UserID(), "@example.org") {
				t.Errorf("%s, %s, %s", s.Fingerprint(), s.KeyFingerprint(), s.UserID())
			}
			if _, ends := s.Expires(); ends != (tt.fingerprint == ecc) {
				t.Errorf("expires: %v", ends)
			}
			sig, err := s.Sign(t.Context(), sums)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			for name, data := range map[string][]byte{"SHA256SUMS": sums, "SHA256SUMS.sig": sig} {
				if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			status := string(g.run(nil, "--status-fd", "1", "--verify", dir+"/SHA256SUMS.sig", dir+"/SHA256SUMS"))
			if !strings.Contains(status, "GOODSIG") || !strings.Contains(status, "VALIDSIG "+s.KeyFingerprint()) || !strings.Contains(status, tt.fingerprint+"\n") {
				t.Errorf("gpg says:\n%s", status)
			}
			if err := os.WriteFile(dir+"/SHA256SUMS", append(sums, '\n'), 0o600); err != nil {
				t.Fatal(err)
			}
			if out, _, err := g.try(nil, "--status-fd", "1", "--verify", dir+"/SHA256SUMS.sig", dir+"/SHA256SUMS"); err == nil {
				t.Errorf("gpg takes other data:\n%s", out)
			}
			signers := Signers{one(t, g.public(ecc)), one(t, g.public(rsa)), one(t, g.public(sub)), one(t, g.public(closed))}
			for _, args := range [][]string{nil, {"--detach-sign"}, {"--armor", "--detach-sign"}} {
				if args != nil {
					sig = g.run(sums, append([]string{"--passphrase", "open sesame", "-u", tt.fingerprint}, args...)...)
				}
				said, err := signers.Verify(sums, sig, time.Now())
				if err != nil || said.Fingerprint != tt.fingerprint || said.Key != s.KeyFingerprint() || time.Since(said.Time).Abs() > time.Hour {
					t.Errorf("%q: %+v, %v", args, said, err)
				}
				if _, err := signers.Verify(append(sums, '\n'), sig, time.Now()); !errors.Is(err, ErrSignature) {
					t.Errorf("%q, other data: %v", args, err)
				}
			}
		})
	}
}

// Promise: a key that cannot sign is refused before anything depends on it, and each way has its own error that names
// the key.
func TestSignerRefused(t *testing.T) {
	g := newGnuPG(t)
	good := g.key("good", "ecc", "10d")
	other := g.key("other", "ecc", "0")
	revoked := g.key("revoked", "ecc", "0")
	g.revoke(revoked)
	certify := g.batch("Key-Type: EDDSA\nKey-Curve: ed25519\nKey-Usage: cert\nName-Real: certify\nName-Email: certify@example.org\n%no-protection\n")
	subExpired := g.key("subexpired", "sub-sign", "0")
	g.run(nil, "--quick-set-expire", subExpired, "1d", "*")
	subRevoked := g.key("subrevoked", "sub-sign", "0")
	g.edit(subRevoked, "key 1", "revkey", "y", "0", "", "y", "save")
	weak := g.batch("Key-Type: RSA\nKey-Length: 1024\nKey-Usage: sign,cert\nName-Real: weak\nName-Email: weak@example.org\n%no-protection\n")
	closed := g.batch("Key-Type: EDDSA\nKey-Curve: ed25519\nKey-Usage: sign,cert\nName-Real: closed\nName-Email: closed@example.org\nPassphrase: open sesame\n")
	closedKey := g.run(nil, "--passphrase", "open sesame", "--export-secret-keys", closed)
	now := time.Now().Add(time.Second)
	for _, tt := range []struct {
		name string
		data []byte
		pass func(context.Context) ([]byte, error)
		now  time.Time
		want error
		text string
	}{
		{"expired", g.secret(good), nil, now.AddDate(0, 0, 11), ErrKeyExpired, good},
		{"not yet valid", g.secret(good), nil, now.AddDate(0, 0, -1), ErrKeyNotYetValid, good},
		{"revoked", g.secret(revoked), nil, now, ErrKeyRevoked, revoked},
		{"only certifies", g.secret(certify), nil, now, ErrKeyCannotSign, certify},
		{"signing subkey expired", g.secret(subExpired), nil, now.AddDate(0, 0, 2), ErrKeyExpired, subExpired},
		{"signing subkey revoked", g.secret(subRevoked), nil, now, ErrKeyRevoked, subRevoked},
		{"public only", g.public(good), nil, now, ErrKeyCannotSign, "secret key is not in the file"},
		{"subkeys of a key that signs itself", g.run(nil, "--export-secret-subkeys", good), nil, now, ErrKeyCannotSign, "secret key is not in the file"},
		{"too short", g.secret(weak), nil, now, ErrKeyUnusable, weak},
		{"no passphrase", closedKey, nil, now, ErrPassphrase, closed},
		{"wrong passphrase", closedKey, answering("sesame"), now, ErrPassphrase, closed},
		{"empty passphrase", closedKey, answering(""), now, ErrPassphrase, closed},
		{"passphrase cannot be had", closedKey, func(context.Context) ([]byte, error) { return nil, errors.New("vault is shut") }, now, ErrPassphrase, "vault is shut"},
		{"two keys", append(g.secret(good), g.secret(other)...), nil, now, nil, "2 keys, where one is meant"},
		{"no key", []byte("hello\n"), nil, now, ErrNoKey, "no key found"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := NewSigner(t.Context(), SignerOptions{File: keyFile(t, tt.data), Passphrase: tt.pass, Now: func() time.Time { return tt.now }})
			if err == nil || tt.want != nil && !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) || strings.Contains(err.Error(), "sesame") {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("exchanged meanwhile", func(t *testing.T) {
		path := keyFile(t, g.secret(good))
		s, err := NewSigner(t.Context(), SignerOptions{File: path})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, g.secret(other), 0o600); err != nil {
			t.Fatal(err)
		}
		if sig, err := s.Sign(t.Context(), sums); err == nil || !strings.Contains(err.Error(), other) {
			t.Errorf("signed with another key: %d bytes, %v", len(sig), err)
		}
	})
}

// Promise: a signature counts for as long as its key was good when it was made: one that was prolonged, expired or
// retired since leaves it as it was, one that was compromised does not, and signing with a key that had expired
// convinces nobody.
func TestSignersOverTime(t *testing.T) {
	g := newGnuPG(t)
	now := time.Now().Add(time.Second)
	signed := func(fingerprint string, at time.Time) []byte {
		s, err := NewSigner(t.Context(), SignerOptions{File: keyFile(t, g.secret(fingerprint)), Now: func() time.Time { return at }})
		if err != nil {
			t.Fatal(err)
		}
		sig, err := s.Sign(t.Context(), sums)
		if err != nil {
			t.Fatal(err)
		}
		return sig
	}
	check := func(t *testing.T, fingerprint string, sig []byte, at time.Time, want error) {
		t.Helper()
		said, err := Signers{one(t, g.public(fingerprint))}.Verify(sums, sig, at)
		if !errors.Is(err, want) || (want == nil) != (err == nil) || said.Fingerprint != fingerprint {
			t.Errorf("%+v, %v instead of %v", said, err, want)
		}
	}
	begin := now
	faked := func(seconds int) string { // what gpg takes for the time
		return begin.Add(time.Duration(seconds)*time.Second).UTC().Format("20060102T150405") + "!"
	}
	ends := g.key("ends", "ecc", "10d")
	early, late := signed(ends, now), signed(ends, now.AddDate(0, 0, 9))
	check(t, ends, early, now, nil)
	check(t, ends, early, now.AddDate(0, 0, 30), nil) // the key has expired since
	g.run(nil, "--faked-system-time", faked(4), "--quick-set-expire", ends, "5d")
	check(t, ends, early, now, nil)                                               // before the newest self-signature of the key
	check(t, ends, late, now.AddDate(0, 0, 30), ErrSignerInvalid)                 // after the end that the key has now
	g.run(nil, "--faked-system-time", faked(8), "--quick-set-expire", ends, "1y") // prolonged
	check(t, ends, late, now.AddDate(0, 0, 30), nil)                              // so it was good
	check(t, ends, signed(ends, now.AddDate(0, 1, 0)), now, nil)                  // and signs again
	check(t, ends, g.run(sums, "--faked-system-time", faked(12), "-u", ends, "--detach-sign"), now, nil)

	// Of a subkey the whole key's end counts too, and its own revocation.
	sub := g.key("sub", "sub-sign", "0")
	early, late = signed(sub, time.Now()), signed(sub, now.AddDate(0, 0, 9))
	g.run(nil, "--faked-system-time", faked(4), "--quick-set-expire", sub, "5d")
	check(t, sub, early, now, nil)
	check(t, sub, late, now, ErrSignerInvalid)
	lost := g.key("lost", "sub-sign", "0")
	early = signed(lost, time.Now())
	g.edit(lost, "key 1", "revkey", "y", "1", "", "y", "save") // compromised
	check(t, lost, early, now, ErrSignerInvalid)

	compromised := g.key("compromised", "ecc", "0")
	now = time.Now()
	sig := signed(compromised, now)
	check(t, compromised, sig, now, nil)
	g.revoke(compromised) // without a reason: as good as compromised
	check(t, compromised, sig, now, ErrSignerInvalid)

	retired := g.key("retired", "ecc", "0")
	now = time.Now()
	sig, later := signed(retired, now), signed(retired, now.Add(time.Hour))
	for time.Now().Unix() <= now.Unix() { // OpenPGP counts in seconds, and this one is not over
		time.Sleep(20 * time.Millisecond)
	}
	g.edit(retired, "revkey", "y", "3", "", "y", "save") // no longer used
	check(t, retired, sig, now, nil)
	check(t, retired, later, now, ErrSignerInvalid)
	limited := g.run(sums, "--faked-system-time", faked(12), "-u", ends, "--default-sig-expire", "1d", "--detach-sign")
	check(t, ends, limited, now, nil)
	check(t, ends, limited, now.AddDate(0, 0, 2), ErrSignerInvalid)
}

// Promise: what is no signature of a file is an error and never passes: nothing, text, a key, a signed message, a
// clear-text signature, one of text, two signatures, trailing bytes, any cut and any flipped bit.
func TestSignatureMalformed(t *testing.T) {
	g := newGnuPG(t)
	f := g.key("ecc", "ecc", "0")
	signers := Signers{one(t, g.public(f))}
	good := g.run(sums, "-u", f, "--detach-sign")
	for name, sig := range map[string][]byte{
		"empty": nil, "text": []byte("all is well\n"), "a key": g.public(f), "an armored key": g.run(nil, "--armor", "--export", f),
		"a signed message": g.run(sums, "-u", f, "--sign"), "clear text": g.run(sums, "-u", f, "--clear-sign"),
		"of text": g.run(sums, "-u", f, "--textmode", "--detach-sign"), "two": append(good[:len(good):len(good)], good...),
		"trailing": append(good[:len(good):len(good)], 0), "huge": make([]byte, SignatureLimit+1),
	} {
		if said, err := signers.Verify(sums, sig, time.Now()); !errors.Is(err, ErrSignature) {
			t.Errorf("%s: %+v, %v", name, said, err)
		}
	}
	for i := range good {
		if _, err := signers.Verify(sums, good[:i], time.Now()); err == nil {
			t.Errorf("cut at %d passes", i)
		}
	}
	said, err := Signers{generated(t, "somebody", nil)}.Verify(sums, good, time.Now())
	if !errors.Is(err, ErrUnknownSigner) || said.Key != f || said.Fingerprint != "" {
		t.Errorf("unknown: %+v, %v", said, err)
	}
	if _, err := (Signers)(nil).Verify(sums, good, time.Now()); !errors.Is(err, ErrUnknownSigner) {
		t.Errorf("no signers: %v", err)
	}
}

// Promise: what is left of a key after wipe signs nothing: its numbers are zeros, for each algorithm that gpg offers.
func TestWipe(t *testing.T) {
	g := newGnuPG(t)
	nist := g.batch("Key-Type: ECDSA\nKey-Curve: nistp256\nKey-Usage: sign,cert\nName-Real: nist\nName-Email: nist@example.org\n%no-protection\n")
	for _, fingerprint := range []string{g.key("rsa", "rsa", "0"), g.key("sub", "sub-sign", "0"), nist} {
		k := one(t, g.secret(fingerprint))
		private := []*packet.PrivateKey{k.entity.PrivateKey}
		for _, s := range k.entity.Subkeys {
			private = append(private, s.PrivateKey)
		}
		var numbers []func() bool // whether all is zero
		for _, p := range private {
			switch raw := p.PrivateKey.(type) {
			case *rsa.PrivateKey:
				d, prime := raw.D.Bits(), raw.Primes[0].Bits()
				numbers = append(numbers, func() bool { return zero(d) && zero(prime) })
			case *pgpecdsa.PrivateKey:
				d := raw.D.Bits()
				numbers = append(numbers, func() bool { return zero(d) })
			case *pgpeddsa.PrivateKey:
				numbers = append(numbers, func() bool { return zero(raw.D) })
			default:
				t.Errorf("%T is not wiped", raw)
			}
		}
		k.wipe()
		for i, gone := range numbers {
			if !gone() || private[i].PrivateKey != nil {
				t.Errorf("%s: part %d is still there", fingerprint, i)
			}
		}
	}
}

func zero[T comparable](numbers []T) bool {
	var none T
	return len(numbers) > 0 && !slices.ContainsFunc(numbers, func(n T) bool { return n != none })
}
