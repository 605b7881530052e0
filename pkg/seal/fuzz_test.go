package seal

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// FuzzReader holds that no input makes the reader panic, hang or give more than its frames may hold, and that every
// error is ErrCorrupt. The message is opened with a known session key, so that the fuzzer gets past the cipher.
func FuzzReader(f *testing.F) {
	raw := bytes.Repeat([]byte{7}, 32)
	key := func() *SessionKey { return &SessionKey{cipher: packet.CipherAES256, key: bytes.Clone(raw)} }
	for _, data := range [][]byte{nil, []byte("a"), rows(2000)} {
		var plain bytes.Buffer
		w, err := NewWriter(&plain, Options{frame: 900})
		if err != nil {
			f.Fatal(err)
		}
		if _, err := w.Write(data); err != nil {
			f.Fatal(err)
		}
		if err := w.Close(); err != nil {
			f.Fatal(err)
		}
		f.Add(plain.Bytes(), false)
		message := bytes.NewBufferString("\xc1\x0c\x03\x01\x02\x03\x04\x05\x06\x07\x08\x01\x00\x00") // packet for nobody
		body, err := newMessage(message, nil, key())
		if err != nil {
			f.Fatal(err)
		}
		if _, err := body.Write(plain.Bytes()); err != nil {
			f.Fatal(err)
		}
		if err := body.Close(); err != nil {
			f.Fatal(err)
		}
		f.Add(message.Bytes(), true)
	}
	f.Fuzz(func(t *testing.T, data []byte, sealed bool) {
		r, err := NewReader(context.Background(), bytes.NewReader(data), sealed, key())
		if err == nil {
			var n int64
			n, err = io.Copy(io.Discard, r)
			r.Close()
			if n > int64(len(data)+1)*maxFrame {
				t.Errorf("%d bytes from %d", n, len(data))
			}
		}
		if err != nil && !errors.Is(err, ErrCorrupt) {
			t.Errorf("got %v", err)
		}
	})
}

// FuzzHead holds that what stands before the encrypted data is taken byte by byte or refused, within its bounds, and that
// no session-key packet makes an Unlocker panic.
func FuzzHead(f *testing.F) {
	alice := generated(f, "alice", nil)
	rsa := generated(f, "bob", func(c *packet.Config) { c.Algorithm, c.RSABits = packet.PubKeyAlgoRSA, 2048 })
	ring := &Keyring{Keys: []*Key{alice, rsa}}
	packed, _ := pack(f, []byte("a"), Options{Recipients: []*Key{alice, rsa}})
	f.Add(packed)
	f.Add([]byte("\xc1\x0c\x03\x01\x02\x03\x04\x05\x06\x07\x08\x01\x00\x00\xd2\x01"))
	f.Add([]byte("\x84\x0c\x03\x00\x00\x00\x00\x00\x00\x00\x00\x12\x00\x00\xd2\x01"))
	f.Add([]byte("\xc1\xff\xff\xff\xff\xff\x03"))
	f.Fuzz(func(t *testing.T, data []byte) {
		head, err := readHead(bufio.NewReader(bytes.NewReader(data)))
		if err != nil {
			return
		}
		if len(head) == 0 || len(head) > maxHead || !bytes.HasPrefix(data, head) {
			t.Fatalf("took %d bytes that are not the head", len(head))
		}
		key, err := ring.Unlock(context.Background(), head)
		if (key == nil) == (err == nil) {
			t.Errorf("%v, %v", key, err)
		}
		if err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrNoSecretKey) {
			t.Errorf("got %v", err)
		}
	})
}

// FuzzReadKeys holds that no key file makes the parser, or the questions about its keys, panic.
func FuzzReadKeys(f *testing.F) {
	var b bytes.Buffer
	if err := generated(f, "alice", nil).entity.Serialize(&b); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmDME\n-----END PGP PUBLIC KEY BLOCK-----\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		keys, err := ReadKeys(data)
		if (len(keys) == 0) != (err != nil) {
			t.Errorf("%d keys, %v", len(keys), err)
		}
		for _, k := range keys {
			_, _, _, _ = k.Fingerprint(), k.UserID(), k.HasSecret(), k.CanSign(testTime)
			_, _ = k.Expires()
			_ = k.CanEncrypt(testTime)
		}
	})
}

// FuzzStatus holds that nothing that gpg may print makes the parser panic or gives half a key.
func FuzzStatus(f *testing.F) {
	f.Add([]byte("[GNUPG:] SESSION_KEY 9:0102030405060708090A0B0C0D0E0F100102030405060708090A0B0C0D0E0F10\n"))
	f.Add([]byte("[GNUPG:] ERROR pkdecrypt_failed 67108875\ngpg: public key decryption failed: Bad passphrase\n"))
	f.Add([]byte("[GNUPG:] NO_SECKEY 4AD5EB6C7FC00421\n[GNUPG:] SESSION_KEY 9\n[GNUPG:]"))
	f.Fuzz(func(t *testing.T, out []byte) {
		a := parseStatus(out)
		if a.key != nil && len(a.key.key) != a.key.cipher.KeySize() {
			t.Errorf("a key of %d bytes", len(a.key.key))
		}
		if a.key == nil && a.problem(nil, nil) == nil {
			t.Error("neither a key nor a problem")
		}
	})
}
