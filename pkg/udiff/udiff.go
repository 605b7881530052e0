// Package udiff compares two texts line by line and says what differs in the unified format that diff -u writes and
// patch reads.
//
// What is compared and what is shown may differ: a secret that changed is a difference, and neither value of it needs
// to be printed. The comparison is Myers's, which is minimal; texts that have next to nothing in common are not
// searched for it to the end. It is a pure function, and its memory is bounded by the number of differences.
package udiff

import (
	"fmt"
	"slices"
	"strings"
)

// context is how many lines around a difference are shown.
const context = 3

// most is how many differences are searched for: beyond it everything is another text.
const most = 2000

// Lines cuts a text after each newline. The last line may have none.
func Lines(text string) []string { return slices.Collect(strings.Lines(text)) }

// Text is lines and how they are shown: as many.
type Text struct {
	Name  string
	Lines []string
	Shown []string // nil: as they are
}

func (t Text) line(i int) string {
	if t.Shown != nil {
		return t.Shown[i]
	}
	return t.Lines[i]
}

// edit is a line of the result: of both, of the old text, or of the new one.
type edit struct {
	op   byte // ' ', '-', '+'
	a, b int  // the line in each, or where it would be
}

// Unified is what makes b of a; "" when they are the same.
func Unified(a, b Text) string {
	edits := compare(a.Lines, b.Lines)
	var out strings.Builder
	for start := 0; start < len(edits); {
		first := slices.IndexFunc(edits[start:], func(e edit) bool { return e.op != ' ' })
		if first < 0 {
			break
		}
		first += start
		last := first
		for i := first; i < len(edits) && i <= last+2*context; i++ {
			if edits[i].op != ' ' {
				last = i
			}
		}
		from, to := max(first-context, start), min(last+1+context, len(edits))
		if out.Len() == 0 {
			fmt.Fprintf(&out, "--- %s\n+++ %s\n", a.Name, b.Name)
		}
		hunk(&out, a, b, edits[from:to])
		start = to
	}
	return out.String()
}

func hunk(out *strings.Builder, a, b Text, edits []edit) {
	inA, inB := 0, 0
	for _, e := range edits {
		if e.op != '+' {
			inA++
		}
		if e.op != '-' {
			inB++
		}
	}
	fmt.Fprintf(out, "@@ -%s +%s @@\n", span(edits[0].a, inA), span(edits[0].b, inB))
	for _, e := range edits {
		text, i := a, e.a
		if e.op == '+' {
			text, i = b, e.b
		}
		line := text.line(i)
		out.WriteByte(e.op)
		out.WriteString(line)
		if !strings.HasSuffix(line, "\n") {
			out.WriteString("\n\\ No newline at end of file\n")
		}
	}
}

// span is where lines are, as diff counts: from 1, and an empty one by the line before it.
func span(start, n int) string {
	switch n {
	case 0:
		return fmt.Sprintf("%d,0", start)
	case 1:
		return fmt.Sprint(start + 1)
	}
	return fmt.Sprintf("%d,%d", start+1, n)
}

// compare finds the shortest way from a to b.
func compare(a, b []string) []edit {
	head := 0
	for head < len(a) && head < len(b) && a[head] == b[head] {
		head++
	}
	tail := 0
	for tail < len(a)-head && tail < len(b)-head && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	var edits []edit
	for i := range head {
		edits = append(edits, edit{' ', i, i})
	}
	for _, e := range middle(a[head:len(a)-tail], b[head:len(b)-tail]) {
		edits = append(edits, edit{e.op, e.a + head, e.b + head})
	}
	for i := range tail {
		edits = append(edits, edit{' ', len(a) - tail + i, len(b) - tail + i})
	}
	return edits
}

// middle is Myers's algorithm: how far each diagonal gets with d differences, kept for the way back.
func middle(a, b []string) []edit {
	n, m := len(a), len(b)
	limit := min(n+m, most)
	reach := make([]int, 2*limit+3)
	at := func(k int) int { return k + limit + 1 }
	var trace [][]int
	for d := 0; d <= limit; d++ {
		trace = append(trace, slices.Clone(reach[at(-d-1):at(d+1)+1]))
		for k := -d; k <= d; k += 2 {
			var x int
			if k == -d || k != d && reach[at(k-1)] < reach[at(k+1)] {
				x = reach[at(k+1)]
			} else {
				x = reach[at(k-1)] + 1
			}
			for x < n && x-k >= 0 && x-k < m && a[x] == b[x-k] {
				x++
			}
			reach[at(k)] = x
			if x >= n && x-k >= m {
				return wayBack(trace, n, m)
			}
		}
	}
	return replace(n, m)
}

// replace gives up: all of the one, then all of the other.
func replace(n, m int) []edit {
	var edits []edit
	for i := range n {
		edits = append(edits, edit{'-', i, 0})
	}
	for i := range m {
		edits = append(edits, edit{'+', n, i})
	}
	return edits
}

func wayBack(trace [][]int, x, y int) []edit {
	var edits []edit
	for d := len(trace) - 1; d >= 0; d-- {
		before := func(k int) int { return trace[d][k+d+1] }
		k := x - y
		from := k - 1
		if k == -d || k != d && before(k-1) < before(k+1) {
			from = k + 1
		}
		fromX := before(from)
		fromY := fromX - from
		for x > max(fromX, 0) && y > max(fromY, 0) {
			x, y = x-1, y-1
			edits = append(edits, edit{' ', x, y})
		}
		if d == 0 {
			break
		}
		if x == fromX {
			y--
			edits = append(edits, edit{'+', x, y})
		} else {
			x--
			edits = append(edits, edit{'-', x, y})
		}
	}
	slices.Reverse(edits)
	return edits
}
