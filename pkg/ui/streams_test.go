package ui

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
)

// NO_COLOR counts when present and not empty, TERM=dumb always.
func TestColorWelcome(t *testing.T) {
	tests := []struct {
		environ []string
		want    bool
	}{
		{nil, true},
		{[]string{"NO_COLOR="}, true},
		{[]string{"NO_COLOR=1"}, false},
		{[]string{"NO_COLOR=0"}, false},
		{[]string{"TERM=dumb"}, false},
		{[]string{"TERM=xterm", "XNO_COLOR=1"}, true},
	}
	for _, tt := range tests {
		if got := colorWelcome(tt.environ); got != tt.want {
			t.Errorf("colorWelcome(%q) = %v, want %v", tt.environ, got, tt.want)
		}
	}
}

// Messages are whole lines on standard error that foreign text cannot break out
// of; colour needs a terminal at both ends.
func TestMessage(t *testing.T) {
	tests := []struct {
		name    string
		s       Streams
		program string
		level   Level
		text    string
		want    string
	}{
		{"error", Streams{}, "forgectl", LevelError, "no such set", "forgectl: error: no such set\n"},
		{"hint", Streams{}, "", LevelHint, "forgectl backup list", "hint: forgectl backup list\n"},
		{"several lines", Streams{}, "forgectl", LevelError, "one\ntwo\n", "forgectl: error: one\n  two\n"},
		{"escape sequence", Streams{}, "forgectl", LevelWarning, "x\x1b[2J", "forgectl: warning: x\\x1b[2J\n"},
		{"colour", Streams{Color: true, ErrTTY: true}, "forgectl", LevelHint, "x", "forgectl: \x1b[36mhint:\x1b[0m x\n"},
		{"colour, but errors go to a file", Streams{Color: true}, "forgectl", LevelHint, "x", "forgectl: hint: x\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var errs bytes.Buffer
			tt.s.Err = &errs
			tt.s.Message(tt.program, tt.level, tt.text)
			if got := errs.String(); got != tt.want {
				t.Errorf("wrote %q, want %q", got, tt.want)
			}
		})
	}
}

// JSON ends with a newline and keeps < and & readable.
func TestJSON(t *testing.T) {
	var out bytes.Buffer
	s := &Streams{Out: &out}
	if err := s.JSON(map[string]any{"why": "a < b & c"}); err != nil {
		t.Fatal(err)
	}
	if got, want := out.String(), "{\n  \"why\": \"a < b & c\"\n}\n"; got != want {
		t.Errorf("wrote %q, want %q", got, want)
	}
	if err := s.JSON(func() {}); err == nil {
		t.Error("a value that has no JSON form gave no error")
	}
}

// Only the exact word confirms; without a terminal nothing is even asked.
func TestConfirm(t *testing.T) {
	tests := []struct {
		name   string
		tty    bool
		answer string
		want   error
	}{
		{"the word", true, "bmad_forge\n", nil},
		{"the word with blanks around", true, "  bmad_forge \r\n", nil},
		{"the word without newline", true, "bmad_forge", nil},
		{"yes is not the word", true, "yes\n", ErrDeclined},
		{"nothing", true, "\n", ErrDeclined},
		{"end of input", true, "", ErrDeclined},
		{"another case", true, "BMAD_FORGE\n", ErrDeclined},
		{"no terminal", false, "bmad_forge\n", ErrNoTerminal},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var errs bytes.Buffer
			s := &Streams{In: strings.NewReader(tt.answer), Err: &errs, InTTY: tt.tty, ErrTTY: tt.tty}
			err := s.Confirm(t.Context(), "Replace the database bmad_forge?", "bmad_forge")
			if !errors.Is(err, tt.want) {
				t.Errorf("Confirm = %v, want %v", err, tt.want)
			}
			if asked := strings.Contains(errs.String(), "Type bmad_forge to go on: "); asked != tt.tty {
				t.Errorf("asked: %v, wrote %q", asked, errs.String())
			}
		})
	}
}

// A signal while the question stands ends it; what follows the answer is left
// for the next reader.
func TestConfirmInterruptedAndFrugal(t *testing.T) {
	stopped := errors.New("stopped by signal")
	ctx, cancel := context.WithCancelCause(t.Context())
	r, w := io.Pipe()
	defer w.Close()
	cancel(stopped)
	s := &Streams{In: r, Err: io.Discard, InTTY: true, ErrTTY: true}
	if err := s.Confirm(ctx, "Really?", "yes"); !errors.Is(err, stopped) {
		t.Errorf("Confirm = %v, want the cause of the end", err)
	}

	in := strings.NewReader("yes\nrest")
	s = &Streams{In: in, Err: io.Discard, InTTY: true, ErrTTY: true}
	if err := s.Confirm(t.Context(), "Really?", "yes"); err != nil {
		t.Fatal(err)
	}
	if rest, _ := io.ReadAll(in); string(rest) != "rest" {
		t.Errorf("left %q to read, want %q", rest, "rest")
	}
}

// What belongs to a question stands on standard error, and is drawn for what that end is.
func TestAside(t *testing.T) {
	var out, errs bytes.Buffer
	s := &Streams{Out: &out, Err: &errs, ErrTTY: true, Width: 40}
	table := s.Aside().Table(Column{Title: "PLAN"})
	table.Row("x")
	if err := table.Flush(); err != nil || out.Len() > 0 || errs.String() != "PLAN\nx\n" {
		t.Errorf("wrote %q and %q, %v", out.String(), errs.String(), err)
	}
	s = &Streams{Out: &out, Err: &errs, OutTTY: true, Color: true}
	if aside := s.Aside(); aside.OutTTY || aside.Color {
		t.Errorf("a file is taken for a terminal: %+v", aside)
	}
}
