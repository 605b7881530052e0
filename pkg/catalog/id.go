package catalog

import (
	"fmt"
	"time"
)

// idLayout is how an ID spells a moment.
const idLayout = "20060102T150405Z"

// ID names one set inside its group: the start of the run in UTC, to the second, as 20261123T020000Z.
// IDs order as the sets do, also as plain strings.
type ID string

// NewID is the id of a run that starts at t. Fractions of a second are dropped.
func NewID(t time.Time) ID { return ID(t.UTC().Format(idLayout)) }

// ParseID accepts exactly what NewID writes; everything else is ErrInvalid.
func ParseID(s string) (ID, error) {
	// time.Parse alone is too kind: it takes fractions of a second.
	t, err := time.Parse(idLayout, s)
	if err != nil || string(NewID(t)) != s {
		return "", fmt.Errorf("set id %q: %w", s, ErrInvalid)
	}
	return ID(s), nil
}

// Time is the start that the id names, the zero time when the id is malformed.
func (id ID) Time() time.Time {
	t, err := time.Parse(idLayout, string(id))
	if err != nil {
		return time.Time{}
	}
	return t
}

func (id ID) String() string { return string(id) }
