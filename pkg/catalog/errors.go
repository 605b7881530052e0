package catalog

import (
	"errors"
	"fmt"
)

var (
	// ErrNotFound: no such set, or a directory without SHA256SUMS, which is none.
	ErrNotFound = errors.New("no such backup set")
	// ErrNewer: the schema number is larger than the one this package knows. The set may be perfectly well.
	ErrNewer = errors.New("made by a newer forgectl")
	// ErrDamaged: what every DamageError is.
	ErrDamaged = errors.New("damaged")
	// ErrInvalid: a name, id or reference that this package would never write.
	ErrInvalid = errors.New("malformed")
	// ErrNotRepository: the place holds things, but none that this package would put there.
	ErrNotRepository = errors.New("not a backup repository")
)

// The kinds of damage.
const (
	DamageMissing   = "missing"
	DamageSize      = "size mismatch"
	DamageChecksum  = "checksum mismatch"
	DamageMalformed = "malformed"
	DamageIrregular = "not a regular file"
	DamageSignature = "wrong signature"
	DamagePart      = "damage" // of a full set: in one of those that it refers to
)

// DamageError says what is wrong with a published set, and where.
type DamageError struct {
	Ref      Ref
	Artifact string // a file name inside the set, such as "manifest.json"
	Kind     string // one of the Damage constants
	Err      error  // the cause, where there is more to say; may be nil
}

func (e *DamageError) Error() string { return e.Ref.String() + ": " + e.Reason() }

// Reason is the message without the set's name, for places that have named it already.
func (e *DamageError) Reason() string {
	switch e.Kind {
	case DamageMissing, DamageIrregular:
		return e.Artifact + " is " + e.Kind
	case DamageSignature: // the cause says it all
		return fmt.Sprintf("%v", e.Err)
	case DamageMalformed:
		if e.Err != nil {
			return fmt.Sprintf("%s is malformed: %v", e.Artifact, e.Err)
		}
		return e.Artifact + " is malformed"
	}
	return e.Kind + " in " + e.Artifact
}

// Unwrap makes errors.Is(err, ErrDamaged) hold, and keeps the cause.
func (e *DamageError) Unwrap() []error {
	if e.Err == nil {
		return []error{ErrDamaged}
	}
	return []error{ErrDamaged, e.Err}
}
