package warm

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/bmad-forge/forgectl/pkg/rediscache/pickle"
)

// pickled writes rows as pickles, from what the server sends: everything that is the same for each row is made once.
type pickled struct {
	head, tail []byte // around the fields
	fields     []field
	model      bool
	own        int // pairs that head and tail have
	at         int // the first field among the pairs
	views      []byte
	check      pickle.Checker
}

// field is a column in a dict.
type field struct {
	form
	column column
	key    []byte // the instruction for its name
	view   bool   // a binary field of a model: see asDjangoKeeps
}

// marker stands for the fields where head and tail are made.
const marker = "\x00fields\x00"

func newPickled(e Entry, columns []column, forms []form) (*pickled, error) {
	mark := []pickle.Pair{{Key: pickle.Str(marker), Value: pickle.None{}}}
	var around pickle.Value = &pickle.Dict{Pairs: mark}
	p := &pickled{model: e.Codec == Model}
	if p.model {
		around = modelOf(e, mark)
		p.own, p.at = 2, 1
	}
	whole, err := pickle.Store(around)
	if err != nil {
		return nil, err
	}
	var ok bool
	if p.head, p.tail, ok = bytes.Cut(whole, pickle.AppendNone(pickle.AppendStr(nil, []byte(marker)))); !ok {
		return nil, errors.New("the form of a row has no place for its fields")
	}
	p.views = append(pickle.AppendStr(nil, []byte("_memoryview_attrs")), ']', '(')
	for i, c := range columns {
		p.fields = append(p.fields, field{forms[i], c, pickle.AppendStr(nil, []byte(c.name)), p.model && c.binary()})
	}
	return p, nil
}

// modelOf is an instance with these fields.
func modelOf(e Entry, pairs []pickle.Pair) pickle.Value {
	app, name, _ := strings.Cut(e.Model, ".")
	database := e.Database
	if database == "" {
		database = "default"
	}
	return pickle.NewModel(app, name, database, e.DjangoVersion, pairs)
}

// row appends the pickle of a row, which has been read again.
func (p *pickled) row(dst []byte, values [][]byte) ([]byte, error) {
	from := len(dst)
	dst = append(dst, p.head...)
	views := 0
	var err error
	for i := range p.fields {
		f, raw := &p.fields[i], values[i]
		if f.view && raw != nil {
			views++
			continue
		}
		if dst, err = f.pair(append(dst, f.key...), raw); err != nil {
			return dst, err
		}
	}
	// The driver gives Django a memoryview for a binary field, which it pickles as bytes in a list of its own and makes a
	// memoryview again.
	if views > 0 {
		dst = append(dst, p.views...)
		for i := range p.fields {
			if f, raw := &p.fields[i], values[i]; f.view && raw != nil {
				if dst, err = f.pair(append(dst, f.key...), raw); err != nil {
					return dst, err
				}
				dst = append(dst, 0x86) // TUPLE2
			}
		}
		dst = append(dst, 'e')
	}
	dst = append(dst, p.tail...)
	return dst, p.readBack(dst[from:], values, views)
}

func (f *field) pair(dst, raw []byte) ([]byte, error) {
	if raw == nil {
		return pickle.AppendNone(dst), nil
	}
	if len(raw) > math.MaxInt32 {
		return dst, &ColumnError{f.column.name, f.column.kind, pickle.ErrLimit}
	}
	dst, err := f.add(dst, raw)
	if err != nil {
		return dst, &ColumnError{f.column.name, f.column.kind, err}
	}
	return dst, nil
}

// readBack reads what was written, and compares each field with the row.
func (p *pickled) readBack(data []byte, values [][]byte, views int) error {
	whole, err := p.check.Check(data)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrCheck, err)
	}
	pairs := p.check.Fields
	want := 2 * (len(p.fields) + p.own - views)
	if views > 0 {
		want += 2
	}
	if len(pairs) != want || p.model != (whole.Kind == pickle.KindModel) || !p.model && whole.Kind != pickle.KindDict {
		return ErrCheck
	}
	at, view := 2*p.at, 0
	for i := range p.fields {
		f, raw := &p.fields[i], values[i]
		if f.view && raw != nil {
			if view >= len(p.check.Items) || !f.sameView(&p.check, p.check.Items[view], raw) {
				return fmt.Errorf("%w: column %q", ErrCheck, f.column.name)
			}
			view++
			continue
		}
		name, value := pairs[at], pairs[at+1]
		at += 2
		if name.Kind != pickle.KindStr || string(p.check.Bytes(name)) != f.column.name || !f.again(&p.check, value, raw) {
			return fmt.Errorf("%w: column %q", ErrCheck, f.column.name)
		}
	}
	return nil
}

// again says whether what was read is the value of the row, as far as that can be seen.
func (f *field) again(c *pickle.Checker, s pickle.Slot, raw []byte) bool {
	if raw == nil {
		return s.Kind == pickle.KindNone
	}
	return f.same == nil || f.same(c, s, raw)
}

// sameView is for a tuple of a name and bytes.
func (f *field) sameView(c *pickle.Checker, s pickle.Slot, raw []byte) bool {
	if s.Kind != pickle.KindTuple {
		return false
	}
	s.Kind = pickle.KindBytes
	return f.again(c, s, raw)
}

// one appends the value of a single column as Django stores it: a whole number is digits.
func (p *pickled) one(dst []byte, i int, raw []byte) ([]byte, error) {
	f := &p.fields[i]
	if raw != nil && f.same == nil || f.column.whole() && raw != nil {
		return f.stored(dst, raw)
	}
	from := len(dst)
	dst, err := f.pair(append(dst, pickle.Begin...), raw)
	if err != nil {
		return dst, err
	}
	dst = append(dst, pickle.End...)
	s, err := p.check.Check(dst[from:])
	if err != nil {
		return dst, fmt.Errorf("%w: %w", ErrCheck, err)
	}
	if !f.again(&p.check, s, raw) {
		return dst, fmt.Errorf("%w: column %q", ErrCheck, f.column.name)
	}
	return dst, nil
}

// stored makes a value, which can be a whole number.
func (f *field) stored(dst, raw []byte) ([]byte, error) {
	v, err := f.column.decode(string(raw))
	if err != nil {
		return dst, &ColumnError{f.column.name, f.column.kind, err}
	}
	data, err := pickle.Store(v)
	if err != nil {
		return dst, err
	}
	back, err := pickle.Stored(data, pickle.Limits{Bytes: maxValue, Values: maxValue})
	if err != nil {
		return dst, fmt.Errorf("%w: %w", ErrCheck, err)
	}
	if again, err := pickle.Store(back); err != nil || !bytes.Equal(again, data) {
		return dst, ErrCheck
	}
	return append(dst, data...), nil
}
