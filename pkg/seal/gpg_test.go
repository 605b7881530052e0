package seal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/bmad-forge/forgectl/pkg/proc"
)

// unzstd is the ordinary one.
func unzstd(t *testing.T, packed []byte) []byte {
	t.Helper()
	cmd := exec.Command("zstd", "-dc")
	cmd.Stdin = bytes.NewReader(packed)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("zstd: %v", err)
	}
	return out
}

// What is sealed to keys of gpg opens with `gpg | zstd`, for every recipient, and the way back works too: through the
// agent and with exported secret keys, for messages that gpg made, to hidden recipients as well.
func TestGnuPGBothWays(t *testing.T) {
	g := newGnuPG(t)
	g.key("rsa", "rsa", "0")
	g.key("ecc", "ecc", "1y")
	g.key("onekey", "one-key", "0")
	names := []string{"rsa", "ecc", "onekey"}
	data := rows(300_000)
	ctx := context.Background()

	var all []*Key
	for _, name := range names {
		all = append(all, one(t, g.public(name)))
	}
	sealed, _ := pack(t, data, Options{Recipients: all})
	plain, _ := pack(t, data, Options{})

	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// A second home with this secret key only: gpg must not open the message with another one.
			own := newGnuPG(t)
			own.run(g.secret(name), "--import")
			if got := unzstd(t, own.run(sealed, "--decrypt")); !bytes.Equal(got, data) {
				t.Errorf("gpg | zstd gives %d bytes of %d", len(got), len(data))
			}
			armored := own.run(nil, "--armor", "--export-secret-keys", name)
			unlockers := map[string]Unlocker{
				"agent":   own.lib().Unlocker(),
				"keyring": &Keyring{Keys: []*Key{one(t, own.secret(name))}},
				"armored": &Keyring{Keys: []*Key{one(t, armored)}},
				"chain":   Chain(&Keyring{Keys: []*Key{generated(t, "other", nil)}}, own.lib().Unlocker()),
			}
			messages := map[string][]byte{
				"ours":        sealed,
				"gpg's":       own.run(plain, "--encrypt", "--compress-algo", "none", "-r", name),
				"gpg, hidden": own.run(plain, "--encrypt", "--compress-algo", "none", "-R", name),
			}
			for who, u := range unlockers {
				for what, message := range messages {
					r, err := NewReader(ctx, bytes.NewReader(message), true, u)
					if err != nil {
						t.Errorf("%s, %s: %v", who, what, err)
						continue
					}
					got, err := io.ReadAll(r)
					r.Close()
					if err != nil || !bytes.Equal(got, data) {
						t.Errorf("%s, %s: %d bytes of %d, %v", who, what, len(got), len(data), err)
					}
				}
			}
		})
	}
}

// gpg sees AES-256 with an integrity code, no compression, no name and no time: nothing tells where it came from.
func TestMessageForm(t *testing.T) {
	g := newGnuPG(t)
	g.key("alice", "ecc", "0")
	sealed, _ := pack(t, rows(100), Options{Recipients: []*Key{one(t, g.public("alice"))}})
	out, log, err := g.try(sealed, "--verbose", "--list-packets")
	text := string(out) + log
	for _, want := range []string{"version 3, algo 18", "mdc_method: 2", `mode b (62), created 0, name=""`, "AES256"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in (%v)\n%s", want, err, text)
		}
	}
	for _, unwanted := range []string{":compressed packet", ":signature packet", "armor:"} {
		if strings.Contains(text, unwanted) {
			t.Errorf("%q in\n%s", unwanted, text)
		}
	}
}

// A message that gpg compressed is refused: it is not what a Writer writes.
func TestCompressedMessage(t *testing.T) {
	g := newGnuPG(t)
	g.key("alice", "ecc", "0")
	plain, _ := pack(t, rows(3000), Options{})
	message := g.run(plain, "--encrypt", "--compress-algo", "zlib", "-r", "alice")
	if _, err := NewReader(context.Background(), bytes.NewReader(message), true, g.lib().Unlocker()); !errors.Is(err, ErrCorrupt) {
		t.Errorf("got %v", err)
	}
}

const passphrase = "Tr0ub4dor & 3"

// A key with a passphrase: from a file with a callback, and through an agent that knows it, or cannot ask.
func TestPassphrase(t *testing.T) {
	g := newGnuPG(t)
	g.run(nil, "--passphrase", passphrase, "--quick-gen-key", "Ops <ops@example.org>", "future-default", "default", "0")
	secret := g.run(nil, "--passphrase", passphrase, "--export-secret-keys", "ops")
	sealed, _ := pack(t, rows(1000), Options{Recipients: []*Key{one(t, g.public("ops"))}})
	ctx := context.Background()
	open := func(u Unlocker) error {
		r, err := NewReader(ctx, bytes.NewReader(sealed), true, u)
		if err != nil {
			return err
		}
		defer r.Close()
		_, err = io.Copy(io.Discard, r)
		return err
	}

	t.Run("asked once", func(t *testing.T) {
		asked := 0
		given := []byte(passphrase)
		ring := &Keyring{Keys: []*Key{one(t, secret)}, Passphrase: func(context.Context) ([]byte, error) {
			asked++
			return given, nil
		}}
		for range 3 {
			if err := open(ring); err != nil {
				t.Fatal(err)
			}
		}
		if asked != 1 {
			t.Errorf("asked %d times", asked)
		}
		if !bytes.Equal(given, make([]byte, len(passphrase))) {
			t.Error("the passphrase was not zeroed")
		}
	})
	t.Run("wrong", func(t *testing.T) {
		asked := 0
		ring := &Keyring{Keys: []*Key{one(t, secret)}, Passphrase: func(context.Context) ([]byte, error) {
			asked++
			return []byte("wrong-guess"), nil
		}}
		for range 2 {
			err := open(ring)
			if !errors.Is(err, ErrPassphrase) || errors.Is(err, ErrNoSecretKey) || strings.Contains(fmt.Sprint(err), "wrong-guess") {
				t.Errorf("got %v", err)
			}
		}
		if asked != 1 {
			t.Errorf("asked %d times", asked)
		}
	})
	t.Run("none given", func(t *testing.T) {
		if err := open(&Keyring{Keys: []*Key{one(t, secret)}}); !errors.Is(err, ErrPassphrase) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("callback fails", func(t *testing.T) {
		gone := errors.New("passphrase file is gone")
		ring := &Keyring{Keys: []*Key{one(t, secret)}, Passphrase: func(context.Context) ([]byte, error) { return nil, gone }}
		if err := open(ring); !errors.Is(err, ErrPassphrase) || !errors.Is(err, gone) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("agent", func(t *testing.T) {
		// An agent that starts anew has forgotten the passphrase of the new key, and has no way to ask.
		g.restartAgent()
		if err := open(g.lib().Unlocker()); !errors.Is(err, ErrPassphrase) || errors.Is(err, ErrNoSecretKey) {
			t.Errorf("a closed key: %v", err)
		}
		if err := open(Chain(&Keyring{}, g.lib().Unlocker())); !errors.Is(err, ErrPassphrase) {
			t.Errorf("a closed key at the end of a chain: %v", err)
		}
		g.preset(passphrase, "ops")
		if err := open(g.lib().Unlocker()); err != nil {
			t.Errorf("an agent that knows the passphrase: %v", err)
		}
	})
}

// Without the secret key both unlockers say so, and to whom the message is sealed; without gpg too.
func TestNoSecretKey(t *testing.T) {
	g := newGnuPG(t)
	empty := newGnuPG(t)
	g.key("alice", "ecc", "0")
	key := one(t, g.public("alice"))
	sealed, _ := pack(t, rows(1000), Options{Recipients: []*Key{key}})
	public, err := key.encryptionKey(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	id := fmt.Sprintf("%016X", public.KeyId)
	missing := GPG{Runner: proc.System{Environ: os.Environ()}, Path: "gpg-that-is-not-here"}
	for name, u := range map[string]Unlocker{
		"gpg":          empty.lib().Unlocker(),
		"keyring":      &Keyring{Keys: []*Key{generated(t, "bob", nil)}},
		"public only":  &Keyring{Keys: []*Key{key}},
		"empty chain":  Chain(),
		"whole chain":  Chain(&Keyring{}, empty.lib().Unlocker()),
		"nothing":      nil,
		"no gpg":       missing.Unlocker(),
		"chain no gpg": Chain(&Keyring{}, missing.Unlocker()),
	} {
		_, err := NewReader(context.Background(), bytes.NewReader(sealed), true, u)
		var typed *NoSecretKeyError
		if !errors.Is(err, ErrNoSecretKey) || !errors.As(err, &typed) || !strings.Contains(err.Error(), id) {
			t.Errorf("%s: %v", name, err)
		}
		if strings.HasSuffix(name, "no gpg") && !strings.Contains(err.Error(), "gpg is not installed") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A damaged session-key packet is no missing key.
func TestDamagedHead(t *testing.T) {
	g := newGnuPG(t)
	g.key("alice", "ecc", "0")
	sealed, _ := pack(t, rows(1000), Options{Recipients: []*Key{one(t, g.public("alice"))}})
	sealed[30] ^= 1
	for name, u := range map[string]Unlocker{
		"gpg":     g.lib().Unlocker(),
		"keyring": &Keyring{Keys: []*Key{one(t, g.secret("alice"))}},
	} {
		_, err := NewReader(context.Background(), bytes.NewReader(sealed), true, u)
		if err == nil || errors.Is(err, ErrNoSecretKey) || errors.Is(err, ErrPassphrase) {
			t.Errorf("%s: %v", name, err)
		}
		if name == "gpg" && !strings.HasPrefix(err.Error(), "unseal: gpg: ") {
			t.Errorf("gpg's own reason is missing: %v", err)
		}
		t.Log(err)
	}
}

// witness runs programs and keeps what they were given and what came out of stderr.
type witness struct {
	proc.Runner
	args   []string
	stderr []string
}

func (w *witness) Run(ctx context.Context, c proc.Cmd) error {
	w.args = append(w.args, c.Args...)
	w.args = append(w.args, c.Env...)
	c.Stderr = func(line string) { w.stderr = append(w.stderr, line) }
	return w.Runner.Run(ctx, c)
}

// The session key that gpg shows is in no argument, no line of stderr (which is logged) and no error, and gpg is
// given only the head of the message.
func TestSessionKeyStaysHidden(t *testing.T) {
	g := newGnuPG(t)
	g.key("alice", "ecc", "0")
	var b bytes.Buffer
	w, err := NewWriter(&b, Options{Recipients: []*Key{one(t, g.public("alice"))}})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	hidden := fmt.Sprintf("%X", w.SessionKey().key)
	see := &witness{Runner: proc.System{Environ: os.Environ()}}
	u := GPG{Runner: see, Home: g.home}.Unlocker()
	key, err := u.Unlock(context.Background(), w.SessionKey().head)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("%X", key.key); got != hidden {
		t.Fatal("gpg found another session key")
	}
	seen := strings.Join(append(see.args, see.stderr...), "\n")
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		seen += fmt.Sprintf(format, key)
		seen += fmt.Sprintf(format, struct{ K *SessionKey }{key})
	}
	if strings.Contains(strings.ToUpper(seen), hidden) || strings.Contains(seen, fmt.Sprint(key.key)) {
		t.Errorf("the session key shows in\n%s", seen)
	}
	key.Wipe()
	if _, err := key.Unlock(context.Background(), nil); !errors.Is(err, ErrWiped) {
		t.Errorf("after Wipe: %v", err)
	}
}

// The context ends a gpg that hangs.
func TestUnlockContext(t *testing.T) {
	why := errors.New("timeout")
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(why)
	_, err := GPG{Runner: proc.System{Environ: os.Environ()}}.Unlocker().Unlock(ctx, nil)
	if !errors.Is(err, why) {
		t.Errorf("got %v", err)
	}
}
