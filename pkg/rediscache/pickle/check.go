package pickle

import (
	"encoding/binary"
	"fmt"
	"math"
	"unicode/utf8"
)

// Kind is what a Slot is.
type Kind uint8

// The kinds.
const (
	KindNone Kind = iota + 1
	KindTrue
	KindFalse
	KindInt
	KindFloat
	KindStr
	KindBytes
	KindList
	KindTuple
	KindDict
	KindDecimal
	KindUUID
	KindDate
	KindDateTime // Zoned or naive
	KindTime
	KindDelta
	KindZone
	KindModel // as NewModel makes it

	kindState // the _state of a model
	kindBare  // a model or its _state before anything is set on it
	kindClass
)

// Slot is a value that Checker has read, without the value: what it is, and where its bytes are.
type Slot struct {
	Kind  Kind
	Zoned bool // a DateTime or a Time that has a zone
	// From and To bound, in the pickle, the bytes of a scalar; of a Decimal, a UUID, a Date, a DateTime or a Time those that
	// it is made of; of a Tuple those of its last item.
	From, To int32
	depth    uint8
	class    class_
	serial   uint32 // of a tuple
	items    uint32
}

// class_ is one of the classes that Checker lets pass.
type class_ uint8

const (
	classDecimal class_ = iota + 1
	classUUID
	classDate
	classDateTime
	classTime
	classDelta
	classZone
	classModel
	classState
)

// Checker reads pickles as Parse does, but makes nothing: it follows the instructions, with one Slot for each value. It
// takes only what Append writes, byte for byte, of what Store is given for a row: any other instruction, order, length,
// number that has a shorter form, or class is an *Error. So what it takes, Parse takes, and Append writes it again.
//
// It keeps its memory for the next pickle, and is for one goroutine.
type Checker struct {
	// Fields are the keys and values of the dict that was filled last: of a dict its own, of a model those of its state.
	Fields []Slot
	// Items are those of the list that was filled last.
	Items []Slot

	in     []byte
	at, op int
	stack  []Slot
	marks  []int32
	last   [3]Slot // the items of the tuple that was made last
	serial uint32
	made   int
}

const (
	checkDepth = 200
	checkBytes = math.MaxInt32
)

// Check reads data, whole. The slots of Fields and Items are valid until the next call.
func (c *Checker) Check(data []byte) (Slot, error) {
	*c = Checker{Fields: c.Fields[:0], Items: c.Items[:0], stack: c.stack[:0], marks: c.marks[:0], in: data}
	if len(data) > checkBytes {
		return Slot{}, &Error{0, fmt.Sprintf("%d bytes", len(data)), ErrLimit}
	}
	if len(data) < 3 || data[0] != 0x80 || data[1] != 4 {
		return Slot{}, &Error{0, "not of protocol 4", nil}
	}
	for c.at = 2; c.at < len(data); {
		c.op = c.at
		c.at++
		op := data[c.op]
		if op == '.' {
			return c.end()
		}
		why := c.step(op)
		if why == "" && c.made > writeValues {
			return Slot{}, &Error{c.op, fmt.Sprintf("more than %d values", writeValues), ErrLimit}
		}
		if why != "" {
			return Slot{}, &Error{c.op, why, nil}
		}
	}
	return Slot{}, &Error{c.op, "the pickle ends in the middle", nil}
}

func (c *Checker) end() (Slot, error) {
	switch {
	case c.at != len(c.in):
		return Slot{}, &Error{c.op, "something follows the end", nil}
	case len(c.stack) != 1 || len(c.marks) != 0 || !c.stack[0].whole():
		return Slot{}, &Error{c.op, "the end comes while something is unfinished", nil}
	case c.stack[0].depth > checkDepth:
		return Slot{}, &Error{c.op, fmt.Sprintf("nested more than %d deep", checkDepth), ErrLimit}
	}
	return c.stack[0], nil
}

// whole says whether the slot is a value by itself.
func (s Slot) whole() bool { return s.Kind <= kindState }

// The reasons; "" is none.
const (
	whyShort = "the pickle ends in the middle"
	whyStack = "takes what is not there"
	whyForm  = "not in the form that it is written in"
	whyClass = "a class that is not let pass"
	whyArgs  = "arguments that the class does not take"
	whyText  = "text that is not UTF-8"
)

// step does one instruction, and says why it cannot be.
func (c *Checker) step(op byte) string {
	switch op {
	case 'N':
		return c.push(KindNone, 0)
	case 0x88:
		return c.push(KindTrue, 0)
	case 0x89:
		return c.push(KindFalse, 0)
	case 'J':
		return c.push(KindInt, 4)
	case 'G':
		return c.push(KindFloat, 8)
	case 0x8a:
		return c.long()
	case 'X', 'B':
		return c.text(op)
	case ']':
		return c.push(KindList, 0)
	case '}':
		return c.push(KindDict, 0)
	case ')':
		return c.tuple(len(c.stack))
	case '(':
		c.made++
		c.marks = append(c.marks, int32(len(c.stack)))
	case 0x85, 0x86, 0x87:
		return c.tuple(len(c.stack) - int(op-0x84))
	case 't':
		from := c.since()
		if len(c.stack)-from <= 3 {
			return whyForm
		}
		return c.tuple(from)
	case 'e', 'u':
		return c.fill(op)
	case 'c':
		return c.global()
	case 'R':
		return c.call()
	case 'b':
		return c.build()
	default:
		return fmt.Sprintf("instruction %#02x is not one that is written here", op)
	}
	return ""
}

// push makes a slot of the next n bytes.
func (c *Checker) push(kind Kind, n int) string {
	if n > len(c.in)-c.at {
		return whyShort
	}
	s := Slot{Kind: kind, From: int32(c.at), To: int32(c.at + n)}
	if kind == KindList || kind == KindDict {
		s.depth = 1
	}
	c.at += n
	c.made++
	c.stack = append(c.stack, s)
	return ""
}

func (c *Checker) text(op byte) string {
	if len(c.in)-c.at < 4 {
		return whyShort
	}
	n := binary.LittleEndian.Uint32(c.in[c.at:])
	c.at += 4
	if n > checkBytes {
		return whyShort
	}
	if op == 'B' {
		return c.push(KindBytes, int(n))
	}
	why := c.push(KindStr, int(n))
	if why == "" && !utf8.Valid(c.in[c.at-int(n):c.at]) {
		return whyText
	}
	return why
}

// long is an int that does not fit 32 bits, in as few bytes as it takes.
func (c *Checker) long() string {
	if c.at == len(c.in) {
		return whyShort
	}
	n := int(c.in[c.at])
	c.at++
	if why := c.push(KindInt, n); why != "" {
		return why
	}
	b := c.in[c.at-n : c.at]
	if n < 4 {
		return whyForm
	}
	// As many bytes as the digits of the absolute value take, and one bit for the sign: -2^(8n-1) has one more.
	sign, next := b[n-1], b[n-2]
	switch {
	case n == 4, sign == 0 && next < 0x80, sign == 0xff && next >= 0x80 && !(next == 0x80 && zero(b[:n-2])),
		sign == 0x80 && zero(b[:n-1]):
		return whyForm
	}
	return c.notShort(b)
}

// notShort refuses what BININT writes: all that fits 32 bits.
func (c *Checker) notShort(b []byte) string {
	if len(b) == 5 {
		if n := signed(b); n >= math.MinInt32 && n <= math.MaxInt32 {
			return whyForm
		}
	}
	return ""
}

func zero(b []byte) bool {
	for _, v := range b {
		if v != 0 {
			return false
		}
	}
	return true
}

// signed is the little-endian int of at most eight bytes.
func signed(b []byte) int64 {
	var u uint64
	for i, v := range b {
		u |= uint64(v) << (8 * i)
	}
	shift := 64 - 8*len(b)
	return int64(u<<shift) >> shift
}

// since is where the part of the stack begins that belongs to the last mark, which is taken; -1 without a mark.
func (c *Checker) since() int {
	if len(c.marks) == 0 {
		return -1
	}
	from := int(c.marks[len(c.marks)-1])
	c.marks = c.marks[:len(c.marks)-1]
	return from
}

// floor is where nothing may be taken from below.
func (c *Checker) floor() int {
	if len(c.marks) == 0 {
		return 0
	}
	return int(c.marks[len(c.marks)-1])
}

// deepest is the depth of what holds the slots from there on, or false when one of them is no value by itself.
func (c *Checker) deepest(from int) (uint8, bool) {
	deep := uint8(0)
	for i := from; i < len(c.stack); i++ {
		s := &c.stack[i]
		if !s.whole() {
			return 0, false
		}
		deep = max(deep, s.depth)
	}
	return deep + 1, deep <= checkDepth
}

// tuple takes the slots from there on.
func (c *Checker) tuple(from int) string {
	if from < c.floor() {
		return whyStack
	}
	deep, ok := c.deepest(from)
	if !ok {
		return whyForm
	}
	n := len(c.stack) - from
	t := Slot{Kind: KindTuple, depth: deep, items: uint32(min(n, 4))}
	if n > 0 {
		t.From, t.To = c.stack[len(c.stack)-1].From, c.stack[len(c.stack)-1].To
	}
	copy(c.last[:], c.stack[from:])
	c.serial++
	c.made++
	t.serial = c.serial
	c.stack = append(c.stack[:from], t)
	return ""
}

// fill is APPENDS and SETITEMS, of what is empty.
func (c *Checker) fill(op byte) string {
	from := c.since()
	if from < 1 || from-1 < c.floor() {
		return whyStack
	}
	to := &c.stack[from-1]
	deep, ok := c.deepest(from)
	n := len(c.stack) - from
	if n == 0 || !ok || to.items > 0 {
		return whyForm
	}
	switch {
	case op == 'e' && to.Kind == KindList:
		c.Items = append(c.Items[:0], c.stack[from:]...)
	case op == 'u' && to.Kind == KindDict && n%2 == 0:
		c.Fields = append(c.Fields[:0], c.stack[from:]...)
	default:
		return whyForm
	}
	to.items, to.depth = 1, deep
	c.stack = c.stack[:from]
	return ""
}

// global takes the classes of the types that are written, and no others.
func (c *Checker) global() string {
	start, lines := c.at, 0
	for ; c.at < len(c.in) && lines < 2 && c.at-start < 100; c.at++ {
		if c.in[c.at] == '\n' {
			lines++
		}
	}
	var class class_
	switch string(c.in[start:c.at]) {
	case "decimal\nDecimal\n":
		class = classDecimal
	case "uuid\nUUID\n":
		class = classUUID
	case "datetime\ndate\n":
		class = classDate
	case "datetime\ndatetime\n":
		class = classDateTime
	case "datetime\ntime\n":
		class = classTime
	case "datetime\ntimedelta\n":
		class = classDelta
	case "datetime\ntimezone\n":
		class = classZone
	case "django.db.models.base\nmodel_unpickle\n":
		class = classModel
	case "django.db.models.base\nModelState\n":
		class = classState
	default:
		return whyClass
	}
	c.made++
	c.stack = append(c.stack, Slot{Kind: kindClass, class: class})
	return ""
}

// call is REDUCE of a class with the tuple that was made last.
func (c *Checker) call() string {
	n := len(c.stack)
	if n-2 < c.floor() {
		return whyStack
	}
	f, args := c.stack[n-2], c.stack[n-1]
	if f.Kind != kindClass || args.Kind != KindTuple || args.serial != c.serial {
		return whyForm
	}
	made, ok := c.instance(f.class, int(args.items))
	if !ok {
		return whyArgs
	}
	c.made++
	c.stack = append(c.stack[:n-2], made)
	return ""
}

// build sets a state on a model.
func (c *Checker) build() string {
	n := len(c.stack)
	if n-2 < c.floor() {
		return whyStack
	}
	o, state := &c.stack[n-2], c.stack[n-1]
	if o.Kind != kindBare || state.Kind != KindDict || state.depth >= checkDepth {
		return whyForm
	}
	o.Kind = KindModel
	if o.class == classState {
		o.Kind = kindState
	}
	o.depth = max(o.depth, state.depth+1)
	c.stack = c.stack[:n-1]
	return ""
}
