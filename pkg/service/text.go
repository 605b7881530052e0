package service

import "strings"

// keptLines bounds what an error carries.
const keptLines = 20

// tailLines are the last lines of a text that say anything.
func tailLines(text string) []string {
	var lines []string
	for line := range strings.Lines(strings.ToValidUTF8(text, "\uFFFD")) {
		if line = strings.TrimRight(line, " \t\r\n"); line != "" {
			lines = append(lines, line)
		}
	}
	return lines[max(0, len(lines)-keptLines):]
}

// last is the last line.
func last(lines []string) string {
	if len(lines) == 0 {
		return "it gives no reason"
	}
	return lines[len(lines)-1]
}

// reason changes the words of an error and keeps its causes.
type reason struct {
	text string
	err  error
}

func (e *reason) Error() string { return e.text }
func (e *reason) Unwrap() error { return e.err }
