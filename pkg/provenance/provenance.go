// Package provenance says where a set comes from: who signed it, whether that
// one may, and whether its server is that of its neighbours.
//
// The catalog knows that there is a signature, and seal whether it fits; the
// judgement is made here, once for all who rely on a set. The contract:
//
//   - A Finding is about the set. What this host lacks (keys that cannot be read,
//     a file that cannot) is an error when a signature is required, and otherwise
//     a warning: in a disaster the keys to check with may be the last to come back.
//   - What is wrong is Damage: a signature that does not fit, is malformed, is
//     neither by a signer nor by whom the manifest names, or was taken away. What cannot be told is a
//     Warning: one by an unknown key. Policy.Require makes damage of that too, and
//     of no signature at all.
//   - A good Finding covers the Set as it was given: the manifest in memory is the
//     one that SHA256SUMS vouches for.
package provenance

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/seal"
)

// Policy says whose signatures count. The zero value knows nobody and requires nothing.
type Policy struct {
	Signers seal.Signers
	Require bool
	// Trouble is why Signers could not be read; nil: they are all there.
	Trouble error
	Now     func() time.Time // nil: time.Now
}

// State is what became of a signature.
type State string

// The states.
const (
	None      State = "none"      // there is no signature
	Good      State = "good"      // by one of the signers
	Unknown   State = "unknown"   // by none of the signers
	Invalid   State = "invalid"   // it fits, but the signer's key was revoked, or had expired by then
	Wrong     State = "wrong"     // damaged, exchanged, forged, or taken away
	Unchecked State = "unchecked" // the set is too damaged, or the signers are not known here
)

// Finding is what is to be said of the signature of a set.
type Finding struct {
	State   State
	By      seal.Signature // as far as it is known
	Damage  error          // a *catalog.DamageError, or nil
	Refused bool           // Damage is there only because the policy requires a signature: another policy may take the set
	Warning string         // somebody should look; "": nothing
}

// Examine judges the signature of a set. It reads two small files.
func (p Policy) Examine(ctx context.Context, c *catalog.Catalog, s catalog.Set) (Finding, error) {
	switch {
	case s.Manifest == nil:
		return Finding{State: Unchecked}, nil // whoever looks at the set says why
	case !s.Signed:
		return p.unsigned(s), nil
	}
	signed, err := c.ReadSigned(ctx, s)
	if errors.Is(err, catalog.ErrDamaged) {
		return Finding{State: Wrong, Damage: err}, nil
	}
	if err != nil {
		return Finding{State: Unchecked}, err
	}
	now := time.Now
	if p.Now != nil {
		now = p.Now
	}
	by, err := p.Signers.Verify(signed.Sums, signed.Signature, now())
	f := Finding{State: Good, By: by}
	// A signer who counts may have signed it anew, after a theft of the first key; nobody else may.
	if claim := s.Manifest.Signature; claim != nil && err != nil && !errors.Is(err, seal.ErrSignature) && !isBy(by, claim) {
		return f.damaged(s, Wrong, fmt.Errorf("the manifest says that it is signed by %s, but the signature is by %s", signer(claim.Fingerprint, claim.UserID), name(by))), nil
	}
	switch {
	case err == nil:
		return f, nil
	case errors.Is(err, seal.ErrUnknownSigner):
		return p.unknown(f, s, err)
	case errors.Is(err, seal.ErrSignerInvalid):
		return p.doubtful(f, s, Invalid, err), nil
	case by.Key == "":
		return f.damaged(s, Wrong, fmt.Errorf("%s: %w", catalog.SignatureName, err)), nil
	}
	return f.damaged(s, Wrong, fmt.Errorf("%s by %s: %w", catalog.SignatureName, name(by), err)), nil
}

func (p Policy) unsigned(s catalog.Set) Finding {
	f := Finding{State: None}
	switch {
	case s.Manifest.Signature != nil:
		f.State = Wrong
		f.Damage = &catalog.DamageError{Ref: s.Ref, Artifact: catalog.SignatureName, Kind: catalog.DamageMissing}
	case p.Require:
		f = f.damaged(s, None, errors.New("not signed, but a signature is required"))
		f.Refused = true
	}
	return f
}

// unknown is about a signature whose key is not among the signers, perhaps only because these cannot be read.
func (p Policy) unknown(f Finding, s catalog.Set, err error) (Finding, error) {
	if p.Trouble == nil {
		return p.doubtful(f, s, Unknown, err), nil
	}
	f.State = Unchecked
	if p.Require {
		return f, fmt.Errorf("check its signature: %w", p.Trouble)
	}
	f.Warning = fmt.Sprintf("the signature by %s was not checked: %v", name(f.By), p.Trouble)
	return f, nil
}

func (p Policy) doubtful(f Finding, s catalog.Set, state State, err error) Finding {
	if p.Require {
		f = f.damaged(s, state, err)
		f.Refused = true
		return f
	}
	f.State, f.Warning = state, err.Error()
	return f
}

func (f Finding) damaged(s catalog.Set, state State, err error) Finding {
	f.State = state
	f.Damage = &catalog.DamageError{Ref: s.Ref, Artifact: catalog.SignatureName, Kind: catalog.DamageSignature, Err: err}
	return f
}

// isBy reports whether the signature is by whom the manifest names. Of a key that is unknown here only that is known
// which the signature names itself: a fingerprint, or the end of one.
func isBy(by seal.Signature, claim *catalog.Signature) bool {
	if by.Fingerprint != "" {
		return by.Fingerprint == claim.Fingerprint
	}
	return strings.HasSuffix(claim.Fingerprint, by.Key) || claim.Key != "" && strings.HasSuffix(claim.Key, by.Key)
}

func name(by seal.Signature) string {
	if by.Fingerprint == "" {
		return by.Key
	}
	return signer(by.Fingerprint, by.UserID)
}

func signer(fingerprint, userID string) string {
	if userID == "" {
		return fingerprint
	}
	return fingerprint + " (" + userID + ")"
}

// Signer names who made the signature, as far as it is known.
func (f Finding) Signer() string {
	if f.By.Key == "" {
		return ""
	}
	return name(f.By)
}
