package window

import (
	"errors"
	"testing"
	"time"
)

func at(t *testing.T, text string) time.Time {
	t.Helper()
	moment, err := time.Parse("2006-01-02 15:04:05", text)
	if err != nil {
		t.Fatal(err)
	}
	return moment
}

// Promise: a window is open from its beginning to just before its end, also over
// midnight and the end of a month, and says until when.
func TestOpen(t *testing.T) {
	for _, c := range []struct {
		window, now string
		until       string // "": closed
	}{
		{"0 2 * * 0 4h", "2026-11-22 02:00:00", "2026-11-22 06:00:00"}, // a Sunday
		{"0 2 * * 0 4h", "2026-11-22 05:59:59", "2026-11-22 06:00:00"},
		{"0 2 * * 0 4h", "2026-11-22 06:00:00", ""},
		{"0 2 * * 0 4h", "2026-11-22 01:59:59", ""},
		{"0 2 * * 0 4h", "2026-11-23 03:00:00", ""},
		{"30 23 * * * 2h", "2026-12-01 00:15:00", "2026-12-01 01:30:00"},
		{"0 22 31 12 * 6h", "2027-01-01 03:00:00", "2027-01-01 04:00:00"},
		{"0 2 1 * 0 1h", "2026-11-01 02:30:00", "2026-11-01 03:00:00"}, // a first and a Sunday
		{"0 2 1 * 0 1h", "2026-12-01 02:30:00", "2026-12-01 03:00:00"}, // a first
		{"0 2 1 * 0 1h", "2026-11-08 02:30:00", "2026-11-08 03:00:00"}, // a Sunday
		{"0 * * * * 90m", "2026-11-22 05:10:00", "2026-11-22 06:30:00"},
	} {
		w, err := Parse(c.window)
		if err != nil {
			t.Fatalf("%q: %v", c.window, err)
		}
		until, open := w.Open(at(t, c.now))
		if open != (c.until != "") || open && !until.Equal(at(t, c.until)) {
			t.Errorf("%q at %s: open %t until %s, want until %q", c.window, c.now, open, until, c.until)
		}
		if w.String() != c.window && c.window != "0 * * * * 90m" {
			t.Errorf("%q is written as %q", c.window, w)
		}
	}
}

// Promise: it is said when the window comes the next time.
func TestNext(t *testing.T) {
	w, err := Parse("0 2 * * 0 4h")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := w.Next(at(t, "2026-11-22 03:00:00")), at(t, "2026-11-29 02:00:00"); !got.Equal(want) {
		t.Errorf("next %s, want %s", got, want)
	}
	if next := (Window{}).Next(at(t, "2026-11-22 03:00:00")); !next.IsZero() {
		t.Errorf("no window comes at %s", next)
	}
}

// Promise: what is no window is an error that says what one is; nothing is none.
func TestParse(t *testing.T) {
	for _, text := range []string{"4h", "0 2 * * 0", "0 2 * * 0 4", "0 25 * * 0 4h", "0 2 * * 0 -4h", "0 2 * * 0 0s", "0 2 * * 0 1000h", "a b c d e 4h", "0 0 31 2 * 4h", "0 2 * * 0 4h x"} {
		if _, err := Parse(text); !errors.Is(err, ErrSyntax) {
			t.Errorf("%q: %v", text, err)
		}
	}
	w, err := Parse("  ")
	if err != nil || w.Set() || w.String() != "" {
		t.Errorf("empty: %v, %v", w, err)
	}
	if _, open := w.Open(at(t, "2026-11-22 03:00:00")); open {
		t.Error("no window is open")
	}
}
