package pickle

import (
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
)

// step does one instruction. The names in the comments are those of Python's pickletools.
func (m *machine) step(op byte) {
	if m.scalar(op) || m.text(op) || m.container(op) || m.object(op) {
		return
	}
	switch op {
	case 0x80: // PROTO
		if p := m.byte(); p > 5 {
			m.fail("protocol %d is not known", p)
		}
	case 0x95: // FRAME: it only says how much comes at once
		if n := m.uint(8); n > uint64(len(m.in)-m.at) {
			m.fail("the pickle ends in the middle")
		}
	case '0': // POP, which also takes a mark
		if m.err == nil && len(m.marks) > 0 && len(m.stack) == m.floor() {
			m.marks = m.marks[:len(m.marks)-1]
			return
		}
		m.pop()
	case '1': // POP_MARK
		m.since()
	case '2': // DUP
		m.push(m.top())
	case '(': // MARK
		m.count()
		m.marks = append(m.marks, len(m.stack))
	case 'p': // PUT
		m.put(m.index())
	case 'q': // BINPUT
		m.put(m.uint(1))
	case 'r': // LONG_BINPUT
		m.put(m.uint(4))
	case 0x94: // MEMOIZE
		m.put(uint64(len(m.memo)))
	case 'g': // GET
		m.get(m.index())
	case 'h': // BINGET
		m.get(m.uint(1))
	case 'j': // LONG_BINGET
		m.get(m.uint(4))
	default: // also PERSID, BINPERSID, NEXT_BUFFER, READONLY_BUFFER: they need something outside of the pickle
		m.fail("instruction %#02x is not one of a value by itself", op)
	}
}

func (m *machine) index() uint64 {
	n, err := strconv.ParseUint(m.line(), 10, 63)
	if err != nil {
		m.fail("not the number of a memo")
	}
	return n
}

func (m *machine) scalar(op byte) bool {
	switch op {
	case 'N': // NONE
		m.push(None{})
	case 0x88: // NEWTRUE
		m.push(Bool(true))
	case 0x89: // NEWFALSE
		m.push(Bool(false))
	case 'I': // INT, also protocol 0's way of saying True and False
		switch s := m.line(); s {
		case "00", "01":
			m.push(Bool(s == "01"))
		default:
			m.decimal(s)
		}
	case 'J': // BININT
		m.push(Int(int32(m.uint(4))))
	case 'K': // BININT1
		m.push(Int(m.uint(1)))
	case 'M': // BININT2
		m.push(Int(m.uint(2)))
	case 'L': // LONG
		m.decimal(strings.TrimSuffix(m.line(), "L"))
	case 0x8a: // LONG1
		m.push(twosComplement(m.sized(1)))
	case 0x8b: // LONG4
		m.push(twosComplement(m.sized(4)))
	case 'F': // FLOAT
		f, err := strconv.ParseFloat(m.line(), 64)
		if err != nil && !math.IsInf(f, 0) {
			m.fail("not a float")
		}
		m.push(Float(f))
	case 'G': // BINFLOAT, the one that is big-endian
		var bits uint64
		for _, b := range m.take(8) {
			bits = bits<<8 | uint64(b)
		}
		m.push(Float(math.Float64frombits(bits)))
	default:
		return false
	}
	return true
}

// decimal pushes an int that is written in digits. Their number is bounded: the conversion takes more than linear time.
func (m *machine) decimal(s string) {
	const most = 20000
	n, ok := parseInt(s, most)
	if !ok {
		m.fail("not an int of at most %d digits", most)
		return
	}
	m.push(n)
}

func parseInt(s string, most int) (Value, bool) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return Int(n), true
	}
	if len(s) > most || strings.Contains(s, "_") {
		return nil, false
	}
	n, ok := new(big.Int).SetString(s, 10)
	if !ok {
		return nil, false
	}
	return NewInt(n), true
}

// twosComplement is the int of little-endian bytes.
func twosComplement(b []byte) Value {
	if len(b) <= 8 {
		var u uint64
		for i, c := range b {
			u |= uint64(c) << (8 * i)
		}
		if shift := 64 - 8*len(b); len(b) > 0 {
			return Int(int64(u<<shift) >> shift)
		}
		return Int(0)
	}
	big_ := slices.Clone(b)
	slices.Reverse(big_)
	n := new(big.Int).SetBytes(big_)
	if big_[0]&0x80 != 0 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
	}
	return NewInt(n)
}

func (m *machine) text(op byte) bool {
	switch op {
	case 'X': // BINUNICODE
		m.push(Str(m.sized(4)))
	case 0x8c: // SHORT_BINUNICODE
		m.push(Str(m.sized(1)))
	case 0x8d: // BINUNICODE8
		m.push(Str(m.sized(8)))
	case 'V': // UNICODE
		s, ok := rawUnicode(m.line())
		if !ok {
			m.fail("not an escaped text")
		}
		m.push(Str(s))
	case 'C': // SHORT_BINBYTES
		m.push(Bytes(m.sized(1)))
	case 'B': // BINBYTES
		m.push(Bytes(m.sized(4)))
	case 0x8e: // BINBYTES8
		m.push(Bytes(m.sized(8)))
	case 0x96: // BYTEARRAY8
		m.push(ByteArray(m.sized(8)))
	case 'U': // SHORT_BINSTRING, and the next two: str of Python 2
		m.ascii(string(m.sized(1)))
	case 'T': // BINSTRING
		m.ascii(string(m.sized(4)))
	case 'S': // STRING
		s, ok := quoted(m.line())
		if !ok {
			m.fail("not a quoted text")
		}
		m.ascii(s)
	default:
		return false
	}
	return true
}

// ascii pushes what Python 2 called a str: text where it is ASCII, as Python 3 takes it, otherwise bytes.
func (m *machine) ascii(s string) {
	for i := range len(s) {
		if s[i] >= 0x80 {
			m.push(Bytes(s))
			return
		}
	}
	m.push(Str(s))
}

func (m *machine) container(op byte) bool {
	switch op {
	case ']': // EMPTY_LIST
		m.push(&List{})
	case 'l': // LIST
		m.push(&List{m.since()})
	case ')': // EMPTY_TUPLE
		m.push(&Tuple{})
	case 't': // TUPLE
		m.push(&Tuple{m.since()})
	case 0x85, 0x86, 0x87: // TUPLE1, TUPLE2, TUPLE3
		m.push(&Tuple{m.several(int(op) - 0x84)})
	case '}': // EMPTY_DICT
		m.push(&Dict{})
	case 'd': // DICT
		m.push(&Dict{m.pairs(m.since())})
	case 0x8f: // EMPTY_SET
		m.push(&Set{})
	case 0x91: // FROZENSET
		m.push(&Set{m.since(), true})
	case 'a': // APPEND
		item := m.several(1)
		m.extend(m.top(), item)
	case 'e', 0x90: // APPENDS, ADDITEMS
		items := m.since()
		m.extend(m.top(), items)
	case 's': // SETITEM
		items := m.several(2)
		m.update(m.top(), m.pairs(items))
	case 'u': // SETITEMS
		items := m.since()
		m.update(m.top(), m.pairs(items))
	default:
		return false
	}
	return true
}

func (m *machine) pairs(items []Value) []Pair {
	if len(items)%2 != 0 {
		m.fail("a key without a value")
		return nil
	}
	pairs := make([]Pair, 0, len(items)/2)
	for i := 0; i < len(items); i += 2 {
		pairs = append(pairs, Pair{items[i], items[i+1]})
	}
	return pairs
}

func (m *machine) extend(to Value, items []Value) {
	switch to := to.(type) {
	case *List:
		to.Items = append(to.Items, items...)
	case *Set:
		to.Items = append(to.Items, items...)
	case *Object:
		to.Items = append(to.Items, items...)
	default:
		m.fail("appends to what is not a list")
	}
}

func (m *machine) update(to Value, pairs []Pair) {
	switch to := to.(type) {
	case *Dict:
		to.Pairs = append(to.Pairs, pairs...)
	case *Object:
		to.Pairs = append(to.Pairs, pairs...)
	default:
		m.fail("sets an item of what is not a dict")
	}
}
