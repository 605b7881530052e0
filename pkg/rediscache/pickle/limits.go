package pickle

import (
	"errors"
	"fmt"
)

// Limits bound what Parse takes on. A zero means the default.
type Limits struct {
	Bytes  int // of the pickle; default 64 MiB
	Values int // objects and references that it makes; default 1 million. Each costs up to about 150 bytes
	Depth  int // how deep they are nested; default 200
}

func (l Limits) orDefaults() Limits {
	if l.Bytes == 0 {
		l.Bytes = 64 << 20
	}
	if l.Values == 0 {
		l.Values = 1 << 20
	}
	if l.Depth == 0 {
		l.Depth = 200
	}
	return l
}

// ErrLimit is in the error of a pickle that is larger than the limits allow; it may be a good one.
var ErrLimit = errors.New("larger than the limit")

// Error is a pickle that cannot be read.
type Error struct {
	Offset int // of the instruction in the pickle
	Why    string
	Err    error // ErrLimit or nil
}

func (e *Error) Error() string {
	text := fmt.Sprintf("pickle: byte %d: %s", e.Offset, e.Why)
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

func (e *Error) Unwrap() error { return e.Err }
