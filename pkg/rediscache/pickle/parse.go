package pickle

import "fmt"

// Parse reads the pickle that data is, whole. The error is an *Error, around ErrLimit where a limit was met. The result
// does not keep data.
func Parse(data []byte, limits Limits) (Value, error) {
	m := machine{in: data, limits: limits.orDefaults()}
	if len(data) > m.limits.Bytes {
		return nil, &Error{0, fmt.Sprintf("%d bytes", len(data)), ErrLimit}
	}
	v := m.run()
	if m.err != nil {
		return nil, m.err
	}
	if m.at != len(data) {
		return nil, &Error{m.at, "something follows the end", nil}
	}
	if !within(v, m.limits.Depth) {
		return nil, &Error{m.at, fmt.Sprintf("nested more than %d deep", m.limits.Depth), ErrLimit}
	}
	return v, nil
}

// machine is Python's pickle machine without its arms. Once err is set every step does nothing, so that opcodes need
// not look at each piece that they read.
type machine struct {
	in     []byte
	at     int // of the next byte
	op     int // of the current instruction
	limits Limits
	made   int // values and references so far
	stack  []Value
	marks  []int
	memo   map[uint64]Value
	err    error
}

func (m *machine) run() Value {
	for m.err == nil {
		m.op = m.at
		op := m.byte()
		if m.err != nil {
			return nil
		}
		if op == '.' {
			v := m.pop()
			if m.err == nil && len(m.stack)+len(m.marks) > 0 {
				m.fail("the end comes while something is unfinished")
			}
			return v
		}
		m.step(op)
	}
	return nil
}

func (m *machine) fail(format string, args ...any) {
	if m.err == nil {
		m.err = &Error{m.op, fmt.Sprintf(format, args...), nil}
	}
}

// count bounds the memory: nothing is kept that has not been counted.
func (m *machine) count() { m.charge(1) }

func (m *machine) charge(n int) {
	if m.made += n; m.made > m.limits.Values && m.err == nil {
		m.err = &Error{m.op, fmt.Sprintf("more than %d values", m.limits.Values), ErrLimit}
	}
}

func (m *machine) push(v Value) {
	m.count()
	if m.err == nil {
		m.stack = append(m.stack, v)
	}
}

// floor is where the part of the stack begins that belongs to the current mark.
func (m *machine) floor() int {
	if len(m.marks) == 0 {
		return 0
	}
	return m.marks[len(m.marks)-1]
}

func (m *machine) pop() Value {
	if m.err != nil {
		return nil
	}
	if len(m.stack) <= m.floor() {
		m.fail("takes from an empty stack")
		return nil
	}
	v := m.stack[len(m.stack)-1]
	m.stack = m.stack[:len(m.stack)-1]
	return v
}

func (m *machine) top() Value {
	v := m.pop()
	if m.err == nil {
		m.stack = append(m.stack, v)
	}
	return v
}

// since takes everything above the last mark, and the mark. What it returns is a copy.
func (m *machine) since() []Value {
	if m.err == nil && len(m.marks) == 0 {
		m.fail("there is no mark")
	}
	if m.err != nil {
		return nil
	}
	from := m.floor()
	m.marks = m.marks[:len(m.marks)-1]
	items := append([]Value(nil), m.stack[from:]...)
	m.stack = m.stack[:from]
	return items
}

// several takes n values, in the order in which they were pushed.
func (m *machine) several(n int) []Value {
	items := make([]Value, n)
	for i := n - 1; i >= 0; i-- {
		items[i] = m.pop()
	}
	return items
}

func (m *machine) put(index uint64) {
	v := m.top()
	m.count()
	if m.err != nil {
		return
	}
	if m.memo == nil {
		m.memo = make(map[uint64]Value)
	}
	m.memo[index] = v
}

func (m *machine) get(index uint64) {
	v, found := m.memo[index]
	if !found {
		m.fail("memo %d was never set", index)
		return
	}
	m.push(v)
}

// take is the next n bytes. They are those of the input: whoever keeps them copies.
func (m *machine) take(n uint64) []byte {
	if m.err == nil && n > uint64(len(m.in)-m.at) {
		m.fail("the pickle ends in the middle")
	}
	if m.err != nil {
		return nil
	}
	b := m.in[m.at : m.at+int(n)]
	m.at += int(n)
	return b
}

func (m *machine) byte() byte {
	if b := m.take(1); len(b) == 1 {
		return b[0]
	}
	return 0
}

// uint is a little-endian number of n bytes.
func (m *machine) uint(n int) uint64 {
	var v uint64
	for i, b := range m.take(uint64(n)) {
		v |= uint64(b) << (8 * i)
	}
	return v
}

// sized is what a length of n bytes announces.
func (m *machine) sized(n int) []byte { return m.take(m.uint(n)) }

// line is the text up to the next line feed, without it.
func (m *machine) line() string {
	if m.err != nil {
		return ""
	}
	for i, b := range m.in[m.at:] {
		if b == '\n' {
			s := string(m.in[m.at : m.at+i])
			m.at += i + 1
			return s
		}
	}
	m.fail("a line has no end")
	return ""
}
