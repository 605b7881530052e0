package dumpfile

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
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
	holdLimit   = 64 << 10
	scanBuffer  = 256 << 10
	maxToken    = 128 // of its text that is kept
	maxTag      = 200 // of a dollar quote
	endMarker   = "PostgreSQL database dump complete"
	maxMetaName = 100
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

// restrictLine is what recent versions of pg_dump put around a plain dump. Ours stands before it.
var restrictLine = regexp.MustCompile(`^(?:un)?restrict [A-Za-z0-9]+$`)

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

// copyData passes over the rows behind a COPY … FROM stdin, up to the line that ends them.
func (s *scanner) copyData() error {
	since := s.line
	if err := s.pass(len(s.held)); err != nil {
		return err
	}
	for fresh := true; ; {
		chunk, err := s.in.ReadSlice('\n')
		if err != nil && err != bufio.ErrBufferFull {
			if err == io.EOF {
				err = &cutError{"the data of the COPY", since - 1}
			}
			return err
		}
		if bytes.IndexByte(chunk, 0) >= 0 {
			return fmt.Errorf("line %d: %w", s.line, errNUL)
		}
		if s.out != nil {
			if _, err := s.out.Write(chunk); err != nil {
				return err
			}
		}
		last := fresh && (string(chunk) == "\\.\n" || string(chunk) == "\\.\r\n")
		if fresh = err == nil; fresh {
			s.line++
		}
		if last {
			s.lead = true
			return nil
		}
	}
}

// isSpace is psql's white space.
func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

func isNameStart(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
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
