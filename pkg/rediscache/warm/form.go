package warm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/bmad-forge/forgectl/pkg/rediscache/pickle"
)

// form is how the values of a type become pickled without a tree of values in between.
type form struct {
	binary bool // of the formats in which the server sends values
	// add appends the instructions for a value. What it appends must be what pickle.AppendValue writes for the value that the
	// type's decoder makes of the same text.
	add func(dst, raw []byte) ([]byte, error)
	// same says whether what was read again is the value; nil where only its form is looked at.
	same func(c *pickle.Checker, s pickle.Slot, raw []byte) bool
}

// formOf is that of a column. keyed is one that keys are made of: its text is needed.
func formOf(c column, keyed bool) form {
	oid := c.oid
	if c.textual {
		oid = pgtype.TextOID
	}
	f, ok := direct(oid)
	if !ok || keyed && f.binary {
		return throughValue(c.decode)
	}
	return f
}

// throughValue makes a value and then its instructions: for types that are rare.
func throughValue(decode decoder) form {
	return form{add: func(dst, raw []byte) ([]byte, error) {
		v, err := decode(string(raw))
		if err != nil {
			return dst, err
		}
		return pickle.AppendValue(dst, v)
	}}
}

func direct(oid uint32) (form, bool) {
	switch oid {
	case pgtype.TextOID, pgtype.VarcharOID, pgtype.BPCharOID, pgtype.NameOID, pgtype.InetOID, pgtype.CIDROID, pgtype.MacaddrOID, pgtype.Macaddr8OID, pgtype.XMLOID, pgtype.QCharOID:
		return literal(false, pickle.KindStr, pickle.AppendStr), true
	case pgtype.NumericOID:
		return literal(false, pickle.KindDecimal, pickle.AppendDecimal), true
	case pgtype.UUIDOID:
		return literal(false, pickle.KindUUID, pickle.AppendUUID), true
	case pgtype.ByteaOID:
		return literal(true, pickle.KindBytes, pickle.AppendBytes), true
	case pgtype.Int2OID, pgtype.Int4OID, pgtype.Int8OID, pgtype.OIDOID:
		return form{add: addInt, same: sameInt}, true
	case pgtype.BoolOID:
		return form{add: addBool, same: sameBool}, true
	case pgtype.Float8OID:
		return form{binary: true, add: addFloat, same: sameFloat}, true
	case pgtype.DateOID:
		return form{binary: true, add: addDate, same: sameDate}, true
	case pgtype.TimestampOID:
		return timestamp(false), true
	case pgtype.TimestamptzOID:
		return timestamp(true), true
	case pgtype.JSONOID, pgtype.JSONBOID:
		return form{add: addJSON}, true
	}
	return form{}, false
}

// literal is a type whose bytes are in the pickle as they come.
func literal(binary bool, kind pickle.Kind, add func(dst, raw []byte) []byte) form {
	return form{
		binary: binary,
		add:    func(dst, raw []byte) ([]byte, error) { return add(dst, raw), nil },
		same: func(c *pickle.Checker, s pickle.Slot, raw []byte) bool {
			return s.Kind == kind && bytes.Equal(c.Bytes(s), raw)
		},
	}
}

func addInt(dst, raw []byte) ([]byte, error) {
	n, err := strconv.ParseInt(string(raw), 10, 64)
	if err != nil {
		return dst, err
	}
	return pickle.AppendInt(dst, n), nil
}

// sameInt compares the digits, so that a mistake in reading them is none in comparing.
func sameInt(c *pickle.Checker, s pickle.Slot, raw []byte) bool {
	n, ok := c.Int(s)
	if !ok { // nine bytes: there is one such int8
		return s.Kind == pickle.KindInt && string(raw) == strconv.Itoa(math.MinInt64)
	}
	var digits [20]byte
	return bytes.Equal(strconv.AppendInt(digits[:0], n, 10), raw)
}

func addBool(dst, raw []byte) ([]byte, error) { return pickle.AppendBool(dst, string(raw) == "t"), nil }

func sameBool(_ *pickle.Checker, s pickle.Slot, raw []byte) bool {
	return s.Kind == pickle.KindTrue && string(raw) == "t" || s.Kind == pickle.KindFalse && string(raw) == "f"
}

var errBinary = errors.New("not of the length that its type has")

func addFloat(dst, raw []byte) ([]byte, error) {
	if len(raw) != 8 {
		return dst, errBinary
	}
	return pickle.AppendFloat(dst, math.Float64frombits(binary.BigEndian.Uint64(raw))), nil
}

func sameFloat(c *pickle.Checker, s pickle.Slot, raw []byte) bool {
	return s.Kind == pickle.KindFloat && bytes.Equal(c.Bytes(s), raw)
}

const (
	microsOfDay = 24 * 60 * 60 * 1000000
	// The days from 2000-01-01, from which PostgreSQL counts, to the first and the last that Python has.
	firstDay, lastDay = -730119, 2921939
)

// civil is the date of a day that is counted from 2000-01-01. The year begins in March here, so that the day of 29 February
// is its last.
func civil(day int) pickle.Date {
	const era = 146097 // days of 400 years
	day += 730425      // from 0000-03-01
	century := day / era
	rest := day % era
	if rest < 0 {
		rest += era
		century--
	}
	year := (rest - rest/1460 + rest/36524 - rest/(era-1)) / 365
	inYear := rest - (365*year + year/4 - year/100)
	month := (5*inYear + 2) / 153
	d := pickle.Date{Year: year + 400*century, Month: month + 3, Day: inYear - (153*month+2)/5 + 1}
	if d.Month > 12 {
		d.Month -= 12
		d.Year++
	}
	return d
}

func addDate(dst, raw []byte) ([]byte, error) {
	if len(raw) != 4 {
		return dst, errBinary
	}
	day := int(int32(binary.BigEndian.Uint32(raw)))
	if day < firstDay || day > lastDay { // infinity is the least or the greatest
		return dst, errRange
	}
	return pickle.AppendDate(dst, civil(day)), nil
}

// begin is from when PostgreSQL counts, by another clock than civil's.
var begin = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

func sameDate(c *pickle.Checker, s pickle.Slot, raw []byte) bool {
	b := c.Bytes(s)
	if s.Kind != pickle.KindDate || len(b) != 4 {
		return false
	}
	t := time.Date(int(b[0])<<8|int(b[1]), time.Month(b[2]), int(b[3]), 0, 0, 0, 0, time.UTC)
	return (t.Unix()-begin.Unix())/86400 == int64(int32(binary.BigEndian.Uint32(raw)))
}

// timestamp is a point in time: microseconds since 2000-01-01, in UTC where it has a zone.
func timestamp(zoned bool) form {
	add := func(dst, raw []byte) ([]byte, error) {
		if len(raw) != 8 {
			return dst, errBinary
		}
		micros := int64(binary.BigEndian.Uint64(raw))
		day, rest := micros/microsOfDay, micros%microsOfDay
		if rest < 0 {
			rest += microsOfDay
			day--
		}
		if day < firstDay || day > lastDay {
			return dst, errRange
		}
		n := int(rest / 1000000)
		return pickle.AppendDateTime(dst, civil(int(day)), pickle.Clock{Hour: n / 3600, Minute: n / 60 % 60, Second: n % 60, Micro: int(rest % 1000000)}, zoned), nil
	}
	same := func(c *pickle.Checker, s pickle.Slot, raw []byte) bool {
		b := c.Bytes(s)
		if s.Kind != pickle.KindDateTime || s.Zoned != zoned || len(b) != 10 {
			return false
		}
		t := time.Date(int(b[0])<<8|int(b[1]), time.Month(b[2]), int(b[3]), int(b[4]), int(b[5]), int(b[6]), 0, time.UTC)
		micros := (t.Unix()-begin.Unix())*1000000 + int64(b[7])<<16 + int64(b[8])<<8 + int64(b[9])
		return micros == int64(binary.BigEndian.Uint64(raw))
	}
	return form{binary: true, add: add, same: same}
}
