package pgdump

import (
	"context"
	"fmt"
	"regexp"

	"github.com/jackc/pgx/v5"
)

var clientEncoding = regexp.MustCompile(`client_encoding = '([^']+)'`)

// Encoding is what the names and rows of the archive are written in, as
// PostgreSQL calls it; "" when the archive does not say.
func (t *TOC) Encoding() string {
	for _, e := range t.OfType("ENCODING") {
		if m := clientEncoding.FindStringSubmatch(e.Definition); m != nil {
			return m[1]
		}
	}
	return ""
}

// DecodeNames turns the names of the tables that toc has data of into UTF-8,
// in which everything else here is: pg_dump writes them in the encoding of the
// database. The server that wrote them is asked, for nobody else knows them all.
func (g *Guard) DecodeNames(ctx context.Context, toc *TOC) error {
	encoding := toc.Encoding()
	switch encoding {
	case "", "UTF8", "SQL_ASCII":
		return nil
	}
	conn, err := g.Session(ctx)
	if err != nil {
		return fmt.Errorf("decode names: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	var raw [][]byte
	var of []int
	for i, e := range toc.Entries {
		if e.Type == "TABLE DATA" {
			raw = append(raw, []byte(e.Schema), []byte(e.Name))
			of = append(of, i)
		}
	}
	rows, err := conn.Query(ctx, "SELECT convert_from(n, $2) FROM unnest($1::bytea[]) WITH ORDINALITY AS u(n, i) ORDER BY i", raw, encoding)
	if err != nil {
		return fmt.Errorf("decode names: %w", err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("decode names from %s: %w", encoding, err)
	}
	for n, i := range of {
		toc.Entries[i].Schema, toc.Entries[i].Name = names[2*n], names[2*n+1]
	}
	return nil
}
