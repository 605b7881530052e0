package proc

import (
	"slices"
	"strings"
	"testing"
)

// A line that is too long is cut, and no piece of a secret is left at the cut.
func TestLongLine(t *testing.T) {
	const secret = "hunter2hunter2"
	for _, before := range []int{maxLine - len(secret) - 1, maxLine - len(secret), maxLine - 5, maxLine - 1, maxLine, maxLine + 1} {
		var got []string
		l := &lines{scrub: newScrubber([]string{secret}), emit: func(s string) { got = append(got, s) }}
		text := strings.Repeat("x", before) + secret + strings.Repeat("y", 100) + "\nnext\n"
		for chunk := range slices.Chunk([]byte(text), 1000) {
			_, _ = l.Write(chunk)
		}
		l.close()
		if len(got) != 2 || got[1] != "next" {
			t.Fatalf("before %d: %d lines", before, len(got))
		}
		if len(got[0]) > maxLine+len(" …")+len(mask) || strings.Contains(got[0], "h") {
			t.Errorf("before %d: %d bytes, end %q", before, len(got[0]), got[0][len(got[0])-30:])
		}
	}
}

// However the text arrives, no secret comes out and no line gets lost.
func FuzzLines(f *testing.F) {
	f.Add("hunter2", "a hunter2\nb", 3)
	f.Add("é'", "x é' \r\n\n", 1)
	f.Fuzz(func(t *testing.T, secret, text string, size int) {
		if size < 1 || secret == "" || strings.ContainsAny(secret, "*\r\n\uFFFD") {
			return // no secret that a configuration could hold
		}
		count := 0
		l := &lines{scrub: newScrubber([]string{secret}), emit: func(s string) {
			count++
			if strings.Contains(strings.ReplaceAll(s, mask, "\n"), secret) && strings.ToValidUTF8(secret, "") == secret {
				t.Errorf("secret %q in line %q", secret, s)
			}
		}}
		for chunk := range slices.Chunk([]byte(text), size) {
			_, _ = l.Write(chunk)
		}
		l.close()
		want := strings.Count(text, "\n")
		if text != "" && !strings.HasSuffix(text, "\n") {
			want++
		}
		if count != want || len(l.tail) != min(want, tailLines) {
			t.Errorf("%d lines, tail %d, want %d", count, len(l.tail), want)
		}
	})
}
