package pickle

import (
	"slices"
	"strings"
)

// object does what in Python would import, call and set attributes. Here it only takes down what was meant.
func (m *machine) object(op byte) bool {
	switch op {
	case 'c': // GLOBAL
		module := m.line()
		m.push(class(module, m.line()))
	case 0x93: // STACK_GLOBAL
		names := m.several(2)
		module, ok := names[0].(Str)
		name, okToo := names[1].(Str)
		if !ok || !okToo {
			m.fail("the name of a class is not text")
		}
		m.push(class(string(module), string(name)))
	case 'R': // REDUCE
		args := m.tuple(m.pop())
		m.push(m.call(m.pop(), args))
	case 0x81: // NEWOBJ
		args := m.tuple(m.pop())
		m.push(m.call(m.class(m.pop()), args))
	case 0x92: // NEWOBJ_EX
		named := m.pop()
		args := m.tuple(m.pop())
		m.charge(len(args))
		o := &Object{Class: m.class(m.pop()), Args: args}
		if d, ok := named.(*Dict); ok && len(d.Pairs) > 0 {
			o.Args = append(slices.Clip(args), d)
		}
		m.push(o)
	case 'i': // INST
		module := m.line()
		c := class(module, m.line())
		m.push(m.call(c, m.since()))
	case 'o': // OBJ
		items := m.since()
		if m.err == nil && len(items) == 0 {
			m.fail("an object without a class")
		}
		if m.err == nil {
			m.push(m.call(m.class(items[0]), items[1:]))
		}
	case 'b': // BUILD
		state := m.pop()
		m.build(m.top(), state)
	case 0x82: // EXT1, and the next two: a class by a number that only the writer's Python knows
		m.push(extension(m.uint(1)))
	case 0x83: // EXT2
		m.push(extension(m.uint(2)))
	case 0x84: // EXT4
		m.push(extension(m.uint(4)))
	default:
		return false
	}
	return true
}

// class is a class under the name that Python 3 has for it: up to protocol 2, its own writer uses those of Python 2.
func class(module, name string) Class {
	switch module {
	case "__builtin__":
		module = "builtins"
	case "copy_reg":
		module = "copyreg"
	}
	return Class{module, name}
}

func extension(n uint64) Class {
	return Class{"copyreg", "extension " + Repr(Int(n), 20)}
}

func (m *machine) tuple(v Value) []Value {
	if t, ok := v.(*Tuple); ok {
		return t.Items
	}
	m.fail("the arguments are not a tuple")
	return nil
}

// made marks a class that is the result of a call.
const made = "(…)"

// class is what an instance is to be made of. A class can be the result of a call, which is not made here.
func (m *machine) class(v Value) Class {
	switch v := v.(type) {
	case Class:
		return v
	case *Object:
		return Class{v.Class.Module, strings.TrimSuffix(v.Class.Name, made) + made}
	}
	m.fail("makes an instance of what is not a class")
	return Class{}
}

// call is the value that a call of f would have made: one of this package's types where it is known, else an *Object.
func (m *machine) call(f Value, args []Value) Value {
	c := m.class(f)
	m.charge(cost(args))
	if m.err != nil {
		return nil
	}
	return instance(c, args)
}

func instance(c Class, args []Value) Value {
	if v := known(c, args); v != nil {
		return v
	}
	return &Object{Class: c, Args: args}
}

// cost is the work of making something out of arguments, in values. An argument can be used again and again, so what is
// copied out of it must be counted each time.
func cost(args []Value) int {
	n := 0
	for _, a := range args[:min(len(args), 3)] {
		switch a := a.(type) {
		case Str:
			n += len(a) / 16
		case Bytes:
			n += len(a) / 16
		case *List:
			n += len(a.Items)
		case *Dict:
			n += len(a.Pairs)
		}
	}
	return n
}

// known makes the values of the types that have one of their own; nil when the arguments are not what such a type
// takes, for then it is best shown as it is.
func known(c Class, args []Value) Value {
	switch c {
	case Class{"copyreg", "_reconstructor"}: // protocols 0 and 1: class, base, state of the base
		if len(args) == 3 {
			if c, ok := args[0].(Class); ok && args[2] == Value(None{}) {
				return instance(c, nil)
			}
		}
	case Class{"copyreg", "__newobj__"}:
		if len(args) > 0 {
			if c, ok := args[0].(Class); ok {
				return instance(c, args[1:])
			}
		}
	case Class{"builtins", "getattr"}: // how a method of a class is named up to protocol 3
		if len(args) == 2 {
			owner, ok := args[0].(Class)
			name, okToo := args[1].(Str)
			if ok && okToo && len(owner.Name)+len(name) < 500 {
				return Class{owner.Module, owner.Name + "." + string(name)}
			}
		}
	case Class{"_codecs", "encode"}: // bytes up to protocol 2
		return latin1(args)
	case Class{"builtins", "bytes"}:
		if len(args) == 0 {
			return Bytes("")
		}
	case Class{"builtins", "bytearray"}:
		return byteArray(args)
	case Class{"builtins", "set"}, Class{"builtins", "frozenset"}:
		return setOf(args, c.Name == "frozenset")
	case Class{"decimal", "Decimal"}:
		return decimalOf(args)
	case Class{"uuid", "UUID"}:
		return uuidOf(args)
	}
	return temporal(c, args)
}

func byteArray(args []Value) Value {
	if len(args) == 0 {
		return ByteArray("")
	}
	b, ok := args[0].(Bytes)
	if !ok {
		b, ok = latin1(args).(Bytes)
	}
	if ok {
		return ByteArray(b)
	}
	return nil
}

// latin1 is text of the first 256 code points as bytes; nil when it is not that.
func latin1(args []Value) Value {
	if len(args) != 2 || args[1] != Value(Str("latin1")) && args[1] != Value(Str("latin-1")) {
		return nil
	}
	text, ok := args[0].(Str)
	if !ok {
		return nil
	}
	out := make([]byte, 0, len(text))
	for _, r := range string(text) {
		if r > 0xff {
			return nil
		}
		out = append(out, byte(r))
	}
	return Bytes(out)
}

func setOf(args []Value, frozen bool) Value {
	switch len(args) {
	case 0:
		return &Set{Frozen: frozen}
	case 1:
		if l, ok := args[0].(*List); ok {
			return &Set{append([]Value(nil), l.Items...), frozen}
		}
	}
	return nil
}

// build sets the state of an object.
func (m *machine) build(v, state Value) {
	m.count()
	switch v := v.(type) {
	case *Object:
		v.State = state
	case *UUID:
		m.charge(cost([]Value{state}))
		if !v.build(state) {
			m.fail("not the state of a UUID")
		}
	default:
		m.fail("sets the state of what has none")
	}
}
