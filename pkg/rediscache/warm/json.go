package warm

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/bmad-forge/forgectl/pkg/rediscache/pickle"
)

// jsonValue is what Python's json.loads makes of a column.
func jsonValue(s string) (pickle.Value, error) {
	d := json.NewDecoder(strings.NewReader(s))
	d.UseNumber()
	v, err := nextJSON(d)
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("something follows the JSON value")
	}
	return v, nil
}

// nextJSON keeps the order of keys, which a map would not.
func nextJSON(d *json.Decoder) (pickle.Value, error) {
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t := t.(type) {
	case nil:
		return pickle.None{}, nil
	case bool:
		return pickle.Bool(t), nil
	case string:
		return pickle.Str(t), nil
	case json.Number:
		return jsonNumber(string(t))
	case json.Delim:
		if t == '[' {
			out := &pickle.List{}
			for d.More() {
				v, err := nextJSON(d)
				if err != nil {
					return nil, err
				}
				out.Items = append(out.Items, v)
			}
			_, err = d.Token()
			return out, err
		}
		out := &pickle.Dict{}
		for d.More() {
			k, err := nextJSON(d)
			if err != nil {
				return nil, err
			}
			v, err := nextJSON(d)
			if err != nil {
				return nil, err
			}
			out.Pairs = append(out.Pairs, pickle.Pair{Key: k, Value: v})
		}
		_, err = d.Token()
		return out, err
	}
	return nil, errors.New("not JSON")
}

func jsonNumber(s string) (pickle.Value, error) {
	if strings.ContainsAny(s, ".eE") {
		f, err := strconv.ParseFloat(s, 64)
		if err != nil && !math.IsInf(f, 0) {
			return nil, err
		}
		return pickle.Float(f), nil
	}
	n, ok := new(big.Int).SetString(s, 10)
	if !ok {
		return nil, errors.New("not a number")
	}
	return pickle.NewInt(n), nil
}

// appendJSON writes a value as Django's own JSON encoder does.
func appendJSON(out []byte, v pickle.Value) ([]byte, error) {
	switch v := v.(type) {
	case pickle.None:
		return append(out, "null"...), nil
	case pickle.Bool:
		return strconv.AppendBool(out, bool(v)), nil
	case pickle.Int:
		return strconv.AppendInt(out, int64(v), 10), nil
	case *pickle.Big:
		return v.Int.Append(out, 10), nil
	case pickle.Float:
		f := float64(v)
		if math.IsNaN(f) || math.IsInf(f, 0) {
			return nil, errors.New("JSON has no NaN and no infinity")
		}
		return append(out, pickle.Repr(v, 40)...), nil
	case pickle.Str:
		return appendText(out, string(v))
	case pickle.Decimal:
		return appendText(out, string(v))
	case *pickle.UUID:
		return appendText(out, v.String())
	case pickle.Date, pickle.Time, pickle.DateTime, pickle.Delta:
		return appendText(out, iso(v))
	case *pickle.List:
		out = append(out, '[')
		for i, item := range v.Items {
			if i > 0 {
				out = append(out, ", "...)
			}
			var err error
			if out, err = appendJSON(out, item); err != nil {
				return nil, err
			}
		}
		return append(out, ']'), nil
	case *pickle.Dict:
		out = append(out, '{')
		for i, pair := range v.Pairs {
			if i > 0 {
				out = append(out, ", "...)
			}
			var err error
			if out, err = appendJSON(out, pair.Key); err != nil {
				return nil, err
			}
			if out, err = appendJSON(append(out, ": "...), pair.Value); err != nil {
				return nil, err
			}
		}
		return append(out, '}'), nil
	}
	return nil, errors.New("JSON has no such value")
}

func appendText(out []byte, s string) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		return nil, err
	}
	return append(out, bytes.TrimRight(b.Bytes(), "\n")...), nil
}

// iso is ISO 8601 as DjangoJSONEncoder writes it: milliseconds, and Z for UTC.
func iso(v pickle.Value) string {
	switch v := v.(type) {
	case pickle.Date:
		return fmt.Sprintf("%04d-%02d-%02d", v.Year, v.Month, v.Day)
	case pickle.Time:
		return isoClock(v.Clock)
	case pickle.DateTime:
		s := iso(v.Date) + "T" + isoClock(v.Clock)
		if v.Zone != nil {
			s += "Z"
		}
		return s
	case pickle.Delta:
		return isoDelta(v)
	}
	return ""
}

func isoClock(c pickle.Clock) string {
	s := fmt.Sprintf("%02d:%02d:%02d", c.Hour, c.Minute, c.Second)
	if c.Micro > 0 {
		s += fmt.Sprintf(".%03d", c.Micro/1000)
	}
	return s
}

func isoDelta(v pickle.Delta) string {
	sign := ""
	if v.Days < 0 {
		sign = "-"
		v = pickle.NewDelta(-v.Days, -time.Duration(v.Seconds)*time.Second-time.Duration(v.Micros)*time.Microsecond)
	}
	micros := ""
	if v.Micros > 0 {
		micros = fmt.Sprintf(".%06d", v.Micros)
	}
	return fmt.Sprintf("%sP%dDT%02dH%02dM%02d%sS", sign, v.Days, v.Seconds/3600, v.Seconds/60%60, v.Seconds%60, micros)
}
