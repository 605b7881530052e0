package ui

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// sgr matches what the colour functions of this package add around a text; it
// is the one kind of escape sequence that may reach a terminal.
var sgr = regexp.MustCompile(`\x1b\[[0-9;]*m`)

// Printable replaces control characters and invalid UTF-8 by visible escapes
// (\n, \t, \x1b), colours too. Text without any is returned as it is.
func Printable(text string) string {
	if !strings.ContainsFunc(text, steers) && utf8.ValidString(text) {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, text[i])
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case steers(r) && r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		case steers(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
		i += n
	}
	return b.String()
}

// steers is true for what a terminal obeys instead of showing: control
// characters, and the marks that reorder text written in two directions.
func steers(r rune) bool {
	return unicode.IsControl(r) ||
		r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069' ||
		r == '\u2028' || r == '\u2029'
}

// terminalCell is Printable that leaves our own colours alone.
func terminalCell(text string) string {
	if !strings.ContainsRune(text, '\x1b') {
		return Printable(text)
	}
	var b strings.Builder
	last := 0
	for _, at := range sgr.FindAllStringIndex(text, -1) {
		b.WriteString(Printable(text[last:at[0]]))
		b.WriteString(text[at[0]:at[1]])
		last = at[1]
	}
	b.WriteString(Printable(text[last:]))
	return b.String()
}

// pipeCell escapes as PostgreSQL's COPY does: the backslash is doubled, so that
// a reader can undo it.
func pipeCell(text string) string {
	text = sgr.ReplaceAllString(text, "")
	return Printable(strings.ReplaceAll(text, `\`, `\\`))
}
