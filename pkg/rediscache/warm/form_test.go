package warm

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/bmad-forge/forgectl/pkg/rediscache/pickle"
)

// agrees compares what goes straight into the pickle with what the type's decoder makes of the text.
func agrees(t *testing.T, oid uint32, raw []byte, text string) {
	t.Helper()
	f, ok := direct(oid)
	if !ok {
		t.Fatalf("type %d has no direct form", oid)
	}
	v, wantErr := plain(oid)(text)
	got, err := f.add([]byte(pickle.Begin), raw)
	if (err != nil) != (wantErr != nil) {
		t.Errorf("type %d, %q: %v, and %v by way of a value", oid, text, err, wantErr)
	}
	if err != nil || wantErr != nil {
		return
	}
	got = append(got, pickle.End...)
	if want, err := pickle.Append(nil, v); err != nil || !bytes.Equal(got, want) {
		t.Errorf("type %d, %q: %q, and %q by way of a value (%v)", oid, text, got, want, err)
	}
	var c pickle.Checker
	s, err := c.Check(got)
	if err != nil || f.same != nil && !f.same(&c, s, raw) {
		t.Errorf("type %d, %q is not found to be the same: %v", oid, text, err)
	}
}

// Promise: what goes from the server's bytes straight into the pickle is, byte for byte, what the value would become.
func TestFormsAgree(t *testing.T) {
	for text := range map[string]bool{"0": true, "-1": true, "2147483648": true, "-2147483649": true, "9223372036854775807": true, "-9223372036854775808": true} {
		agrees(t, pgtype.Int8OID, []byte(text), text)
	}
	for _, text := range []string{"1.50", "-0.00", "NaN", "Infinity", "123456789012345678901234567890"} {
		agrees(t, pgtype.NumericOID, []byte(text), text)
	}
	agrees(t, pgtype.TextOID, []byte("é\x00\n"), "é\x00\n")
	agrees(t, pgtype.ByteaOID, []byte("\x00\xff"), `\x00ff`)
	agrees(t, pgtype.BoolOID, []byte("t"), "t")
	agrees(t, pgtype.BoolOID, []byte("f"), "f")
	agrees(t, pgtype.UUIDOID, []byte("12345678-1234-5678-9abc-def012345678"), "12345678-1234-5678-9abc-def012345678")
	for _, text := range []string{
		`{}`, `[]`, `null`, `true`, ` [ 1 , 2.5 , -3e10, "x" ] `, `{"a": {"b": [false, null, {}]}, "a": 1}`, `"\u00e9\n"`, `"\ud83d\ude00"`, `["é", ""]`,
		`123456789012345678901234567890`, `-0`, `-0.0`, `1e400`, `[[[[[[1]]]]]]`, "{\"k\" :\t1\n}", `9223372036854775807`, `9223372036854775808`,
	} {
		agrees(t, pgtype.JSONOID, []byte(text), text)
	}
	for day := time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC); day.Year() < 10000; day = day.AddDate(0, 0, 13) {
		n := (day.Unix() - begin.Unix()) / 86400
		agrees(t, pgtype.DateOID, binary.BigEndian.AppendUint32(nil, uint32(n)), day.Format("2006-01-02"))
		at := day.Add(time.Duration(day.YearDay()) * 123456789123 * time.Nanosecond).Truncate(time.Microsecond)
		if at.Year() == 10000 {
			break
		}
		micros := binary.BigEndian.AppendUint64(nil, uint64((at.Unix()-begin.Unix())*1000000+int64(at.Nanosecond()/1000)))
		agrees(t, pgtype.TimestampOID, micros, at.Format("2006-01-02 15:04:05.999999"))
		agrees(t, pgtype.TimestamptzOID, micros, at.Format("2006-01-02 15:04:05.999999")+"+00")
	}
	for _, n := range []uint32{0x7fffffff, 0x80000000} {
		if _, err := addDate(nil, binary.BigEndian.AppendUint32(nil, n)); err == nil {
			t.Error("infinity is a date")
		}
	}
}
