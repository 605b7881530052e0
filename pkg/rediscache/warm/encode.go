package warm

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/bmad-forge/forgectl/pkg/rediscache/pickle"
)

// ErrCheck means that a value did not come back as it was when it was read again: it was not sent.
var ErrCheck = errors.New("the value does not come back as it was")

// encoder makes keys and values out of rows.
type encoder struct {
	entry   Entry
	columns []column
	names   []string
	key     []keyPart
	value   int // the column that is the value; -1: the row
}

// made is what becomes of a row.
type made struct {
	key  string // with Django's prefix
	data []byte
	is   pickle.Value // for people; nil where the codec has no value of Python
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
	return enc, nil
}

func (e *encoder) row(prefix string, values [][]byte) (made, error) {
	var m made
	var key strings.Builder
	key.WriteString(prefix)
	for _, p := range e.key {
		key.WriteString(p.text)
		if p.column < 0 {
			continue
		}
		if values[p.column] == nil {
			return m, fmt.Errorf("column %q is NULL, and part of the key", e.names[p.column])
		}
		key.Write(values[p.column])
	}
	m.key = key.String()
	var err error
	switch {
	case e.entry.Codec == Raw:
		m.data, err = e.raw(values[e.value])
	case e.value >= 0:
		m.is, err = e.one(e.value, values[e.value])
	default:
		m.is, err = e.whole(values)
	}
	if err == nil && m.is != nil {
		m.data, err = e.encode(m.is)
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

func (e *encoder) whole(values [][]byte) (pickle.Value, error) {
	pairs := make([]pickle.Pair, len(values))
	for i, text := range values {
		v, err := e.one(i, text)
		if err != nil {
			return nil, err
		}
		pairs[i] = pickle.Pair{Key: pickle.Str(e.names[i]), Value: v}
	}
	if e.entry.Codec != Model {
		return &pickle.Dict{Pairs: pairs}, nil
	}
	app, name, _ := strings.Cut(e.entry.Model, ".")
	database := e.entry.Database
	if database == "" {
		database = "default"
	}
	return pickle.NewModel(app, name, database, e.entry.DjangoVersion, asDjangoKeeps(pairs)), nil
}

// asDjangoKeeps sets binary fields apart: the driver gives Django a memoryview, which it pickles as bytes in a list of its
// own and makes a memoryview again.
func asDjangoKeeps(pairs []pickle.Pair) []pickle.Pair {
	var kept []pickle.Pair
	views := &pickle.List{}
	for _, p := range pairs {
		if _, binary := p.Value.(pickle.Bytes); binary {
			views.Items = append(views.Items, &pickle.Tuple{Items: []pickle.Value{p.Key, p.Value}})
			continue
		}
		kept = append(kept, p)
	}
	if len(views.Items) > 0 {
		kept = append(kept, pickle.Pair{Key: pickle.Str("_memoryview_attrs"), Value: views})
	}
	return kept
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
	return bytes.Clone(text), nil
}

// encode makes the bytes, and reads them again before anybody else can.
func (e *encoder) encode(v pickle.Value) ([]byte, error) {
	if e.entry.Codec == JSON {
		data, err := appendJSON(nil, v)
		if err == nil && !json.Valid(data) {
			err = ErrCheck
		}
		return data, err
	}
	data, err := pickle.Store(v)
	if err != nil {
		return nil, err
	}
	limits := pickle.Limits{Bytes: maxValue, Values: maxValue}
	back, err := pickle.Stored(data, limits)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCheck, err)
	}
	again, err := pickle.Store(back)
	if err != nil || !bytes.Equal(again, data) {
		return nil, ErrCheck
	}
	return data, nil
}

// maxValue is the most that Redis keeps under one key.
const maxValue = 512 << 20
