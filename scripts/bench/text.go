package main

import (
	"bufio"
	"fmt"
	"io"
	"math/rand"
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
	random := rand.New(rand.NewSource(42))
	words := make([]string, 8192)
	for i := range words {
		b := make([]byte, 2+random.Intn(9))
		for j := range b {
			b[j] = "etaoinshrdlcumwfgypbvk"[min(random.Intn(22), random.Intn(22))]
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
			id, phrase(6), phrase(230), random.Intn(31), random.Intn(13), random.Intn(997), phrase(20), random.Float64(), random.Intn(5), id%3 == 0,
			1+random.Intn(12), 1+random.Intn(28), random.Intn(24), random.Intn(60), random.Intn(60))
	}
	return out.Flush()
}
