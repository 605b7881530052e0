package dumpfile

import (
	"io"
	"regexp"
	"strings"
)

// restrictLine is what recent versions of pg_dump put around a plain dump. Ours stands before it.
var restrictLine = regexp.MustCompile(`^(?:un)?restrict [A-Za-z0-9]+$`)

// maxMetaName is how much of a name from a file is shown.
const maxMetaName = 100

// meta reads a command of psql's to the end of its line. None may pass: they run programs and open files and
// connections. Those of pg_dump itself are left out.
func (s *scanner) meta() error {
	lead, line, from := s.lead && !s.st.started, s.line, len(s.held)-1
	s.lead = false
	if lead {
		if err := s.pass(from); err != nil {
			return err
		}
	}
	var text []byte
	for p := s.peek(); p != '\n'; p = s.peek() {
		c, err := s.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if len(text) < 2*maxMetaName {
			text = append(text, c)
		}
	}
	if lead && len(text) < 2*maxMetaName && restrictLine.MatchString(strings.TrimRight(string(text), " \r")) {
		s.held = s.held[:0]
		return nil
	}
	s.marked = false
	name, rest := metaName(string(text))
	err := s.found(Finding{Line: line, What: `\` + name, Name: rest, Kind: Meta})
	if err == nil && s.st.started && strings.HasPrefix(name, "g") { // \g and its like send the statement
		s.body = functionBody{}
		err = s.finish()
	}
	return err
}

func metaName(text string) (name, rest string) {
	n := 0
	for n < len(text) && (isNameStart(text[n]) || n > 0 && text[n] == '+') {
		n++
	}
	if n == 0 && text != "" {
		n = 1
	}
	return printable(text[:n]), printable(strings.TrimSpace(text[n:]))
}

// functionBody follows psql's guess (since 14) whether it is inside BEGIN ATOMIC … END, where it does not
// send a statement at its semicolon.
type functionBody struct {
	words [4]byte
	count int
	depth int
}

func (b *functionBody) word(w string, parens int) {
	if b.count < len(b.words) {
		switch w {
		case "create", "function", "procedure", "or", "replace":
			b.words[b.count] = w[0]
		}
	}
	b.count++
	routine := func(c byte) bool { return c == 'f' || c == 'p' }
	if b.words[0] != 'c' || parens > 0 ||
		!routine(b.words[1]) && (b.words[1] != 'o' || b.words[2] != 'r' || !routine(b.words[3])) {
		return
	}
	switch {
	case w == "begin", w == "case" && b.depth > 0:
		b.depth++
	case w == "end" && b.depth > 0:
		b.depth--
	}
}
