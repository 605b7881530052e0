package dumpfile

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// scanner reads SQL in the way in which psql does (src/fe_utils/psqlscan.l, src/bin/psql/mainloop.c), names what must not
// reach a server, and passes on the rest. Where psql's reading depends on its version, on a setting or on the server, a text
// that would be read in two ways is itself a finding: what is hidden from the scanner must not be visible to psql.
//
// Memory is bounded: a statement is held up to holdLimit, COPY data and long literals stream through.
type scanner struct {
	in              *bufio.Reader
	out             *bufio.Writer         // gets what may pass; nil: nobody
	drop            func(*statement) bool // statements to leave out; nil: none
	found           func(Finding) error   // an error ends the scan
	owner           func(role string)     // called for each OWNER TO; nil: nobody asks
	line            int                   // of what is read next
	held            []byte                // read and not yet handed on
	whole           bool                  // held begins with the statement
	st              statement             // the one that is being read
	body            functionBody          // what psql takes for the body of an SQL function
	await           bool                  // COPY data begin with the next line
	afterE, newline bool                  // the last token was an E'' literal; a line ended since
	lead            bool                  // nothing but white space in this line so far

	header map[string]string // from pg_dump's comments
	marked bool              // the last thing but comments was pg_dump's end marker
}

const (
	holdLimit  = 64 << 10
	scanBuffer = 256 << 10
)

// cutError says that a file ends where SQL cannot end.
type cutError struct {
	what string
	line int
}

func (e *cutError) Error() string { return fmt.Sprintf("ends inside %s of line %d", e.what, e.line) }

var errNUL = errors.New("a zero byte, which SQL text cannot have")

func newScanner(r io.Reader, out io.Writer) *scanner {
	s := &scanner{in: bufio.NewReaderSize(r, scanBuffer), line: 1, lead: true, header: map[string]string{}}
	s.found = func(Finding) error { return nil }
	if out != nil {
		s.out = bufio.NewWriterSize(out, holdLimit)
	}
	return s
}

// run reads everything. A *cutError means that the text is not whole.
func (s *scanner) run() error {
	// psql takes off a byte order mark too, but only in the first of its files.
	if head, err := s.in.Peek(3); err == nil && string(head) == "\xef\xbb\xbf" {
		_, _ = s.in.Discard(3)
	}
	for {
		c, err := s.next()
		if err == io.EOF {
			return s.end()
		}
		if err != nil {
			return err
		}
		if err := s.step(c); err != nil {
			return err
		}
	}
}

func (s *scanner) step(c byte) error {
	if s.await && !isSpace(c) {
		if err := s.trick("more in the line of a COPY"); err != nil {
			return err
		}
		s.await = false
	}
	switch {
	case c == '\n':
		s.lead, s.newline = true, true
		if s.await {
			s.await = false
			return s.copyData()
		}
		return nil
	case isSpace(c):
		return nil
	case c == '-' && s.peek() == '-':
		return s.lineComment()
	case c == '/' && s.peek() == '*':
		return s.blockComment()
	case c == '\\':
		return s.meta()
	}
	s.lead = false
	if c == '\'' && s.afterE && s.newline {
		if err := s.trick("a literal that goes on in another line"); err != nil {
			return err
		}
	}
	s.afterE = false
	s.begin()
	switch {
	case c == '\'':
		return s.literal(false)
	case c == '"':
		return s.quotedName()
	case c == '$':
		return s.dollar()
	case c == ';':
		return s.semicolon()
	case c == ':':
		return s.colon()
	case isNameStart(c):
		return s.word(c)
	case c >= '0' && c <= '9':
		return s.number(c)
	}
	s.st.add(token{kind: other, text: string(c)})
	return nil
}

// next takes one byte.
func (s *scanner) next() (byte, error) {
	c, err := s.in.ReadByte()
	if err != nil {
		return 0, err
	}
	switch c {
	case 0:
		return 0, fmt.Errorf("line %d: %w", s.line, errNUL)
	case '\n':
		s.line++
	}
	if len(s.held) >= holdLimit {
		s.whole = false
		if err := s.pass(len(s.held)); err != nil {
			return 0, err
		}
	}
	s.held = append(s.held, c) // the last byte is always there
	return c, nil
}

// inside is next where the text must not end.
func (s *scanner) inside(what string, since int) (byte, error) {
	c, err := s.next()
	if err == io.EOF {
		err = &cutError{what, since}
	}
	return c, err
}

// peek looks at the next byte; 0 when there is none.
func (s *scanner) peek() byte {
	b, err := s.in.Peek(1)
	if err != nil {
		return 0
	}
	return b[0]
}

// pass hands on the first n bytes of what is held.
func (s *scanner) pass(n int) error {
	if s.out != nil {
		if _, err := s.out.Write(s.held[:n]); err != nil {
			return err
		}
	}
	s.held = append(s.held[:0], s.held[n:]...)
	return nil
}

// begin is called behind the first byte of every token.
func (s *scanner) begin() {
	s.marked = false
	if s.st.started {
		return
	}
	s.st.started, s.st.line = true, s.line
	s.whole = len(s.held) > 0 && s.pass(len(s.held)-1) == nil // a failed write fails again
}

// finish ends a statement of the server's.
func (s *scanner) finish() error {
	st := s.st
	s.st = statement{}
	for _, f := range st.findings() {
		if err := s.found(f); err != nil {
			return err
		}
	}
	if role := st.newOwner(); role != "" && s.owner != nil {
		s.owner(role)
	}
	if s.drop != nil && s.whole && s.drop(&st) {
		// The lines stay, so that messages count right.
		s.held = bytes.Repeat([]byte("\n"), bytes.Count(s.held, []byte("\n")))
	}
	s.whole = false
	if st.copiesIn() {
		s.await = true
		if s.body.depth > 0 {
			s.await = false
			return s.trick("COPY in what may be the body of a function")
		}
	}
	return s.pass(len(s.held))
}

func (s *scanner) semicolon() error {
	if s.st.depth > 0 { // psql does not send it yet
		s.st.add(token{kind: other, text: ";"})
		return nil
	}
	err := s.finish()
	if s.body.depth == 0 {
		s.body = functionBody{}
	}
	return err
}

func (s *scanner) end() error {
	switch {
	case s.await:
		return &cutError{"the data of a COPY", s.line}
	case s.st.started:
		line := s.st.line
		if err := s.finish(); err != nil { // psql would send it
			return err
		}
		return &cutError{"the statement", line}
	}
	if err := s.pass(len(s.held)); err != nil {
		return err
	}
	return s.flush()
}

func (s *scanner) flush() error {
	if s.out == nil {
		return nil
	}
	return s.out.Flush()
}

// trick is a text that is not read in the same way by everybody.
func (s *scanner) trick(what string) error {
	return s.found(Finding{Line: s.line, What: what, Kind: Trick})
}

func (s *scanner) unsure(what string) error {
	return s.found(Finding{Line: s.line, What: what, Kind: Unsure})
}
