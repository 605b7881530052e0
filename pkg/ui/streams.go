package ui

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/fatih/color"
	"golang.org/x/term"
)

// Streams is the outside of a program: where it reads, writes, and who listens.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer

	// InTTY, OutTTY and ErrTTY say which of the three is a terminal.
	InTTY, OutTTY, ErrTTY bool
	// Width is the number of columns of the terminal; 0 means no limit.
	Width int
	// Color is whether colour may be used. It is never used on standard error
	// unless that is a terminal too.
	Color bool

	// columns asks the terminal again, because windows are resized while a
	// progress line is shown. Nil means that Width holds for ever.
	columns func() int
}

// System describes the streams of this process. Colour is off when noColor is
// set, when NO_COLOR is present and not empty in environ, when TERM is "dumb",
// and when standard output is no terminal.
func System(noColor bool, environ []string) *Streams {
	s := &Streams{
		In: os.Stdin, Out: os.Stdout, Err: &screen{w: os.Stderr},
		InTTY:  term.IsTerminal(int(os.Stdin.Fd())),
		OutTTY: term.IsTerminal(int(os.Stdout.Fd())),
		ErrTTY: term.IsTerminal(int(os.Stderr.Fd())),
	}
	s.Color = s.OutTTY && !noColor && colorWelcome(environ)
	switch {
	case s.OutTTY:
		s.Width = columns(os.Stdout)
	case s.ErrTTY:
		s.Width = columns(os.Stderr)
	}
	if s.ErrTTY {
		s.columns = func() int { return columns(os.Stderr) }
	}
	return s
}

func columns(f *os.File) int {
	w, _, err := term.GetSize(int(f.Fd()))
	if err != nil || w <= 0 {
		return 0
	}
	return w
}

func colorWelcome(environ []string) bool {
	for _, kv := range environ {
		k, v, _ := strings.Cut(kv, "=")
		if k == "NO_COLOR" && v != "" || k == "TERM" && v == "dumb" {
			return false
		}
	}
	return true
}

// JSON writes v to standard output, indented, with a final newline.
func (s *Streams) JSON(v any) error {
	enc := json.NewEncoder(s.Out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	return nil
}

// Good, Warn and Bad colour a word on standard output by what it means.
func (s *Streams) Good(text string) string { return paint(s.Color, text, color.FgGreen) }

// Warn colours what needs attention.
func (s *Streams) Warn(text string) string { return paint(s.Color, text, color.FgYellow) }

// Bad colours what failed.
func (s *Streams) Bad(text string) string { return paint(s.Color, text, color.FgRed) }

// Bold makes a heading.
func (s *Streams) Bold(text string) string { return paint(s.Color, text, color.Bold) }

// Faint steps back what is only there for completeness.
func (s *Streams) Faint(text string) string { return paint(s.Color, text, color.Faint) }

// paint never consults the package variable of the color library: that one
// looks at the process, while a Streams may be anything.
func paint(on bool, text string, attrs ...color.Attribute) string {
	if !on || text == "" {
		return text
	}
	c := color.New(attrs...)
	c.EnableColor()
	return c.Sprint(text)
}

// Level is how loud a [Streams.Message] is.
type Level string

// The levels, as they are printed.
const (
	LevelError   Level = "error"
	LevelWarning Level = "warning"
	LevelHint    Level = "hint"
)

// Message writes one line to standard error: "program: level: text", or
// "level: text" without a program. Further lines of text are indented.
func (s *Streams) Message(program string, level Level, text string) {
	word := string(level) + ":"
	attrs := map[Level][]color.Attribute{
		LevelError:   {color.FgRed, color.Bold},
		LevelWarning: {color.FgYellow, color.Bold},
		LevelHint:    {color.FgCyan},
	}[level]
	word = paint(s.Color && s.ErrTTY, word, attrs...)
	if program != "" {
		word = program + ": " + word
	}
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i := range lines {
		lines[i] = Printable(lines[i])
	}
	// One write: a message must not be torn apart by another writer.
	_, _ = io.WriteString(s.Err, word+" "+strings.Join(lines, "\n  ")+"\n")
}

// Aside are streams whose results go to standard error: for what belongs to a question and not to the result. They are
// as wide, and as plain, as that end is.
func (s *Streams) Aside() *Streams {
	aside := *s
	aside.Out, aside.OutTTY, aside.Width = s.Err, s.ErrTTY, s.width()
	aside.Color = s.Color && s.ErrTTY
	return &aside
}
