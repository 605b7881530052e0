// Package pickle reads and writes the values that Django keeps in Redis, without Python and without executing anything.
//
// A pickle is a program for a small stack machine, and Python's own reader imports and calls whatever that program
// names. [Parse] runs the machine, but a class is only a name here and a call only a note of what would be called with
// which arguments. The types that Django's fields have become values of this package (see [Value]); every other object is
// an [*Object]: its class, its arguments and its state. [Models] says which models, of which Django, a value holds.
//
// Parse takes protocols 0 to 5 and arbitrary bytes: it does not panic, and [Limits] bound what it allocates and how deep
// the result is nested. [Append] writes pickles that Python's loads gives back as equal values. [Stored] takes the bytes
// as they lie in Redis, where Django leaves whole numbers as plain digits.
//
// Everything here is pure: no state, no input or output, safe for use by several goroutines.
package pickle
