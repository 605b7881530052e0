package config

import (
	"fmt"
	"github.com/bmad-forge/forgectl/pkg/proc"
	"io/fs"
	"strings"
)

// Error is a mistake in what was configured. Its message is complete: the place, the cause, and below it the line.
type Error struct {
	File   string // the file, or what else said it: "environment DB_NAME", "flag --jobs"
	Line   int    // 0 when there is no line
	Source string // the line itself, secrets masked; may be empty
	Msg    string
	Err    error // a further cause, or nil; its text is already part of Msg
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d", e.Line)
	}
	b.WriteString(": ")
	b.WriteString(e.Msg)
	if e.Source != "" {
		fmt.Fprintf(&b, "\n%5d | %s", e.Line, e.Source)
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }

// OfFlag reports whether it was a flag that said it.
func (e *Error) OfFlag() bool { return strings.HasPrefix(e.File, ofFlag) }

// ofFlag begins the File of a flag's mistake.
const ofFlag = "flag --"

// PermissionError is a file with a secret in it that group or others have rights on.
type PermissionError struct {
	Path string
	Mode fs.FileMode
}

func (e *PermissionError) Error() string {
	return fmt.Sprintf("%s holds a secret, but its mode %04o gives rights to others than its owner: run chmod 600 %s",
		e.Path, e.Mode.Perm(), proc.ShellWord(e.Path))
}
