package rediscache

import (
	"errors"
	"fmt"
	"net"
	"strings"
)

// What a server says when it does not do what it was asked.
var (
	ErrAuth     = errors.New("it wants another user or password")
	ErrRights   = errors.New("the user has no right to do that")
	ErrLoading  = errors.New("it is still loading its data")
	ErrReadOnly = errors.New("it is a replica that takes no writes")
	ErrFull     = errors.New("its memory is full, and it may not evict anything")
	ErrRefused  = errors.New("it refuses writes")
	ErrBusy     = errors.New("it is busy with a script")
)

// errTime means that the connection stands, and nothing comes.
var errTime = errors.New("no answer in time")

// replies are the codes that answers begin with.
func replies() []struct {
	code string
	err  error
} {
	return []struct {
		code string
		err  error
	}{
		{"WRONGPASS", ErrAuth}, {"NOAUTH", ErrAuth}, {"ERR invalid password", ErrAuth}, {"ERR AUTH", ErrAuth}, {"ERR Client sent AUTH", ErrAuth},
		{"NOPERM", ErrRights}, {"LOADING", ErrLoading}, {"READONLY", ErrReadOnly}, {"OOM", ErrFull},
		{"MISCONF", ErrRefused}, {"NOREPLICAS", ErrRefused}, {"MASTERDOWN", ErrRefused}, {"BUSY", ErrBusy},
	}
}

// Explain names what an answer of the server means, by one of the Err values; the
// server's words stay. Other errors come back as they are, but shorter.
func Explain(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	for _, r := range replies() {
		if at := strings.Index(text, r.code+" "); at == 0 || at > 0 && strings.HasSuffix(text[:at], ": ") {
			return fmt.Errorf("%w (%s)", r.err, text[at:])
		}
	}
	var op *net.OpError
	switch {
	case errors.As(err, &op) && op.Timeout():
		return errTime
	case errors.As(err, &op):
		return op
	}
	return err
}
