package warm

import (
	"testing"

	"github.com/jackc/pgx/v5/pgtype"
)

// BenchmarkRow is what a row costs before it is sent.
func BenchmarkRow(b *testing.B) {
	col := func(n string, oid uint32) column { return column{name: n, kind: n, oid: oid, decode: plain(oid)} }
	enc, err := newEncoder(Entry{Key: "template:{id}", Codec: Model, Model: "forge.Template", DjangoVersion: "3.2.25"}, []column{
		col("id", pgtype.Int8OID), col("title", pgtype.VarcharOID), col("body", pgtype.TextOID), col("is_active", pgtype.BoolOID),
		col("price", pgtype.NumericOID), col("extra", pgtype.JSONBOID), col("created", pgtype.TimestamptzOID),
	})
	if err != nil {
		b.Fatal(err)
	}
	values := [][]byte{[]byte("123"), []byte("Template 123"), make([]byte, 320), []byte("t"), []byte("17.57"), []byte(`{"n": 123}`), {0, 2, 0xb5, 0x6e, 0x5c, 0x12, 0x34, 0x56}}
	for i := range values[2] {
		values[2][i] = 'a'
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := enc.row("bmad:1:", values); err != nil {
			b.Fatal(err)
		}
	}
}
