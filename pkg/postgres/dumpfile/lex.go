package dumpfile

import (
	"fmt"
	"io"
	"regexp"
	"strings"
)

const (
	maxToken = 128 // of its text that is kept
	maxTag   = 200 // of a dollar quote
)

// endMarker is the last line of a dump by pg_dump.
const endMarker = "PostgreSQL database dump complete"

func (s *scanner) lineComment() error {
	var text []byte
	for {
		// A carriage return ends it too.
		if c := s.peek(); c == '\n' || c == '\r' {
			break
		}
		c, err := s.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if len(text) < maxToken {
			text = append(text, c)
		}
	}
	comment := strings.TrimSpace(strings.TrimPrefix(string(text), "-"))
	if comment == endMarker {
		s.marked = true
	}
	for _, key := range []string{headServer, headProgram} {
		if value, ok := strings.CutPrefix(comment, key+" "); ok && s.header[key] == "" {
			s.header[key] = value
		}
	}
	return nil
}

// What pg_dump writes at the top.
const (
	headServer  = "Dumped from database version"
	headProgram = "Dumped by pg_dump version"
)

func (s *scanner) blockComment() error {
	since := s.line
	if _, err := s.next(); err != nil {
		return err
	}
	for depth := 1; depth > 0; {
		c, err := s.inside("the comment", since)
		if err != nil {
			return err
		}
		switch p := s.peek(); {
		case c == '*' && p == '/':
			depth--
		case c == '/' && p == '*':
			depth++
		default:
			continue
		}
		if _, err := s.next(); err != nil {
			return err
		}
	}
	return nil
}

// literal reads what follows an opening quote. Whether a backslash escapes in a plain literal depends on
// standard_conforming_strings, so one that decides where the literal ends is a finding.
func (s *scanner) literal(escapes bool) error {
	since := s.line
	var text []byte
	backslashes := 0
	var before byte
	for {
		c, err := s.inside("the literal", since)
		if err != nil {
			return err
		}
		odd := backslashes%2 == 1
		switch {
		case c == '\\':
			// In some encodings this is the second half of a character.
			if backslashes == 0 && before >= 0x80 && escapes {
				if err := s.unsure("a backslash behind a character that is not ASCII"); err != nil {
					return err
				}
			}
			backslashes++
		case c == '\'' && odd && escapes:
			backslashes = 0
		case c == '\'':
			if odd {
				if err := s.unsure(`a literal with a backslash before a quote`); err != nil {
					return err
				}
			}
			backslashes = 0
			if s.peek() != '\'' {
				s.st.add(token{kind: literal, text: string(text)})
				s.afterE, s.newline = escapes, false
				return nil
			}
			if c, err = s.next(); err != nil {
				return err
			}
		default:
			backslashes = 0
		}
		before = c
		if len(text) < maxToken {
			text = append(text, c)
		}
	}
}

func (s *scanner) quotedName() error {
	since := s.line
	var text []byte
	for {
		c, err := s.inside("the quoted name", since)
		if err != nil {
			return err
		}
		if c == '"' {
			if s.peek() != '"' {
				s.st.add(token{kind: quoted, text: string(text)})
				return nil
			}
			if _, err := s.next(); err != nil {
				return err
			}
		}
		if len(text) < maxToken {
			text = append(text, c)
		}
	}
}

// dollar reads a dollar-quoted literal, a parameter, or a stray dollar.
func (s *scanner) dollar() error {
	head, err := s.in.Peek(maxTag)
	if err != nil && err != io.EOF {
		return err
	}
	if len(head) > 0 && head[0] >= '0' && head[0] <= '9' {
		c, err := s.next()
		if err != nil {
			return err
		}
		return s.number(c)
	}
	n := 0
	for n < len(head) && (isNameStart(head[n]) || n > 0 && head[n] >= '0' && head[n] <= '9') {
		n++
	}
	if n == maxTag {
		return fmt.Errorf("line %d: a dollar quote with a tag of more than %d bytes", s.line, maxTag)
	}
	if n == len(head) || head[n] != '$' {
		s.st.add(token{kind: other, text: "$"})
		return nil
	}
	since, delimiter := s.line, "$"+string(head[:n+1])
	for range n + 1 {
		if _, err := s.next(); err != nil {
			return err
		}
	}
	for matched := 0; matched < len(delimiter); {
		c, err := s.inside("the dollar-quoted literal", since)
		if err != nil {
			return err
		}
		switch {
		case c == delimiter[matched]:
			matched++
		case c == '$':
			matched = 1
		default:
			matched = 0
		}
	}
	s.st.add(token{kind: literal})
	return nil
}

// colon looks for psql's variables, which would be replaced.
func (s *scanner) colon() error {
	s.st.add(token{kind: other, text: ":"})
	switch c := s.peek(); {
	case c == ':':
		_, err := s.next()
		return err
	case c == '\'' || c == '"' || c == '{' || c >= 'A' && c <= 'Z':
		return s.trick("a psql variable")
	}
	return nil
}

func (s *scanner) word(c byte) error {
	text := []byte{c}
	size := 1
	for p := s.peek(); isNameStart(p) || p >= '0' && p <= '9' || p == '$'; p = s.peek() {
		c, err := s.next()
		if err != nil {
			return err
		}
		if size++; len(text) < maxToken {
			text = append(text, c)
		}
	}
	lower := strings.ToLower(string(text))
	switch p := s.peek(); {
	case size == 1 && lower == "e" && p == '\'':
		if _, err := s.next(); err != nil {
			return err
		}
		return s.literal(true)
	case size == 1 && lower == "u" && p == '&':
		if more, _ := s.in.Peek(2); len(more) == 2 && (more[1] == '\'' || more[1] == '"') {
			if err := s.trick("a text with Unicode escapes"); err != nil {
				return err
			}
		}
	}
	s.body.word(lower, s.st.depth)
	s.st.add(token{kind: word, text: lower})
	return nil
}

// plainNumber is what every version reads as one token, or as a number and nothing that opens something.
var plainNumber = regexp.MustCompile(`^(?:[0-9]+(?:e[0-9]*)?|0x[0-9a-f]+)$`)

// number reads on while letters and digits follow. What such a mixture is depends on the version, and so does whether
// a quote behind it begins an E” literal, or a dollar a dollar quote.
func (s *scanner) number(c byte) error {
	text := []byte{c}
	mixed := false
	for p := s.peek(); isNameStart(p) || p >= '0' && p <= '9'; p = s.peek() {
		c, err := s.next()
		if err != nil {
			return err
		}
		mixed = mixed || c < '0' || c > '9'
		if len(text) < maxToken {
			text = append(text, c)
		}
	}
	if p := s.peek(); mixed && (p == '\'' || p == '$' || !plainNumber.MatchString(strings.ToLower(string(text)))) {
		if err := s.trick("a number and a word without a space"); err != nil {
			return err
		}
	}
	s.st.add(token{kind: other, text: string(text)})
	return nil
}

// isSpace is psql's white space.
func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

func isNameStart(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}
