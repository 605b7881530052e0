package dumpfile

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
	"github.com/bmad-forge/forgectl/pkg/proc"
)

// writer makes valid SQL in which everything that is quoted holds what would be dangerous if it were not.
type writer struct {
	*rand.Rand
	b strings.Builder
}

func (w *writer) one(of ...string) string { return of[w.IntN(len(of))] }

// command is harmless, and seen when it runs.
const command = `\echo MARK`

// noise is text for inside of something; it never holds any of without.
func (w *writer) noise(without ...string) string {
	var b strings.Builder
	for range w.IntN(6) {
		piece := w.one("'", `"`, "$", "$$", "$a$", "--", "/*", "*/", ";", "\n", "\r\n", `\\`, "é", "x", "(", ")", "begin", " E'", ":X", "\n"+command+"\n", command+"\n", "COPY c FROM stdin;\n", "\n\\.\n", "DROP DATABASE x;")
		b.WriteString(piece)
	}
	text := b.String()
	for _, s := range without {
		text = strings.ReplaceAll(text, s, "")
	}
	for _, s := range without { // taking out one may have made another
		if strings.Contains(text, s) {
			return ""
		}
	}
	return text
}

func (w *writer) space() string {
	return w.one(" ", "\n", "\t", "\r\n", " -- "+w.noise("\n", "\r")+"\n", " -- x\r", "/* "+w.noise("*/", "/*")+" */", "/* /* "+w.noise("*/", "/*")+" */ '*/ ", "\n-- '\n")
}

func (w *writer) value() string {
	switch w.IntN(8) {
	case 0:
		return "'" + strings.ReplaceAll(w.noise(), "'", "''") + "'"
	case 1:
		return "E'" + strings.ReplaceAll(strings.ReplaceAll(w.noise(`\echo MARK`), `\`, `\\`), "'", w.one("''", `\'`)) + "'"
	case 2:
		return "$$" + w.noise("$") + "$$"
	case 3:
		return "$a$" + w.noise("$a") + "$a$"
	case 4:
		return "1" + w.space() + "AS" + w.space() + `"x` + strings.ReplaceAll(w.noise(), `"`, `""`) + `"`
	case 5:
		return "b'01'"
	case 6:
		return "(" + w.space() + "2e3" + w.space() + ")"
	}
	return "(array[1,2,3])[1:2]::int[]"
}

func (w *writer) statement() {
	switch w.IntN(6) {
	case 0:
		fmt.Fprintf(&w.b, "COPY%sc%s(%st )%sFROM%s%s%s;%s\n", w.space(), w.one(" ", "\n"), w.space(), w.space(), w.space(), w.one("stdin", "STDIN", "stdout"), w.one("", " "), w.one("", "  ", "\t"))
		for range w.IntN(4) {
			w.b.WriteString(w.one("a\n", command+"\n", "'\n", "/*\n", "\\\\.\n", "$$\n", "\n", "x\\\\\n"))
		}
		w.b.WriteString("\\.\n")
	case 1:
		fmt.Fprintf(&w.b, "CREATE OR%sREPLACE FUNCTION f%d() RETURNS int LANGUAGE sql BEGIN ATOMIC%sSELECT CASE WHEN true THEN 1 ELSE 2 END;%sSELECT 3; END;", w.space(), w.IntN(3), w.space(), w.space())
	case 2:
		w.b.WriteString("\n" + command + "\n")
	default:
		w.b.WriteString("SELECT" + w.space() + w.value())
		for range w.IntN(4) {
			// The space has a word behind it: literals in two lines would be one.
			w.b.WriteString(w.space() + "," + w.space() + w.value())
		}
		w.b.WriteString(w.space() + ";" + w.space())
	}
}

// Promise: the scanner sees exactly those commands that psql sees, in texts in which each kind of quoting hides some.
func TestAgainstPsql(t *testing.T) {
	t.Parallel()
	f := shareFixture(t)
	e := f.target(t)
	scratchtest.Exec(t, e, "CREATE TABLE c (t text)")
	seed := uint64(20261124)
	total := 0
	for i := range uint64(60) {
		w := &writer{Rand: rand.New(rand.NewPCG(seed, i))}
		for range 25 {
			w.statement()
		}
		text := w.b.String()
		seen := 0
		s := newScanner(strings.NewReader(text), nil)
		s.found = func(f Finding) error {
			if f.Kind == Meta && f.What == `\echo` {
				seen++
			} else if f.Kind != Unsure {
				t.Errorf("text %d: %s", i, f)
			}
			return nil
		}
		if err := s.run(); err != nil && !errors.As(err, new(*cutError)) {
			t.Fatalf("text %d: %v", i, err)
		}
		out, err := proc.Output(t.Context(), scratchtest.Runner(), proc.Cmd{
			Path: f.tools.Path("psql"), Env: e.Environ(), Stdin: strings.NewReader(text),
			Args: []string{"-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "--dbname=" + e.Conninfo(), "-o", "/dev/null", "-f", "-"},
		})
		if err != nil {
			t.Fatalf("text %d: %v\n%s", i, err, text)
		}
		if ran := strings.Count(string(out), "MARK"); ran != seen {
			t.Errorf("text %d: psql ran %d commands, the scanner saw %d:\n%s", i, ran, seen, text)
		}
		total += seen
	}
	if total < 50 {
		t.Errorf("%d commands only", total)
	}
}
