package main

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
)

// tableSQL is the table that writeText fills.
const tableSQL = `CREATE TABLE document (id bigint PRIMARY KEY, title text NOT NULL, body text NOT NULL, meta jsonb NOT NULL, created timestamptz NOT NULL);
CREATE INDEX document_created ON document (created);
CREATE INDEX document_title ON document (title);`

// writeText writes rows of COPY for the table document, about 1.7 kB each: sentences of words as frequent as in a
// language, and JSON. gzip makes them four times smaller. The same rows each time.
func writeText(w io.Writer, rows int) error {
	out := bufio.NewWriterSize(w, 1<<20)
	random := rand.New(rand.NewPCG(42, 42)) //nolint:gosec // the same each time is what is wanted
	words := make([]string, 8192)
	for i := range words {
		b := make([]byte, 2+random.IntN(9))
		for j := range b {
			b[j] = "etaoinshrdlcumwfgypbvk"[min(random.IntN(22), random.IntN(22))]
		}
		words[i] = string(b)
	}
	zipf := rand.NewZipf(random, 1.3, 6, uint64(len(words)-1))
	phrase := func(n int) string {
		var b strings.Builder
		for i := range n {
			if i > 0 {
				b.WriteByte(' ')
			}
			b.WriteString(words[zipf.Uint64()])
		}
		return b.String()
	}
	for id := range rows {
		fmt.Fprintf(out, "%d\t%s\t%s\t{\"tags\": [\"t%d\", \"t%d\"], \"author\": %d, \"excerpt\": \"%s\", \"score\": %.6f, \"model\": \"m-%d\", \"reviewed\": %t}\t2026-%02d-%02d %02d:%02d:%02d+00\n",
			id, phrase(6), phrase(230), random.IntN(31), random.IntN(13), random.IntN(997), phrase(20), random.Float64(), random.IntN(5), id%3 == 0,
			1+random.IntN(12), 1+random.IntN(28), random.IntN(24), random.IntN(60), random.IntN(60))
	}
	return out.Flush()
}
