package ui

import (
	"bytes"
	"strings"
	"testing"
)

// show renders the same rows for one kind of listener.
func show(t *testing.T, s Streams, cols []Column, rows ...[]string) string {
	t.Helper()
	var out bytes.Buffer
	s.Out = &out
	table := s.Table(cols...)
	for _, row := range rows {
		table.Row(row...)
	}
	if err := table.Flush(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// A terminal gets aligned columns below a heading, a pipe gets bare rows that
// cut -f can take apart, whatever stands in the cells.
func TestTable(t *testing.T) {
	cols := []Column{{Title: "ID"}, {Title: "SIZE", Right: true}, {Title: "NOTE"}}
	tests := []struct {
		name           string
		rows           [][]string
		terminal, pipe string
	}{
		{"plain",
			[][]string{{"a", "1 B", "x"}, {"bcd", "10 KiB", ""}},
			"ID     SIZE  NOTE\na       1 B  x\nbcd  10 KiB\n",
			"a\t1 B\tx\nbcd\t10 KiB\t\n"},
		{"no rows", nil, "", ""},
		{"wide runes keep the columns straight",
			[][]string{{"日本", "1 B", "x"}, {"abcd", "2 B", "é"}},
			"ID    SIZE  NOTE\n日本   1 B  x\nabcd   2 B  é\n",
			"日本\t1 B\tx\nabcd\t2 B\té\n"},
		{"tabs, newlines and backslashes cannot break a row",
			[][]string{{"a\tb", "1\n2", `c\d`}},
			"ID    SIZE  NOTE\na\\tb  1\\n2  c\\d\n",
			"a\\tb\t1\\n2\tc\\\\d\n"},
		{"a name cannot steer the terminal",
			[][]string{{"a\x1b[2J\x07", "\xff", "\u202eevil"}},
			"ID            SIZE  NOTE\na\\x1b[2J\\x07  \\xff  \\u202eevil\n",
			"a\\x1b[2J\\x07\t\\xff\t\\u202eevil\n"},
		{"missing cells are empty, extra ones dropped",
			[][]string{{"a"}, {"b", "2", "3", "4"}},
			"ID  SIZE  NOTE\na\nb      2  3\n",
			"a\t\t\nb\t2\t3\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := show(t, Streams{OutTTY: true}, cols, tt.rows...); got != tt.terminal {
				t.Errorf("terminal:\n%s\nwant:\n%s", got, tt.terminal)
			}
			if got := show(t, Streams{}, cols, tt.rows...); got != tt.pipe {
				t.Errorf("pipe: %q, want %q", got, tt.pipe)
			}
		})
	}
}

// Colours count for nothing in the width, and never reach a pipe.
func TestTableColour(t *testing.T) {
	s := Streams{OutTTY: true, Color: true}
	cols := []Column{{Title: "STATE"}, {Title: "N"}}
	got := show(t, s, cols, []string{s.Good("ok"), "1"}, []string{s.Bad("damaged"), "2"})
	want := "\x1b[1mSTATE\x1b[22m    \x1b[1mN\x1b[22m\n\x1b[32mok\x1b[0m       1\n\x1b[31mdamaged\x1b[0m  2\n"
	if got != want {
		t.Errorf("terminal: %q\nwant      %q", got, want)
	}
	if got := show(t, Streams{}, cols, []string{s.Good("ok"), "1"}); got != "ok\t1\n" {
		t.Errorf("pipe: %q", got)
	}
}

// A table wider than the terminal wraps its last column and keeps every word.
func TestTableWraps(t *testing.T) {
	long := "one two three four five six seven eight nine ten"
	got := show(t, Streams{OutTTY: true, Width: 30}, []Column{{Title: "ID"}, {Title: "WHY"}}, []string{"abc", long})
	for line := range strings.Lines(got) {
		if n := len(strings.TrimSuffix(line, "\n")); n > 30 {
			t.Errorf("line of %d columns: %q", n, line)
		}
	}
	if words := strings.Fields(got); strings.Join(words[3:], " ") != long {
		t.Errorf("words lost:\n%s", got)
	}
	narrow := show(t, Streams{OutTTY: true, Width: 10}, []Column{{Title: "ID"}, {Title: "WHY"}}, []string{"abc", long})
	if !strings.Contains(narrow, long) {
		t.Errorf("a hopeless width must not mince the text:\n%s", narrow)
	}
}
