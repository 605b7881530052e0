package rediscache

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

// Event is one command that MONITOR has seen.
type Event struct {
	At      time.Time
	DB      int
	Caller  string // address, "unix:…", or "lua"
	Command Command
}

// errLine means that a line is not what MONITOR writes.
var errLine = errors.New("not a line of MONITOR")

// ParseMonitor reads a line such as
//
//	1339518083.107412 [0 127.0.0.1:60866] "keys" "*"
//
// A line that was cut in the middle of an argument gives what stands before it.
func ParseMonitor(line string) (Event, error) {
	stamp, rest, ok := strings.Cut(line, " [")
	seconds, micros, dot := strings.Cut(stamp, ".")
	s, err := strconv.ParseInt(seconds, 10, 64)
	us, errMicros := strconv.ParseInt(micros, 10, 64)
	if !ok || !dot || err != nil || errMicros != nil || len(micros) != 6 || us < 0 {
		return Event{}, errLine
	}
	// The path of a socket may hold a bracket; an argument begins with a quote.
	where, rest, ok := strings.Cut(rest, `] "`)
	number, caller, space := strings.Cut(where, " ")
	db, err := strconv.Atoi(number)
	if !ok || !space || err != nil || db < 0 {
		return Event{}, errLine
	}
	args := unquoteArguments(`"` + rest)
	if len(args) == 0 {
		return Event{}, errLine
	}
	return Event{At: time.Unix(s, us*1000), DB: db, Caller: caller, Command: newCommand(args)}, nil
}

// unquoteArguments undoes what Redis does to arguments.
func unquoteArguments(text string) []string {
	var args []string
	for strings.HasPrefix(text, `"`) {
		arg, rest, closed := unquoteOne(text[1:])
		if !closed {
			break
		}
		args = append(args, arg)
		text = strings.TrimPrefix(rest, " ")
	}
	return args
}

// unquoteOne reads up to the quote that ends an argument.
func unquoteOne(text string) (arg, rest string, closed bool) {
	plain := strings.IndexAny(text, `"\`)
	if plain < 0 {
		return "", "", false
	}
	if text[plain] == '"' {
		return text[:plain], text[plain+1:], true
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '"':
			return b.String(), text[i+1:], true
		case text[i] != '\\' || i+1 == len(text):
			b.WriteByte(text[i])
		default:
			i++
			if text[i] == 'x' && i+2 < len(text) {
				if n, err := strconv.ParseUint(text[i+1:i+3], 16, 8); err == nil {
					b.WriteByte(byte(n))
					i += 2
					continue
				}
			}
			b.WriteByte(escaped(text[i]))
		}
	}
	return "", "", false
}

// escaped is what a letter after a backslash stands for.
func escaped(c byte) byte {
	switch c {
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case 'a':
		return '\a'
	case 'b':
		return '\b'
	}
	return c
}
