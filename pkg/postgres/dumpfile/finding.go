package dumpfile

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// Kind says why something in a dump is refused.
type Kind int

// The kinds. Only Cluster is a matter of trust.
const (
	// Database: it creates, drops, changes or connects to a database. What is loaded has a place to go to already.
	Database Kind = iota + 1
	// Meta is a command of psql itself; they run programs and open files and connections on this host.
	Meta
	// Trick is a text that psql, the server and we may not read in the same way.
	Trick
	// Cluster reaches beyond the database: roles, other files, programs on the server, the session's own role.
	Cluster
	// Unsure is a text that psql reads in two ways depending on a setting that a file can change in secret. pg_dump writes
	// such texts too, so it is refused only where psql has no \restrict to fall back on.
	Unsure
)

// Finding is one thing that does not belong in a dump of one database.
type Finding struct {
	Line  int    // of the SQL text, from 1; in an archive: of the entry's definition
	Entry string // of an archive
	What  string // "DROP DATABASE", `\connect`, "COPY FROM PROGRAM"
	Name  string // that it concerns; may be empty
	Kind  Kind
}

func (f Finding) String() string {
	where := fmt.Sprintf("line %d", f.Line)
	if f.Entry != "" {
		where = f.Entry
	}
	return strings.TrimSpace(where + ": " + f.What + " " + f.Name)
}

var (
	// ErrRefused is wrapped by a RefusedError.
	ErrRefused = errors.New("refused")
	// ErrNotDump means that a file is something else than a dump; the text says what it looks like.
	ErrNotDump = errors.New("not a dump")
	// ErrUnsupported means that a file may be a dump, but has to be unpacked by another program first.
	ErrUnsupported = errors.New("not supported")
	// ErrDamaged means that a file is not whole.
	ErrDamaged = errors.New("damaged or cut off")
	// ErrChanged means that a file is no longer what was examined.
	ErrChanged = errors.New("the file has changed since it was opened")
)

// RefusedError says why a dump is not loaded.
type RefusedError struct {
	Findings []Finding
	More     int // findings that are not in the list
	// Unmarked: pg_dump's last line is missing, so nobody knows whether something was cut off.
	Unmarked bool
}

// shown is how many findings fit a message.
const shown = 5

func (e *RefusedError) Error() string {
	var parts []string
	for i, f := range e.Findings {
		if i == shown {
			break
		}
		parts = append(parts, f.String())
	}
	if more := len(e.Findings) + e.More - len(parts); more > 0 {
		parts = append(parts, fmt.Sprintf("and %d more", more))
	}
	if e.Unmarked {
		parts = append(parts, "truncated? the line \""+endMarker+"\" is missing at its end")
	}
	return "refused: " + strings.Join(parts, "; ")
}

// Is makes errors.Is(err, ErrRefused) true.
func (e *RefusedError) Is(target error) bool { return target == ErrRefused }

// printable makes a text from a file safe to show, and short.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, strings.ToValidUTF8(s, "?"))
	if r := []rune(s); len(r) > maxMetaName {
		return string(r[:maxMetaName]) + "…"
	}
	return s
}
