package seal

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"sync"
)

// rows makes n bytes of text that compress well; the same bytes each time.
func rows(n int) []byte {
	return bytes.Repeat(aMegabyte(), n>>20+1)[:n:n]
}

var aMegabyte = sync.OnceValue(func() []byte { return dump(1 << 20) })

// dump makes n bytes that compress about as well as a database dump.
func dump(n int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	var b bytes.Buffer
	words := []string{"prompt", "template", "framework", "agent", "description", "workflow", "developer", "analyst", "{\"role\": \"user\"}", "BMAD"}
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "%d\t%08x%08x\t2026-11-%02d %02d:%02d:%02d.%06d+00\t", i, r.Uint32(), r.Uint32(), 1+r.IntN(30), r.IntN(24), r.IntN(60), r.IntN(60), r.IntN(1000000))
		for range 5 + r.IntN(30) {
			b.WriteString(words[r.IntN(len(words))])
			b.WriteByte(' ')
		}
		b.WriteString("\tt\t\\N\n")
	}
	return b.Bytes()[:n]
}

// noise makes n bytes that do not compress.
func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}
