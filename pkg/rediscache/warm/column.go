package warm

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/bmad-forge/forgectl/pkg/rediscache/pickle"
)

// ColumnError is a column whose value cannot be made one of Python.
type ColumnError struct {
	Column string
	Type   string // as PostgreSQL calls it
	Err    error
}

func (e *ColumnError) Error() string {
	return fmt.Sprintf("column %q of type %s: %v", e.Column, e.Type, e.Err)
}

// Unwrap keeps the cause.
func (e *ColumnError) Unwrap() error { return e.Err }

// ErrType means that nobody has said which type of Python a type of PostgreSQL is.
var ErrType = errors.New("its type has no counterpart in Python here")

// decoder makes a value of Python out of the text that the server writes for one.
type decoder func(text string) (pickle.Value, error)

// plain are the types that Django's fields have on PostgreSQL, and their near relatives. dateStyle and the like are pinned
// for the session, so the text has one form.
func plain(oid uint32) decoder {
	switch oid {
	case pgtype.TextOID, pgtype.VarcharOID, pgtype.BPCharOID, pgtype.NameOID, pgtype.InetOID, pgtype.CIDROID, pgtype.MacaddrOID, pgtype.Macaddr8OID, pgtype.XMLOID, pgtype.QCharOID:
		return func(s string) (pickle.Value, error) { return pickle.Str(s), nil }
	case pgtype.Int2OID, pgtype.Int4OID, pgtype.Int8OID, pgtype.OIDOID:
		return func(s string) (pickle.Value, error) {
			n, err := strconv.ParseInt(s, 10, 64)
			return pickle.Int(n), err
		}
	case pgtype.NumericOID:
		return func(s string) (pickle.Value, error) { return pickle.Decimal(s), nil }
	case pgtype.Float4OID, pgtype.Float8OID:
		return func(s string) (pickle.Value, error) {
			f, err := strconv.ParseFloat(s, 64)
			return pickle.Float(f), err
		}
	case pgtype.BoolOID:
		return func(s string) (pickle.Value, error) { return pickle.Bool(s == "t"), nil }
	case pgtype.ByteaOID:
		return bytea
	case pgtype.JSONOID, pgtype.JSONBOID:
		return jsonValue
	case pgtype.UUIDOID:
		return uuid
	case pgtype.DateOID:
		return moment(func(t time.Time) pickle.Value { return date(t) })
	case pgtype.TimestampOID:
		return moment(func(t time.Time) pickle.Value { return pickle.DateTime{Date: date(t), Clock: clock(t)} })
	case pgtype.TimestamptzOID:
		return moment(func(t time.Time) pickle.Value {
			t = t.UTC()
			return pickle.DateTime{Date: date(t), Clock: clock(t), Zone: pickle.UTC()}
		})
	case pgtype.TimeOID:
		return timeOfDay
	case pgtype.IntervalOID:
		return interval
	}
	return nil
}

// elements are the arrays whose elements are plain.
func elements(oid uint32) uint32 {
	return map[uint32]uint32{
		pgtype.TextArrayOID: pgtype.TextOID, pgtype.VarcharArrayOID: pgtype.VarcharOID, pgtype.BPCharArrayOID: pgtype.BPCharOID, pgtype.NameArrayOID: pgtype.NameOID,
		pgtype.InetArrayOID: pgtype.InetOID, pgtype.CIDRArrayOID: pgtype.CIDROID, pgtype.Int2ArrayOID: pgtype.Int2OID, pgtype.Int4ArrayOID: pgtype.Int4OID,
		pgtype.Int8ArrayOID: pgtype.Int8OID, pgtype.NumericArrayOID: pgtype.NumericOID, pgtype.Float4ArrayOID: pgtype.Float4OID, pgtype.Float8ArrayOID: pgtype.Float8OID,
		pgtype.BoolArrayOID: pgtype.BoolOID, pgtype.ByteaArrayOID: pgtype.ByteaOID, pgtype.JSONArrayOID: pgtype.JSONOID, pgtype.JSONBArrayOID: pgtype.JSONBOID,
		pgtype.UUIDArrayOID: pgtype.UUIDOID, pgtype.DateArrayOID: pgtype.DateOID, pgtype.TimestampArrayOID: pgtype.TimestampOID,
		pgtype.TimestamptzArrayOID: pgtype.TimestamptzOID, pgtype.TimeArrayOID: pgtype.TimeOID, pgtype.IntervalArrayOID: pgtype.IntervalOID,
	}[oid]
}

// decoderOf is nil for a type that is not known. textual says whether a type of no fixed number, such as an enum or citext, is
// text to Python.
func decoderOf(oid uint32, textual func(uint32) bool) decoder {
	if d := plain(oid); d != nil {
		return d
	}
	if e := elements(oid); e != 0 {
		each := plain(e)
		return func(s string) (pickle.Value, error) { return array(s, each) }
	}
	if textual(oid) {
		return plain(pgtype.TextOID)
	}
	return nil
}

func bytea(s string) (pickle.Value, error) {
	digits, ok := strings.CutPrefix(s, `\x`)
	b, err := hex.DecodeString(digits)
	if !ok {
		err = errors.New("not in the form that was asked for")
	}
	return pickle.Bytes(b), err
}

func uuid(s string) (pickle.Value, error) {
	u, ok := pickle.ParseUUID(s)
	if !ok {
		return nil, errors.New("not a UUID")
	}
	return u, nil
}

func date(t time.Time) pickle.Date {
	return pickle.Date{Year: t.Year(), Month: int(t.Month()), Day: t.Day()}
}

func clock(t time.Time) pickle.Clock {
	return pickle.Clock{Hour: t.Hour(), Minute: t.Minute(), Second: t.Second(), Micro: t.Nanosecond() / 1000}
}

// errRange is a date that Python has none for.
var errRange = errors.New("outside of the years 1 to 9999, which Python knows")

// moment reads a date, with a time and a zone or without.
func moment(made func(time.Time) pickle.Value) decoder {
	return func(s string) (pickle.Value, error) {
		if strings.HasSuffix(s, "infinity") || strings.HasSuffix(s, "BC") || strings.IndexByte(s, '-') > 4 {
			return nil, errRange
		}
		form := "2006-01-02 15:04:05.999999"
		switch {
		case len(s) == len("2006-01-02"):
			form = "2006-01-02"
		case strings.HasSuffix(s, "+00"):
			form += "-07"
		}
		t, err := time.Parse(form, s)
		if err != nil {
			return nil, fmt.Errorf("not a time in the form that was asked for: %w", err)
		}
		return made(t), nil
	}
}

func timeOfDay(s string) (pickle.Value, error) {
	t, err := time.Parse("15:04:05.999999", s) // 24:00:00 is none of Python's
	return pickle.Time{Clock: clock(t)}, err
}

// interval reads the verbose form of seconds that the session's settings give: [N mons] [N days] [-]HH:MM:SS[.ffffff].
func interval(s string) (pickle.Value, error) {
	var days int64
	var rest time.Duration
	words := strings.Fields(s)
	for i := 0; i < len(words); i++ {
		if strings.Contains(words[i], ":") {
			d, err := hours(words[i])
			if err != nil {
				return nil, err
			}
			rest = d
			continue
		}
		n, err := strconv.ParseInt(words[i], 10, 64)
		if err != nil || i+1 == len(words) {
			return nil, errors.New("not an interval in the form that was asked for")
		}
		i++
		if !strings.HasPrefix(words[i], "day") {
			return nil, errors.New("months and years have no fixed length, and no timedelta")
		}
		days = n
	}
	return pickle.NewDelta(days, rest), nil
}

func hours(s string) (time.Duration, error) {
	body := strings.TrimLeft(s, "+-")
	parts := strings.Split(body, ":")
	if len(parts) != 3 {
		return 0, errors.New("not hours, minutes and seconds")
	}
	h, errH := strconv.ParseInt(parts[0], 10, 64)
	m, errM := strconv.ParseInt(parts[1], 10, 64)
	sec, ok := new(big.Rat).SetString(parts[2])
	if errH != nil || errM != nil || !ok || h > math.MaxInt64/int64(time.Hour)-1 {
		return 0, errors.New("not hours, minutes and seconds")
	}
	micros, _ := sec.Mul(sec, big.NewRat(1_000_000, 1)).Float64()
	d := time.Duration(h)*time.Hour + time.Duration(m)*time.Minute + time.Duration(math.Round(micros))*time.Microsecond
	if strings.HasPrefix(s, "-") {
		d = -d
	}
	return d, nil
}
