package seal

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
)

// readForeign reads a whole message, in pieces of an odd size.
func readForeign(ctx context.Context, message []byte, u Unlocker) ([]byte, error) {
	m, err := OpenMessage(ctx, bytes.NewReader(message), u)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	var out bytes.Buffer
	_, err = io.CopyBuffer(struct{ io.Writer }{&out}, struct{ io.Reader }{m}, make([]byte, 4093))
	return out.Bytes(), err
}

// Promise: whatever gpg encrypts to a key opens, byte for byte, by a key in this
// process and by gpg's agent; and no beginning of it passes for the whole.
func TestOpenMessage(t *testing.T) {
	t.Parallel()
	g := newGnuPG(t)
	g.key("anna", "ecc", "0")
	g.key("bert", "rsa", "0")
	ring := &Keyring{Keys: []*Key{one(t, g.secret("anna"))}}
	both := &Keyring{Keys: []*Key{one(t, g.secret("anna")), one(t, g.secret("bert"))}}
	data := dump(200_000)
	for _, c := range []struct {
		name string
		u    Unlocker
		args []string
	}{
		{"as it is", ring, []string{"-r", "anna"}},
		{"not compressed", ring, []string{"-r", "anna", "-z", "0"}},
		{"zip", ring, []string{"-r", "anna", "--compress-algo", "zip"}},
		{"zlib", ring, []string{"-r", "anna", "--compress-algo", "zlib"}},
		{"bzip2", ring, []string{"-r", "anna", "--compress-algo", "bzip2"}},
		{"armored", ring, []string{"-r", "anna", "--armor"}},
		{"armored, not compressed", ring, []string{"-r", "anna", "--armor", "-z", "0"}},
		{"signed", ring, []string{"-r", "anna", "-u", "bert", "--sign"}},
		{"signed, not compressed", ring, []string{"-r", "anna", "-u", "bert", "--sign", "-z", "0"}},
		{"two recipients", ring, []string{"-r", "bert", "-r", "anna"}},
		{"hidden recipient", both, []string{"-R", "anna"}},
		{"a passphrase too", ring, []string{"-r", "anna", "-c", "--passphrase", "x"}},
		{"AES-128", ring, []string{"-r", "anna", "--cipher-algo", "AES"}},
		{"by gpg's agent", g.lib().Unlocker(), []string{"-r", "bert", "--armor"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			message := g.run(data, append([]string{"--encrypt", "--output", "-"}, c.args...)...)
			got, err := readForeign(t.Context(), message, c.u)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, data) {
				t.Fatalf("%d bytes came back of %d", len(got), len(data))
			}
			session := &once{Unlocker: c.u}
			for _, cut := range []int{0, 1, 20, 27, 100, 600, len(message) / 3, len(message) / 2, len(message) - 100, len(message) - 60, len(message) - 30, len(message) - 23, len(message) - 22, len(message) - 5, len(message) - 2} {
				if _, err := readForeign(t.Context(), message[:cut], session); !errors.Is(err, ErrCorrupt) {
					t.Errorf("the first %d of %d bytes: %v", cut, len(message), err)
				}
			}
			for _, more := range [][]byte{{0}, []byte("x"), message} {
				if _, err := readForeign(t.Context(), append(bytes.Clone(message), more...), session); !errors.Is(err, ErrCorrupt) {
					t.Errorf("with %d bytes more: %v", len(more), err)
				}
			}
			for at := len(message) / 2; at < len(message)-100; at += len(message) / 7 {
				flipped := bytes.Clone(message)
				flipped[at] ^= 1
				if got, err := readForeign(t.Context(), flipped, session); !errors.Is(err, ErrCorrupt) && !bytes.Equal(got, data) {
					t.Errorf("a bit flipped in byte %d: %v", at, err)
				}
			}
		})
	}
}

// once asks its Unlocker for the first message only: damage is tried often, and gpg is slow.
type once struct {
	Unlocker
	key *SessionKey
}

func (o *once) Unlock(ctx context.Context, pkesk []byte) (*SessionKey, error) {
	var err error
	if o.key == nil {
		o.key, err = o.Unlocker.Unlock(ctx, pkesk)
	}
	return o.key, err
}

// Promise: what cannot be opened says why: another's key, a passphrase, no
// encryption at all, no OpenPGP at all.
func TestOpenMessageRefuses(t *testing.T) {
	t.Parallel()
	g := newGnuPG(t)
	g.key("anna", "ecc", "0")
	g.key("bert", "ecc", "0")
	ring := &Keyring{Keys: []*Key{one(t, g.secret("anna"))}}
	data := []byte("SELECT 1;\n")
	for _, c := range []struct {
		name    string
		message []byte
		is      error
		says    string
	}{
		{"for somebody else", g.run(data, "--encrypt", "-r", "bert", "--output", "-"), ErrNoSecretKey, ""},
		{"by passphrase", g.run(data, "--symmetric", "--passphrase", "x", "--output", "-"), ErrForeign, "passphrase"},
		{"signed only", g.run(data, "--sign", "-u", "anna", "--output", "-"), ErrForeign, "not encrypted"},
		{"without integrity code", g.run(data, "--rfc2440", "--encrypt", "-r", "anna", "--output", "-"), ErrForeign, "integrity"},
		{"a public key", g.public("anna"), ErrCorrupt, "unexpected"},
		{"an armored key", g.run(nil, "--armor", "--export", "anna"), ErrCorrupt, "not an OpenPGP message"},
		{"text", data, ErrCorrupt, "not an OpenPGP message"},
		{"nothing", nil, ErrCorrupt, "truncated"},
	} {
		if _, err := readForeign(t.Context(), c.message, ring); !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	message := g.run(data, "--encrypt", "-r", "anna", "--output", "-")
	if _, err := readForeign(t.Context(), message, nil); !errors.Is(err, ErrNoSecretKey) {
		t.Errorf("no unlocker: %v", err)
	}
	broken := errors.New("the disk broke")
	m, err := OpenMessage(t.Context(), io.MultiReader(bytes.NewReader(message[:len(message)-10]), errReader{broken}), ring)
	if err == nil {
		_, err = io.ReadAll(m)
	}
	if !errors.Is(err, broken) || errors.Is(err, ErrCorrupt) {
		t.Errorf("a broken disk: %v", err)
	}
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }
