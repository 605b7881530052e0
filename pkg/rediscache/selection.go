package rediscache

import (
	"errors"
	"strings"
)

// Selection says which keys of a database are meant. The zero value is none that
// can be used: see Check.
type Selection struct {
	Prefix  Prefix
	Pattern string // a glob of whole keys; "": see below
	Group   string // keys that Prefix.Group counts under this
	All     bool   // every key of the database
	// Otherwise, the keys of the application: those that begin with Prefix.
}

// ErrSelection means that a selection says two things at once.
var ErrSelection = errors.New("only one of a pattern, a group and all can be meant")

// Check is ErrSelection or nil.
func (s Selection) Check() error {
	n := 0
	for _, given := range []bool{s.Pattern != "", s.Group != "", s.All} {
		if given {
			n++
		}
	}
	if n > 1 {
		return ErrSelection
	}
	return nil
}

// match is the glob that the server is asked for, "" for everything.
func (s Selection) match() string {
	switch {
	case s.All:
		return ""
	case s.Pattern != "":
		return s.Pattern
	case s.Group != "":
		head, _, _ := strings.Cut(s.Group, "*")
		return EscapeGlob(head) + "*"
	}
	return s.Prefix.Pattern("*")
}

// has looks at a key that the server found once more: a star of a group is not any
// text, and what a server makes of a pattern is not to decide alone.
func (s Selection) has(key string) bool {
	switch {
	case s.All, s.Pattern != "":
		return true
	case s.Group != "":
		return s.Prefix.Group(key) == s.Group
	}
	return strings.HasPrefix(key, s.Prefix.String())
}

// String is the selection for messages.
func (s Selection) String() string {
	switch {
	case s.All:
		return "all keys"
	case s.Pattern != "":
		return s.Pattern
	case s.Group != "":
		return s.Group
	}
	return s.Prefix.String() + "*"
}
