package seal

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"

	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/bmad-forge/forgectl/pkg/proc"
)

// Unlocker asks gpg, and so its agent (which may hold a passphrase, or ask for one if it has a way to), for the session key.
// The bulk of the message never passes through gpg. Without a fitting key, or without gpg, the error is a *NoSecretKeyError.
func (g GPG) Unlocker() Unlocker { return gpgUnlocker{g} }

type gpgUnlocker struct{ gpg GPG }

func (u gpgUnlocker) Unlock(ctx context.Context, pkesk []byte) (*SessionKey, error) {
	// gpg's log goes where its status goes, into a buffer that nobody else sees: both name the session key.
	c := u.gpg.command("--status-fd", "1", "--logger-fd", "1", "--show-session-key",
		"--output", "/dev/null", "--yes", "--decrypt")
	c.Stdin = bytes.NewReader(withoutContent(pkesk))
	var out secretBuffer
	defer out.wipe()
	c.Stdout = &out
	runErr := u.gpg.Runner.Run(ctx, c)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if errors.Is(runErr, proc.ErrNotFound) {
		return nil, &NoSecretKeyError{KeyIDs: keyIDs(pkesk), Note: "gpg is not installed"}
	}
	answer := parseStatus(out.bytes())
	if answer.key != nil {
		return answer.key, nil // that gpg then fails on the content that is none is expected
	}
	return nil, answer.problem(pkesk, runErr)
}

// withoutContent makes the shortest message that lets gpg show the session key: gpg does so only when encrypted data
// follow. What they decrypt to is meaningless.
func withoutContent(pkesk []byte) []byte {
	const size = 1 + 18 + 22 // version, prefix of the cipher, integrity code
	m := append(bytes.Clone(pkesk), 0xC0|tagEncrypted, size, 1)
	return append(m, make([]byte, size-1)...)
}

// gpgAnswer is what gpg said, without any secret but the key.
type gpgAnswer struct {
	key    *SessionKey
	keyErr error
	absent bool   // gpg reported a missing secret key
	code   int    // of a secret key that was there but could not be used; 0: none
	reason string // the same for people
}

// parseStatus reads status lines (doc/DETAILS of GnuPG) and the log between them.
func parseStatus(out []byte) gpgAnswer {
	var a gpgAnswer
	for line := range bytes.Lines(out) {
		line = bytes.TrimSpace(line)
		if status, ok := bytes.CutPrefix(line, []byte("[GNUPG:] ")); ok {
			a.status(bytes.Fields(status))
		} else if reason, ok := bytes.CutPrefix(line, []byte("gpg: public key decryption failed: ")); ok {
			a.reason = printable(string(reason))
		}
	}
	return a
}

func (a *gpgAnswer) status(f [][]byte) {
	switch {
	case len(f) >= 2 && string(f[0]) == "SESSION_KEY":
		a.key, a.keyErr = parseSessionKey(f[1])
	case len(f) >= 1 && string(f[0]) == "NO_SECKEY":
		a.absent = true
	case len(f) >= 3 && string(f[0]) == "ERROR" && string(f[1]) == "pkdecrypt_failed":
		n, _ := strconv.ParseUint(string(f[2]), 10, 32)
		a.code = int(n & 0xffff) // the rest says which program found it
	}
}

// parseSessionKey reads "9:0123…", cipher and key.
func parseSessionKey(s []byte) (*SessionKey, error) {
	cipher, digits, ok := bytes.Cut(s, []byte(":"))
	id, err := strconv.ParseUint(string(cipher), 10, 8)
	if !ok || err != nil {
		return nil, errors.New("session key from gpg is malformed")
	}
	key := make([]byte, hex.DecodedLen(len(digits)))
	if _, err := hex.Decode(key, digits); err != nil {
		clear(key)
		return nil, errors.New("session key from gpg is malformed")
	}
	return newSessionKey(packet.CipherFunction(id), key)
}

// problem explains why there is no session key.
func (a gpgAnswer) problem(pkesk []byte, runErr error) error {
	switch {
	case a.keyErr != nil:
		return a.keyErr
	case lacksPassphrase(a.code):
		return fmt.Errorf("%w: gpg: %s", ErrPassphrase, a.reason)
	case a.code != 0:
		return fmt.Errorf("gpg: %s", a.reason)
	case a.absent || runErr == nil:
		return &NoSecretKeyError{KeyIDs: keyIDs(pkesk)}
	}
	var e *proc.Error
	if errors.As(runErr, &e) && e.Err == nil && len(e.Stderr) == 0 {
		return fmt.Errorf("gpg found no session key (exit status %d)", e.ExitCode)
	}
	return runErr
}

// lacksPassphrase knows the codes of libgpg-error that mean: the secret key is there, but closed.
func lacksPassphrase(code int) bool {
	switch code {
	case 11, 31, // bad, invalid passphrase
		85, 86, // no pinentry, it failed
		87, 178, // bad, no PIN
		99, 198, // cancelled
		177,         // no passphrase given
		1<<15 | 102: // ENOTTY: pinentry has no terminal
		return true
	}
	return false
}

// secretBuffer is bounded, and zeroed as a whole: it never grows, which would leave a copy behind.
type secretBuffer struct {
	data [256 << 10]byte // some hundred bytes for each recipient
	n    int
}

func (b *secretBuffer) Write(p []byte) (int, error) {
	n := copy(b.data[b.n:], p)
	b.n += n
	if n < len(p) {
		return n, errors.New("gpg says too much")
	}
	return n, nil
}

func (b *secretBuffer) bytes() []byte { return b.data[:b.n] }
func (b *secretBuffer) wipe()         { clear(b.data[:]) }
