package pickle

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"slices"
	"unicode/utf8"
)

const (
	writeDepth  = 200     // how deep Append goes; Python's own reader and writer go further
	writeValues = 4 << 20 // how many values it writes: a few that share one another can come to any number
)

// Append adds a pickle of v to dst: protocol 4 without frames and without a memo, so that what is shared in v comes out
// as several equal values. It refuses what Python could not read, what holds itself, and what is too large (ErrLimit).
func Append(dst []byte, v Value) ([]byte, error) {
	w := writer{out: append(dst, 0x80, 4)}
	w.value(v, 0)
	if w.err != nil {
		return dst, w.err
	}
	return append(w.out, '.'), nil
}

type writer struct {
	out   []byte
	count int
	err   error
}

func (w *writer) fail(format string, args ...any) {
	if w.err == nil {
		w.err = fmt.Errorf("pickle: "+format, args...)
	}
}

func (w *writer) put(b ...byte) { w.out = append(w.out, b...) }

func (w *writer) value(v Value, depth int) {
	if depth > writeDepth {
		w.fail("nested more than %d deep: %w", writeDepth, ErrLimit)
	}
	if w.count++; w.count > writeValues {
		w.fail("more than %d values: %w", writeValues, ErrLimit)
	}
	if w.err != nil {
		return
	}
	if w.plain(v) || w.temporal(v, depth) {
		return
	}
	depth++
	switch v := v.(type) {
	case *List:
		w.put(']')
		w.marked(v.Items, depth, 'e')
	case *Tuple:
		w.tuple(v.Items, depth)
	case *Set:
		if v.Frozen {
			w.put('(')
			w.values(v.Items, depth)
			w.put(0x91)
			return
		}
		w.put(0x8f)
		w.marked(v.Items, depth, 0x90)
	case *Dict:
		w.put('}')
		w.marked(flat(nil, v.Pairs), depth, 'u')
	case Class:
		w.class(v)
	case *Object:
		w.class(v.Class)
		w.tuple(v.Args, depth)
		w.put('R')
		w.marked(v.Items, depth, 'e')
		w.marked(flat(nil, v.Pairs), depth, 'u')
		if v.State != nil {
			w.value(v.State, depth)
			w.put('b')
		}
	default:
		w.fail("a value of type %T", v)
	}
}

// plain writes what holds nothing else.
func (w *writer) plain(v Value) bool {
	switch v := v.(type) {
	case None:
		w.put('N')
	case Bool:
		w.put(map[Bool]byte{true: 0x88, false: 0x89}[v])
	case Int:
		w.int(int64(v))
	case *Big:
		w.big(v.Int)
	case Float:
		w.put('G')
		w.out = binary.BigEndian.AppendUint64(w.out, math.Float64bits(float64(v)))
	case Str:
		w.str(string(v))
	case Bytes:
		w.bytes(string(v), 'B')
	case ByteArray:
		w.class(Class{"builtins", "bytearray"})
		w.bytes(string(v), 'B')
		w.put(0x85, 'R')
	case Decimal:
		if !validDecimal(string(v)) {
			w.fail("%q is not a decimal", string(v))
		}
		w.class(Class{"decimal", "Decimal"})
		w.str(string(v))
		w.put(0x85, 'R')
	case *UUID:
		w.class(Class{"uuid", "UUID"})
		w.str(v.String())
		w.put(0x85, 'R')
	default:
		return false
	}
	return true
}

func (w *writer) int(n int64) {
	if n >= math.MinInt32 && n <= math.MaxInt32 {
		w.put('J')
		w.out = binary.LittleEndian.AppendUint32(w.out, uint32(int32(n)))
		return
	}
	w.big(big.NewInt(n))
}

// big writes the shortest two's complement, little-endian.
func (w *writer) big(n *big.Int) {
	size := n.BitLen()/8 + 1
	b := make([]byte, size)
	if n.Sign() < 0 {
		new(big.Int).Add(n, new(big.Int).Lsh(big.NewInt(1), uint(8*size))).FillBytes(b)
	} else {
		n.FillBytes(b)
	}
	slices.Reverse(b)
	if size < 256 {
		w.put(0x8a, byte(size))
	} else {
		w.put(0x8b)
		w.out = binary.LittleEndian.AppendUint32(w.out, uint32(size))
	}
	w.put(b...)
}

func (w *writer) str(s string) {
	if !utf8.ValidString(s) {
		w.fail("text that is not UTF-8")
	}
	w.bytes(s, 'X')
}

// bytes writes s behind its length, with the instruction for 32 bits of it or the one for 64.
func (w *writer) bytes(s string, op byte) {
	if uint64(len(s)) <= math.MaxUint32 {
		w.put(op)
		w.out = binary.LittleEndian.AppendUint32(w.out, uint32(len(s)))
	} else {
		w.put(map[byte]byte{'X': 0x8d, 'B': 0x8e}[op])
		w.out = binary.LittleEndian.AppendUint64(w.out, uint64(len(s)))
	}
	w.out = append(w.out, s...)
}

func (w *writer) class(c Class) {
	for _, s := range []string{c.Module, c.Name} {
		if s == "" || !utf8.ValidString(s) || slices.Contains([]byte(s), '\n') {
			w.fail("%q is not the name of a class", c.String())
		}
	}
	w.put('c')
	w.out = append(w.out, c.Module+"\n"+c.Name+"\n"...)
}

func (w *writer) values(items []Value, depth int) {
	for _, item := range items {
		w.value(item, depth)
	}
}

// marked writes items behind a mark, and what is done with them; nothing when there are none.
func (w *writer) marked(items []Value, depth int, op byte) {
	if len(items) == 0 {
		return
	}
	w.put('(')
	w.values(items, depth)
	w.put(op)
}

func (w *writer) tuple(items []Value, depth int) {
	switch n := len(items); {
	case n == 0:
		w.put(')')
	case n <= 3:
		w.values(items, depth)
		w.put(0x84 + byte(n))
	default:
		w.marked(items, depth, 't')
	}
}

// temporal writes dates and times.
func (w *writer) temporal(v Value, depth int) bool {
	switch v := v.(type) {
	case Date:
		w.check(v.valid(), v)
		w.moment("date", []byte{byte(v.Year >> 8), byte(v.Year), byte(v.Month), byte(v.Day)}, nil, depth)
	case DateTime:
		w.check(v.Date.valid() && v.Clock.valid(), v)
		state := append([]byte{byte(v.Year >> 8), byte(v.Year), byte(v.Month | v.Fold<<7), byte(v.Day)}, v.Clock.state()...)
		w.moment("datetime", state, v.Zone, depth)
	case Time:
		w.check(v.Clock.valid(), v)
		state := v.Clock.state()
		state[0] |= byte(v.Fold << 7)
		w.moment("time", state, v.Zone, depth)
	case Delta:
		w.check(v.valid(), v)
		w.class(Class{"datetime", "timedelta"})
		w.tuple([]Value{Int(v.Days), Int(v.Seconds), Int(v.Micros)}, depth)
		w.put('R')
	default:
		return false
	}
	return true
}

func (w *writer) check(ok bool, v Value) {
	if !ok {
		w.fail("%s is out of Python's range", Repr(v, 100))
	}
}

func (c Clock) state() []byte {
	return []byte{byte(c.Hour), byte(c.Minute), byte(c.Second), byte(c.Micro >> 16), byte(c.Micro >> 8), byte(c.Micro)}
}

func (w *writer) moment(name string, state []byte, zone Value, depth int) {
	w.class(Class{"datetime", name})
	args := []Value{Bytes(state)}
	if zone != nil {
		args = append(args, zone)
	}
	w.tuple(args, depth)
	w.put('R')
}
