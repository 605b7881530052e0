package config

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// assignment is one variable of an environment file and the line on which it begins.
type assignment struct {
	name, value string
	line        int
}

// parseEnvironmentFile reads the format of systemd's EnvironmentFile=, so that the application's own file can be used
// as it is. The rules are those of systemd.exec(5):
//
//   - Empty lines, lines without "=" and lines that begin with "#" or ";" are ignored.
//   - White space around a value is dropped, within an unquoted one it is kept; there a backslash takes the next
//     character as it is, and quotes and "#" after the first character have no meaning.
//   - In single quotes everything is itself. In double quotes a backslash is removed before ", \, ` and $ only.
//     Quoted pieces may follow each other, and may hold line ends.
//   - A backslash before a line end joins the lines, outside of single quotes.
//   - Nothing is expanded. The last assignment of a name wins (which is for the caller to apply).
//
// What systemd would drop with a line in its journal, or read in a way that nobody means, is an error here: a name that
// is none (such as "export A"), a quote that is never closed, bytes that are not text, and a comment that ends in a
// backslash, which systemd before release 254 reads differently from later ones.
//
// The source in its errors shows no value: these files are full of secrets.
func parseEnvironmentFile(data []byte) ([]assignment, error) {
	if i := firstNonText(data); i >= 0 {
		return nil, &Error{Line: 1 + bytes.Count(data[:i], []byte("\n")), Msg: "not UTF-8 text"}
	}
	s := &envScanner{rest: string(data), line: 1}
	var found []assignment
	for {
		a, ok, err := s.next()
		if err != nil {
			return nil, err
		}
		if !ok {
			return found, nil
		}
		found = append(found, a)
	}
}

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// firstNonText finds the first byte that cannot be in a text file, or -1.
func firstNonText(data []byte) int {
	for i := 0; i < len(data); {
		r, n := utf8.DecodeRune(data[i:])
		if r == 0 || r == utf8.RuneError && n == 1 || r == '\ufeff' && i > 0 {
			return i
		}
		i += n
	}
	return -1
}

type envScanner struct {
	rest string
	line int
}

// take returns the next byte and steps over it, counting lines.
func (s *envScanner) take() byte {
	c := s.rest[0]
	s.rest = s.rest[1:]
	if c == '\n' {
		s.line++
	}
	return c
}

// skip steps over the bytes in set.
func (s *envScanner) skip(set string) {
	for s.rest != "" && strings.IndexByte(set, s.rest[0]) >= 0 {
		s.take()
	}
}

func (s *envScanner) next() (assignment, bool, error) {
	s.rest = strings.TrimPrefix(s.rest, "\ufeff")
	for {
		s.skip(" \t\r\n")
		if s.rest == "" {
			return assignment{}, false, nil
		}
		text, _ := s.currentLine()
		if text[0] == '#' || text[0] == ';' {
			if strings.HasSuffix(text, `\`) {
				return assignment{}, false, s.mistake(s.line, "a comment must not end in a backslash: releases of systemd differ on what the next line then is", "")
			}
			s.rest = s.rest[len(text):]
			continue
		}
		name, _, ok := strings.Cut(text, "=")
		if !ok {
			s.rest = s.rest[len(text):]
			continue
		}
		begin := s.line
		s.rest = s.rest[len(name)+1:]
		name = strings.TrimRight(name, " \t")
		if !variableName.MatchString(name) {
			msg := fmt.Sprintf("%q is not the name of a variable", name)
			if strings.HasPrefix(name, "export ") {
				msg += `: systemd drops a line that begins with "export"`
			}
			return assignment{}, false, s.mistake(begin, msg, name)
		}
		value, err := s.value(begin, name)
		return assignment{name: name, value: value, line: begin}, err == nil, err
	}
}

// currentLine is what is left of this line, and whether it has an end.
func (s *envScanner) currentLine() (string, bool) {
	if i := strings.IndexAny(s.rest, "\r\n"); i >= 0 {
		return s.rest[:i], true
	}
	return s.rest, false
}

// value reads quoted pieces, and then at most one unquoted piece that goes on to the end of the line.
func (s *envScanner) value(begin int, name string) (string, error) {
	var b strings.Builder
	for {
		s.skip(" \t")
		switch {
		case s.rest == "" || s.rest[0] == '\n' || s.rest[0] == '\r':
			return b.String(), nil
		case s.rest[0] == '\'' || s.rest[0] == '"':
			quote := s.take()
			if !s.quoted(&b, quote) {
				return "", s.mistake(begin, fmt.Sprintf("the %c quote in the value of %s is never closed", quote, name), name)
			}
		default:
			s.unquoted(&b)
			return b.String(), nil
		}
	}
}

// quoted reads up to the closing quote, and says whether there was one.
func (s *envScanner) quoted(b *strings.Builder, quote byte) bool {
	for s.rest != "" {
		c := s.take()
		switch {
		case c == quote:
			return true
		case c == '\\' && quote == '"' && s.rest != "":
			escaped := s.take()
			if strings.IndexByte("\"\\`$\n", escaped) < 0 {
				b.WriteByte(c)
			}
			if escaped != '\n' {
				b.WriteByte(escaped)
			}
		default:
			b.WriteByte(c)
		}
	}
	return false
}

// unquoted reads to the end of the line and drops white space at its end, but not an escaped one.
func (s *envScanner) unquoted(b *strings.Builder) {
	var spaces strings.Builder
	for s.rest != "" && s.rest[0] != '\n' && s.rest[0] != '\r' {
		c := s.take()
		if c == ' ' || c == '\t' {
			spaces.WriteByte(c)
			continue
		}
		b.WriteString(spaces.String())
		spaces.Reset()
		if c != '\\' {
			b.WriteByte(c)
		} else if s.rest != "" {
			if escaped := s.take(); escaped != '\n' && escaped != '\r' {
				b.WriteByte(escaped)
			}
		}
	}
}

func (s *envScanner) mistake(line int, msg, name string) *Error {
	e := &Error{Line: line, Msg: msg}
	if name != "" {
		e.Source = name + "=" + masked
	}
	return e
}
