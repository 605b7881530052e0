package seal

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/mail"
	"strings"
	"time"

	"github.com/bmad-forge/forgectl/pkg/proc"
)

// GPG is the GnuPG that is installed: its public keyring to find recipients, its agent to unlock. It is never asked to
// encrypt, and never decrypts more than a session key.
type GPG struct {
	Runner proc.Runner
	Home   string // --homedir; default: gpg's own
	Path   string // default: gpg
}

// ErrKeyName means that a name is no fingerprint, no long key id and no e-mail address.
var ErrKeyName = errors.New("neither a fingerprint, nor a long key id, nor an e-mail address")

// AmbiguousError means that more than one usable key answers to a name.
type AmbiguousError struct {
	Name string
	Keys []*Key
}

func (e *AmbiguousError) Error() string {
	var list []string
	for _, k := range e.Keys {
		list = append(list, fmt.Sprintf("%s (%s)", k.Fingerprint(), k.UserID()))
	}
	return fmt.Sprintf("%d usable keys: %s", len(e.Keys), strings.Join(list, ", "))
}

// Find returns the one key in gpg's public keyring that name (a fingerprint, a long key id or an e-mail address) stands
// for and that can be encrypted to now. Several usable keys are an *AmbiguousError, none is ErrNoKey, and keys that are
// there but cannot be used are their *KeyErrors. Trust is not looked at: a fingerprint says exactly which key is meant.
func (g GPG) Find(ctx context.Context, name string, now time.Time) (*Key, error) {
	key, err := g.find(ctx, name, now)
	if err != nil {
		return nil, fmt.Errorf("find key %q: %w", name, err)
	}
	return key, nil
}

func (g GPG) find(ctx context.Context, name string, now time.Time) (*Key, error) {
	wanted, err := parseKeyName(name)
	if err != nil {
		return nil, err
	}
	data, err := proc.Output(ctx, g.Runner, g.command("--export", "--", wanted.query))
	if err != nil {
		return nil, err
	}
	if len(data) == 0 {
		return nil, ErrNoKey
	}
	keys, err := ReadKeys(data)
	if err != nil {
		return nil, err
	}
	var usable []*Key
	var problems []error
	for _, k := range keys {
		switch err := wanted.check(k, now); {
		case err == nil:
			usable = append(usable, k)
		case !errors.Is(err, ErrNoKey):
			problems = append(problems, err)
		}
	}
	switch {
	case len(usable) == 1:
		return usable[0], nil
	case len(usable) > 1:
		return nil, &AmbiguousError{Name: name, Keys: usable}
	case len(problems) > 0:
		return nil, joined(problems)
	}
	return nil, ErrNoKey
}

func (g GPG) command(args ...string) proc.Cmd {
	c := proc.Cmd{Path: g.Path, Env: []string{"LC_ALL=C.UTF-8"}}
	if c.Path == "" {
		c.Path = "gpg"
	}
	c.Args = append(c.Args, "--batch", "--no-tty")
	if g.Home != "" {
		c.Args = append(c.Args, "--homedir", g.Home)
	}
	c.Args = append(c.Args, args...)
	return c
}

// keyName is what an operator may call a key.
type keyName struct {
	query string // for gpg
	hex   string // end of a fingerprint, in upper case
	email string
}

func parseKeyName(name string) (keyName, error) {
	name = strings.TrimSpace(name)
	digits := strings.ReplaceAll(name, " ", "") // as gpg prints fingerprints
	digits = strings.TrimPrefix(strings.TrimPrefix(digits, "0x"), "0X")
	if _, err := hex.DecodeString(digits); err == nil {
		switch len(digits) {
		case 16, 40, 64:
			return keyName{query: "0x" + digits, hex: strings.ToUpper(digits)}, nil
		case 8:
			return keyName{}, fmt.Errorf("%w: a short key id can be forged", ErrKeyName)
		}
	}
	address := strings.TrimSuffix(strings.TrimPrefix(name, "<"), ">")
	if a, err := mail.ParseAddress(address); err == nil && a.Address == address {
		return keyName{query: "<" + address + ">", email: address}, nil
	}
	return keyName{}, ErrKeyName
}

// check says why a key that gpg offered is not the one: ErrNoKey when it was not meant at all.
func (n keyName) check(k *Key, now time.Time) error {
	if n.hex != "" && !k.hasFingerprint(n.hex) {
		return ErrNoKey
	}
	if n.email != "" {
		if err := k.checkAddress(n.email, now); err != nil {
			return err
		}
	}
	return k.CanEncrypt(now)
}

func (k *Key) hasFingerprint(end string) bool {
	if strings.HasSuffix(k.Fingerprint(), end) {
		return true
	}
	for _, s := range k.entity.Subkeys {
		if strings.HasSuffix(fingerprint(s.PublicKey), end) {
			return true
		}
	}
	return false
}

// checkAddress wants a user id with exactly this address that was not revoked.
func (k *Key) checkAddress(address string, now time.Time) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	err := ErrNoKey
	for _, id := range k.entity.Identities {
		if id.UserId == nil || !strings.EqualFold(id.UserId.Email, address) {
			continue
		}
		if _, invalid := id.Verify(now, readConfig()); invalid == nil {
			return nil
		}
		err = k.errorf(fmt.Errorf("%w: its user id with this address is not valid", ErrKeyRevoked))
		if problem := k.primaryProblem(now); problem != nil {
			err = k.errorf(problem)
		}
	}
	return err
}
