package pickle

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// The functions here write what Append writes, without a Value: pieces of a pickle, for who puts very many together.

// AppendStr adds the instruction for a str. The text must be UTF-8, which a Checker looks at.
func AppendStr(dst, s []byte) []byte { return appendSized(dst, 'X', s) }

// AppendBytes adds the instruction for bytes.
func AppendBytes(dst, b []byte) []byte { return appendSized(dst, 'B', b) }

func appendSized(dst []byte, op byte, s []byte) []byte {
	dst = append(dst, op)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(s)))
	return append(dst, s...)
}

// AppendInt adds the instruction for an int.
func AppendInt(dst []byte, n int64) []byte {
	if n >= math.MinInt32 && n <= math.MaxInt32 {
		return binary.LittleEndian.AppendUint32(append(dst, 'J'), uint32(int32(n)))
	}
	abs := uint64(n)
	if n < 0 {
		abs = -abs
	}
	size := bits.Len64(abs)/8 + 1
	dst = append(dst, 0x8a, byte(size))
	for i := range size {
		dst = append(dst, byte(n>>min(8*i, 63)))
	}
	return dst
}

// AppendFloat adds the instruction for a float.
func AppendFloat(dst []byte, f float64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, 'G'), math.Float64bits(f))
}

// AppendNone adds the instruction for None.
func AppendNone(dst []byte) []byte { return append(dst, 'N') }

// AppendBool adds the instruction for True or False.
func AppendBool(dst []byte, b bool) []byte {
	if b {
		return append(dst, 0x88)
	}
	return append(dst, 0x89)
}

// AppendDecimal adds a Decimal in its own notation, which a Checker looks at; AppendUUID a UUID in the form of its String.
func AppendDecimal(dst, s []byte) []byte {
	return append(AppendStr(append(dst, "cdecimal\nDecimal\n"...), s), 0x85, 'R')
}

// AppendUUID is said with AppendDecimal.
func AppendUUID(dst, s []byte) []byte {
	return append(AppendStr(append(dst, "cuuid\nUUID\n"...), s), 0x85, 'R')
}

// AppendDate adds a date, whose parts a Checker looks at.
func AppendDate(dst []byte, d Date) []byte {
	dst = append(dst, "cdatetime\ndate\nB\x04\x00\x00\x00"...)
	return append(dst, byte(d.Year>>8), byte(d.Year), byte(d.Month), byte(d.Day), 0x85, 'R')
}

// utc is the zone UTC as Append writes it.
const utc = "cdatetime\ntimezone\ncdatetime\ntimedelta\nJ\x00\x00\x00\x00J\x00\x00\x00\x00J\x00\x00\x00\x00\x87R\x85R"

// AppendDateTime adds a datetime, naive or of UTC.
func AppendDateTime(dst []byte, d Date, c Clock, zoned bool) []byte {
	dst = append(dst, "cdatetime\ndatetime\nB\x0a\x00\x00\x00"...)
	dst = append(dst, byte(d.Year>>8), byte(d.Year), byte(d.Month), byte(d.Day),
		byte(c.Hour), byte(c.Minute), byte(c.Second), byte(c.Micro>>16), byte(c.Micro>>8), byte(c.Micro))
	if !zoned {
		return append(dst, 0x85, 'R')
	}
	return append(append(dst, utc...), 0x86, 'R')
}

// AppendValue adds v without the beginning and the end of a pickle. The error is that of Append.
func AppendValue(dst []byte, v Value) ([]byte, error) {
	w := writer{out: dst}
	w.value(v, 0)
	if w.err != nil {
		return dst, w.err
	}
	return w.out, nil
}

// Begin and End stand around what is put together.
const (
	Begin = "\x80\x04"
	End   = "."
)
