package archive

import (
	"errors"
	"fmt"
)

var (
	// ErrHostile is what every HostileError is.
	ErrHostile = errors.New("refused")
	// ErrMalformed: the bytes are no archive or no index, or not a whole one.
	ErrMalformed = errors.New("malformed archive")
	// ErrNotEmpty: archives are extracted into directories that hold nothing.
	ErrNotEmpty = errors.New("the directory is not empty")
	// ErrPath: a path that cannot be packed by its name.
	ErrPath = errors.New("not an absolute path of something")
)

// Reason is why an entry is refused.
type Reason string

// The reasons.
const (
	ReasonAbsolute    Reason = "its name is absolute"
	ReasonTraversal   Reason = "its name leaves the root"
	ReasonName        Reason = "its name is not a clean path"
	ReasonDuplicate   Reason = "there is an entry of that name already"
	ReasonBelow       Reason = "it lies below an entry that is no directory"
	ReasonLinkOutside Reason = "the link leaves the root"
	ReasonHardLink    Reason = "it is a hard link to no earlier file"
	ReasonDevice      Reason = "it is a device, FIFO or socket"
	ReasonType        Reason = "it is of an unknown type"
	ReasonSparse      Reason = "it is a sparse file"
	ReasonSize        Reason = "it has content, and its type has none"
	ReasonNumber      Reason = "owner, mode or time are out of range"

	ReasonManyEntries Reason = "the archive has more entries than it may"
	ReasonManyBytes   Reason = "the archive is larger than it may be"
	ReasonLongName    Reason = "its name is longer than it may be"
	ReasonDeep        Reason = "it lies deeper than it may"
)

// HostileError is an entry that a well-meaning archive does not have, or a limit that was exceeded.
type HostileError struct {
	Name   string // as the archive has it; "" where no entry is to blame
	Reason Reason
}

func (e *HostileError) Error() string {
	if e.Name == "" {
		return fmt.Sprintf("archive refused: %s", e.Reason)
	}
	return fmt.Sprintf("archive refused at %.300q: %s", e.Name, e.Reason)
}

// Unwrap makes errors.Is(err, ErrHostile) hold.
func (e *HostileError) Unwrap() error { return ErrHostile }
