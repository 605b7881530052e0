package warm

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/bmad-forge/forgectl/pkg/rediscache/pickle"
)

// ErrCheck means that a value did not come back as it was when it was read again: it was not sent.
var ErrCheck = errors.New("the value does not come back as it was")

// encoder makes keys and values out of rows, in memory that it keeps.
type encoder struct {
	entry   Entry
	columns []column
	names   []string
	key     []keyPart
	value   int      // the column that is the value; -1: the row
	formats []int16  // in which the columns are to come
	pickled *pickled // nil for the codecs that are none
	keyed   []byte   // of the last row
	data    []byte   // of the last row
}

// made is what becomes of a row. Its bytes are valid until the next one.
type made struct {
	key  []byte // with Django's prefix
	data []byte
	is   pickle.Value // of codec json: what it was made of
}

func newEncoder(e Entry, columns []column) (*encoder, error) {
	enc := &encoder{entry: e, columns: columns, value: -1}
	for _, c := range columns {
		if indexOf(enc.names, c.name) >= 0 {
			return nil, fmt.Errorf("%w: the query returns two columns named %q", ErrEntry, c.name)
		}
		enc.names = append(enc.names, c.name)
	}
	var err error
	if enc.key, err = keyParts(e.Key, enc.names); err != nil {
		return nil, err
	}
	if e.Value != "" {
		if enc.value = indexOf(enc.names, e.Value); enc.value < 0 {
			return nil, fmt.Errorf("%w: the value %q is no column of the query", ErrEntry, e.Value)
		}
	}
	for i, c := range columns {
		// Only what goes out must be understood.
		if c.decode == nil && (enc.value < 0 || enc.value == i) {
			return nil, &ColumnError{c.name, c.kind, ErrType}
		}
	}
	if len(columns) == 0 {
		return nil, fmt.Errorf("%w: the query returns no column", ErrEntry)
	}
	enc.formats = make([]int16, len(columns))
	if e.Codec == Pickle || e.Codec == Model {
		err = enc.compile()
	}
	return enc, err
}

// compile settles how each column becomes pickled, and in which format it comes.
func (e *encoder) compile() (err error) {
	forms := make([]form, len(e.columns))
	for i, c := range e.columns {
		if c.decode == nil {
			continue // a part of keys only
		}
		keyed := false
		for _, p := range e.key {
			keyed = keyed || p.column == i
		}
		if forms[i] = formOf(c, keyed); forms[i].binary {
			e.formats[i] = 1
		}
	}
	e.pickled, err = newPickled(e.entry, e.columns, forms)
	return err
}

func (e *encoder) row(prefix string, values [][]byte) (made, error) {
	e.keyed = append(e.keyed[:0], prefix...)
	for _, p := range e.key {
		e.keyed = append(e.keyed, p.text...)
		if p.column < 0 {
			continue
		}
		if values[p.column] == nil {
			return made{}, fmt.Errorf("column %q is NULL, and part of the key", e.names[p.column])
		}
		e.keyed = append(e.keyed, values[p.column]...)
	}
	m := made{key: e.keyed}
	var err error
	switch {
	case e.entry.Codec == Raw:
		m.data, err = e.raw(values[e.value])
	case e.pickled != nil && e.value >= 0:
		e.data, err = e.pickled.one(e.data[:0], e.value, values[e.value])
		m.data = e.data
	case e.pickled != nil:
		e.data, err = e.pickled.row(e.data[:0], values)
		m.data = e.data
	default:
		m.data, m.is, err = e.json(values)
	}
	if err != nil {
		return m, fmt.Errorf("key %q: %w", m.key, err)
	}
	return m, nil
}

func (e *encoder) one(i int, text []byte) (pickle.Value, error) {
	if text == nil {
		return pickle.None{}, nil
	}
	v, err := e.columns[i].decode(string(text))
	if err != nil {
		return nil, &ColumnError{e.columns[i].name, e.columns[i].kind, err}
	}
	return v, nil
}

// json makes a value, writes it, and reads it again before anybody else can.
func (e *encoder) json(values [][]byte) ([]byte, pickle.Value, error) {
	var v pickle.Value
	var err error
	if e.value >= 0 {
		v, err = e.one(e.value, values[e.value])
	} else {
		pairs := make([]pickle.Pair, len(values))
		for i, text := range values {
			pairs[i].Key = pickle.Str(e.names[i])
			if pairs[i].Value, err = e.one(i, text); err != nil {
				break
			}
		}
		v = &pickle.Dict{Pairs: pairs}
	}
	if err != nil {
		return nil, nil, err
	}
	data, err := appendJSON(nil, v)
	if err == nil && !json.Valid(data) {
		err = ErrCheck
	}
	return data, v, err
}

func (e *encoder) raw(text []byte) ([]byte, error) {
	if text == nil {
		return nil, &ColumnError{e.columns[e.value].name, e.columns[e.value].kind, errors.New("NULL has no bytes")}
	}
	if v, err := e.one(e.value, text); err != nil {
		return nil, err
	} else if b, ok := v.(pickle.Bytes); ok {
		return []byte(b), nil
	}
	return text, nil
}

// maxValue is the most that Redis keeps under one key.
const maxValue = 512 << 20
