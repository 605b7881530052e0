package lock

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"
)

// ErrHeld is what every HeldError is.
var ErrHeld = errors.New("lock is held")

// Holder says who holds a lock. It stands in the lock file as one line of JSON.
type Holder struct {
	PID       int       `json:"pid"`
	User      string    `json:"user"`
	Host      string    `json:"host"`
	Operation string    `json:"operation"`
	Since     time.Time `json:"since"`
}

// String is "pid 4711, user bmad-forge, host web1, since 2026-11-23T02:00:00Z, operation backup db", without
// what is not known.
func (h Holder) String() string {
	if h.PID == 0 {
		return "an unknown process"
	}
	parts := []string{fmt.Sprintf("pid %d", h.PID)}
	if h.User != "" {
		parts = append(parts, "user "+h.User)
	}
	if h.Host != "" {
		parts = append(parts, "host "+h.Host)
	}
	if !h.Since.IsZero() {
		parts = append(parts, "since "+h.Since.UTC().Format(time.RFC3339))
	}
	if h.Operation != "" {
		parts = append(parts, "operation "+h.Operation)
	}
	return strings.Join(parts, ", ")
}

// HeldError says that a lock is held, and by whom. Holder is zero when the file does not tell. Of several
// holders of a shared lock it is one.
type HeldError struct {
	Path   string
	Holder Holder
}

func (e *HeldError) Error() string { return fmt.Sprintf("%s is locked by %s", e.Path, e.Holder) }

// Is makes errors.Is(err, ErrHeld) hold.
func (e *HeldError) Is(target error) bool { return target == ErrHeld }

// filled completes what the caller left empty.
func (h Holder) filled() Holder {
	if h.PID == 0 {
		h.PID = os.Getpid()
	}
	if h.Host == "" {
		h.Host, _ = os.Hostname()
	}
	if h.Since.IsZero() {
		h.Since = time.Now()
	}
	h.Since = h.Since.UTC().Truncate(time.Second)
	return h
}

// alive reports whether the holder may still run. Of another host nothing is known, so it may.
func (h Holder) alive() bool {
	if h.PID <= 0 {
		return false
	}
	if host, err := os.Hostname(); err == nil && h.Host != host {
		return true
	}
	err := syscall.Kill(h.PID, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}

// maxHolders bounds what is read of a lock file, and from what size on shared holders start it anew.
const maxHolders = 64 << 10

// write records an exclusive holder in the place of whatever there was, a shared one below the others.
func (h Holder) write(f *os.File, shared bool) error {
	line, err := json.Marshal(h)
	if err != nil {
		return err
	}
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	if !shared || fi.Size() > maxHolders {
		if err := f.Truncate(0); err != nil {
			return err
		}
	}
	// The file is open for appending: two shared holders do not overwrite each other.
	_, err = f.Write(append(line, '\n'))
	return err
}

// readHolder finds the newest holder that may still run, or else the newest.
func readHolder(f *os.File) Holder {
	data, err := io.ReadAll(io.NewSectionReader(f, 0, 2*maxHolders))
	if err != nil {
		return Holder{}
	}
	var newest Holder
	for line := range bytes.Lines(data) {
		var h Holder
		if json.Unmarshal(line, &h) == nil && (h.alive() || !newest.alive()) {
			newest = h
		}
	}
	return newest
}
