package warm

import (
	"strconv"
	"unicode/utf8"

	"github.com/bmad-forge/forgectl/pkg/rediscache/pickle"
)

// addJSON appends what Python's json.loads makes of a column. Most JSON is plain: it goes from text to instructions in one
// pass. What is not, by escapes, long numbers or deep nesting, goes through a value.
func addJSON(dst, raw []byte) ([]byte, error) {
	p := plainJSON{in: raw}
	if out, ok := p.value(dst, 0); ok && p.space() == 0 {
		return out, nil
	}
	return throughValue(jsonValue).add(dst, raw)
}

// plainJSON reads JSON that PostgreSQL has found valid. Where it is in doubt it says no, and somebody else reads it again.
type plainJSON struct {
	in []byte
	at int
}

// space skips it, and is the byte that follows; 0 at the end.
func (p *plainJSON) space() byte {
	for ; p.at < len(p.in); p.at++ {
		switch c := p.in[p.at]; c {
		case ' ', '\t', '\n', '\r':
		default:
			return c
		}
	}
	return 0
}

func (p *plainJSON) value(dst []byte, depth int) ([]byte, bool) {
	const most = 100
	if depth > most {
		return dst, false
	}
	switch c := p.space(); c {
	case '{':
		return p.object(dst, depth)
	case '[':
		return p.list(dst, depth)
	case '"':
		return p.text(dst)
	case 'n':
		return pickle.AppendNone(dst), p.word("null")
	case 't':
		return pickle.AppendBool(dst, true), p.word("true")
	case 'f':
		return pickle.AppendBool(dst, false), p.word("false")
	}
	return p.number(dst)
}

func (p *plainJSON) word(w string) bool {
	if len(p.in)-p.at < len(w) || string(p.in[p.at:p.at+len(w)]) != w {
		return false
	}
	p.at += len(w)
	return true
}

func (p *plainJSON) text(dst []byte) ([]byte, bool) {
	p.at++
	for i := p.at; i < len(p.in); i++ {
		switch c := p.in[i]; {
		case c == '"':
			s := p.in[p.at:i]
			p.at = i + 1
			return pickle.AppendStr(dst, s), utf8.Valid(s)
		case c == '\\' || c < ' ':
			return dst, false
		}
	}
	return dst, false
}

func (p *plainJSON) number(dst []byte) ([]byte, bool) {
	from, whole := p.at, true
	for ; p.at < len(p.in); p.at++ {
		c := p.in[p.at]
		if c == '.' || c == 'e' || c == 'E' {
			whole = false
		} else if (c < '0' || c > '9') && c != '-' && c != '+' {
			break
		}
	}
	digits := p.in[from:p.at]
	if !whole {
		f, err := strconv.ParseFloat(string(digits), 64)
		return pickle.AppendFloat(dst, f), err == nil
	}
	n, err := strconv.ParseInt(string(digits), 10, 64)
	return pickle.AppendInt(dst, n), err == nil
}

func (p *plainJSON) list(dst []byte, depth int) ([]byte, bool) {
	p.at++
	dst = append(dst, ']')
	if p.space() == ']' {
		p.at++
		return dst, true
	}
	dst = append(dst, '(')
	var ok bool
	for ; ; p.at++ {
		if dst, ok = p.value(dst, depth+1); !ok {
			return dst, false
		}
		switch p.space() {
		case ',':
		case ']':
			p.at++
			return append(dst, 'e'), true
		default:
			return dst, false
		}
	}
}

func (p *plainJSON) object(dst []byte, depth int) ([]byte, bool) {
	p.at++
	dst = append(dst, '}')
	if p.space() == '}' {
		p.at++
		return dst, true
	}
	dst = append(dst, '(')
	var ok bool
	for ; ; p.at++ {
		if p.space() != '"' {
			return dst, false
		}
		if dst, ok = p.text(dst); !ok || p.space() != ':' {
			return dst, false
		}
		p.at++
		if dst, ok = p.value(dst, depth+1); !ok {
			return dst, false
		}
		switch p.space() {
		case ',':
		case '}':
			p.at++
			return append(dst, 'u'), true
		default:
			return dst, false
		}
	}
}
