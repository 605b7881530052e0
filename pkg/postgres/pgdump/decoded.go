package pgdump

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/bmad-forge/forgectl/pkg/postgres"
)

// Decoded is t with its names and definitions in UTF-8, as Choose and everybody
// who types a name wants them: pg_dump writes them in the encoding of the
// database. The server behind e converts, for nobody else knows all encodings.
func (t *TOC) Decoded(ctx context.Context, e *postgres.Endpoint) (*TOC, error) {
	encoding := t.Encoding()
	switch encoding {
	case "", "UTF8", "SQL_ASCII":
		return t, nil
	}
	decoded := *t
	decoded.Entries = append([]Entry{}, t.Entries...)
	var raw [][]byte
	var into []*string
	for i := range decoded.Entries {
		entry := &decoded.Entries[i]
		for _, s := range []*string{&entry.Schema, &entry.Name, &entry.Definition} {
			if !ascii(*s) {
				raw, into = append(raw, []byte(*s)), append(into, s)
			}
		}
	}
	if len(raw) == 0 {
		return t, nil
	}
	conn, err := e.Connect(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	rows, err := conn.Query(ctx, "SELECT convert_from(n, $2) FROM unnest($1::bytea[]) WITH ORDINALITY AS u(n, i) ORDER BY i", raw, encoding)
	if err != nil {
		return nil, fmt.Errorf("decode names: %w", err)
	}
	texts, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("decode names from %s: %w", encoding, err)
	}
	for i, text := range texts {
		*into[i] = text
	}
	return &decoded, nil
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
