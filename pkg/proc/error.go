package proc

import (
	"fmt"
	"os"
	"strings"
)

// Error says how a program failed. Unwrap gives the cause when it is not the program itself: the end of the
// context, a failing Stdin or Stdout, a program that could not be started.
type Error struct {
	Name     string
	ExitCode int       // -1 when it did not exit by itself
	Signal   os.Signal // that ended it; nil when it exited
	Stderr   []string  // the last lines, scrubbed
	Err      error
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Name)
	switch {
	case e.Err != nil:
		fmt.Fprintf(&b, ": %v", e.Err)
	case e.Signal != nil:
		fmt.Fprintf(&b, ": ended by signal: %v", e.Signal)
	default:
		fmt.Fprintf(&b, ": exit status %d", e.ExitCode)
	}
	if line := e.reason(); line != "" && e.Err == nil {
		b.WriteString(": " + line)
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }

// reason is the line of stderr that most likely says why: the first that calls itself an error, with the detail that
// follows it at once, else the last.
func (e *Error) reason() string {
	last := ""
	for i, line := range e.Stderr {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		last = line
		low := strings.ToLower(line)
		if strings.Contains(low, "error:") || strings.Contains(low, "fatal:") {
			if i+1 < len(e.Stderr) {
				if detail, ok := strings.CutPrefix(e.Stderr[i+1], e.Name+": detail: "); ok {
					last = strings.TrimSuffix(last, ".") + ": " + strings.TrimSpace(detail)
				}
			}
			break
		}
	}
	return strings.TrimPrefix(last, e.Name+": ")
}
