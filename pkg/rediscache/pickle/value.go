package pickle

import "math/big"

// Value is one of None, Bool, Int, *Big, Float, Str, Bytes, ByteArray, *List, *Tuple, *Dict, *Set, Date, DateTime, Time,
// Delta, Decimal, *UUID, Class and *Object. What has a pointer can be shared by several holders and can even hold
// itself, as in Python: walk with [Walk], show with [Repr].
type Value interface{ value() }

type (
	// None is Python's None.
	None struct{}
	// Bool is True or False.
	Bool bool
	// Int is an int that fits 64 bits.
	Int int64
	// Big is any other int.
	Big struct{ Int *big.Int }
	// Float is a float.
	Float float64
	// Str is a str in UTF-8. A lone surrogate, which Python allows, stands as its three bytes.
	Str string
	// Bytes is a bytes object.
	Bytes string
	// ByteArray is a bytearray.
	ByteArray string
	// List is a list.
	List struct{ Items []Value }
	// Tuple is a tuple.
	Tuple struct{ Items []Value }
	// Set is a set or a frozenset.
	Set struct {
		Items  []Value
		Frozen bool
	}
	// Pair is an entry of a dict.
	Pair struct{ Key, Value Value }
	// Dict is a dict in its order. Of two pairs with the same key the later one counts.
	Dict struct{ Pairs []Pair }
	// Decimal is a decimal.Decimal in its own notation: "1.50", "1E+3", "NaN".
	Decimal string
	// UUID is a uuid.UUID.
	UUID struct{ Bytes [16]byte }
	// Class is the name of a class or of a function.
	Class struct{ Module, Name string }
	// Object is an instance of a class that has no type of its own here, or what a call of a function would have made.
	Object struct {
		Class Class
		Args  []Value // of the call that makes it
		State Value   // what is set on it afterwards; nil is nothing
		Items []Value // what is appended to it, where it is a list or a set of its own kind
		Pairs []Pair  // what is put into it, where it is a dict of its own kind
	}
)

func (None) value()      {}
func (Bool) value()      {}
func (Int) value()       {}
func (*Big) value()      {}
func (Float) value()     {}
func (Str) value()       {}
func (Bytes) value()     {}
func (ByteArray) value() {}
func (*List) value()     {}
func (*Tuple) value()    {}
func (*Set) value()      {}
func (*Dict) value()     {}
func (Decimal) value()   {}
func (*UUID) value()     {}
func (Class) value()     {}
func (*Object) value()   {}
func (Date) value()      {}
func (DateTime) value()  {}
func (Time) value()      {}
func (Delta) value()     {}

// NewInt is the int of any size.
func NewInt(n *big.Int) Value {
	if n.IsInt64() {
		return Int(n.Int64())
	}
	return &Big{new(big.Int).Set(n)}
}

// Get is the value of a key that is a str, or nil.
func (d *Dict) Get(key string) Value {
	for i := len(d.Pairs) - 1; i >= 0; i-- {
		if d.Pairs[i].Key == Value(Str(key)) {
			return d.Pairs[i].Value
		}
	}
	return nil
}

// String is the class as Python names it.
func (c Class) String() string { return c.Module + "." + c.Name }
