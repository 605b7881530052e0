package pickle

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Repr shows v in Python's notation, in about most bytes: what is beyond is "…". Deep nesting is cut short in the same
// way, so any value can be shown.
func Repr(v Value, most int) string {
	p := printer{most: most}
	p.value(v, 0)
	return p.out.String()
}

type printer struct {
	out  strings.Builder
	most int
	done bool
}

func (p *printer) write(s string) {
	if p.done {
		return
	}
	if p.out.Len()+len(s) > p.most {
		s = strings.ToValidUTF8(s[:max(0, p.most-p.out.Len())], "") + "…"
		p.done = true
	}
	p.out.WriteString(s)
}

func (p *printer) value(v Value, depth int) {
	const deepest = 30
	if p.done {
		return
	}
	if depth > deepest {
		p.write("…")
		return
	}
	depth++
	switch v := v.(type) {
	case *List:
		p.items("[", v.Items, "]", depth)
	case *Tuple:
		if len(v.Items) == 1 {
			p.items("(", v.Items, ",)", depth)
			return
		}
		p.items("(", v.Items, ")", depth)
	case *Set:
		p.set(v, depth)
	case *Dict:
		p.write("{")
		p.pairs(v.Pairs, ": ", depth)
		p.write("}")
	case *Object:
		p.object(v, depth)
	default:
		p.write(p.scalar(v))
	}
}

func (p *printer) set(v *Set, depth int) {
	open, end := "{", "}"
	switch {
	case v.Frozen && len(v.Items) == 0:
		open, end = "frozenset(", ")"
	case v.Frozen:
		open, end = "frozenset({", "})"
	case len(v.Items) == 0:
		open, end = "set(", ")"
	}
	p.items(open, v.Items, end, depth)
}

func (p *printer) items(open string, items []Value, end string, depth int) {
	p.write(open)
	for i, item := range items {
		if p.done {
			return
		}
		if i > 0 {
			p.write(", ")
		}
		p.value(item, depth)
	}
	p.write(end)
}

func (p *printer) pairs(pairs []Pair, between string, depth int) {
	for i, pair := range pairs {
		if p.done {
			return
		}
		if i > 0 {
			p.write(", ")
		}
		p.value(pair.Key, depth)
		p.write(between)
		p.value(pair.Value, depth)
	}
}

// object shows a model as its label with the fields, and anything else as what would be called.
func (p *printer) object(v *Object, depth int) {
	m, isModel := v.Model()
	if state, ok := v.State.(*Dict); ok && isModel && v.Class == modelUnpickle {
		p.write(m.Class + "(")
		first := true
		for _, pair := range state.Pairs {
			name, ok := pair.Key.(Str)
			if !ok || name == "_state" || p.done {
				continue
			}
			if !first {
				p.write(", ")
			}
			first = false
			p.write(string(name) + "=")
			p.value(pair.Value, depth)
		}
		p.write(")")
		return
	}
	p.items(v.Class.String()+"(", v.Args, ")", depth)
	if len(v.Items) > 0 {
		p.items("[", v.Items, "]", depth)
	}
	if len(v.Pairs) > 0 {
		p.write("{")
		p.pairs(v.Pairs, ": ", depth)
		p.write("}")
	}
	if v.State != nil {
		p.write(" with ")
		p.value(v.State, depth)
	}
}

func (p *printer) scalar(v Value) string {
	switch v := v.(type) {
	case None:
		return "None"
	case Bool:
		if v {
			return "True"
		}
		return "False"
	case Int:
		return strconv.FormatInt(int64(v), 10)
	case *Big:
		if v.Int.BitLen() > 20000 {
			return fmt.Sprintf("<int of %d bits>", v.Int.BitLen())
		}
		return v.Int.String()
	case Float:
		return floatRepr(float64(v))
	case Str:
		return p.quote(string(v), false)
	case Bytes:
		return "b" + p.quote(string(v), true)
	case ByteArray:
		return "bytearray(b" + p.quote(string(v), true) + ")"
	case Decimal:
		return "Decimal('" + string(v) + "')"
	case *UUID:
		return "UUID('" + v.String() + "')"
	case Class:
		return "<class '" + v.String() + "'>"
	case Date:
		return fmt.Sprintf("date(%d, %d, %d)", v.Year, v.Month, v.Day)
	case DateTime:
		return fmt.Sprintf("datetime(%d, %d, %d, %s%s)", v.Year, v.Month, v.Day, v.Clock.repr(), zoneRepr(v.Zone))
	case Time:
		return fmt.Sprintf("time(%s%s)", v.Clock.repr(), zoneRepr(v.Zone))
	case Delta:
		return fmt.Sprintf("timedelta(%d, %d, %d)", v.Days, v.Seconds, v.Micros)
	}
	return fmt.Sprintf("<%T>", v)
}

func (c Clock) repr() string {
	text := fmt.Sprintf("%d, %d", c.Hour, c.Minute)
	if c.Second != 0 || c.Micro != 0 {
		text += fmt.Sprintf(", %d", c.Second)
	}
	if c.Micro != 0 {
		text += fmt.Sprintf(", %d", c.Micro)
	}
	if c.Fold != 0 {
		text += ", fold=1"
	}
	return text
}

func zoneRepr(zone Value) string {
	if zone == nil {
		return ""
	}
	return ", tzinfo=" + zoneName(zone)
}

func floatRepr(f float64) string {
	switch {
	case math.IsNaN(f):
		return "nan"
	case math.IsInf(f, 0):
		return strings.ToLower(strings.TrimPrefix(strconv.FormatFloat(f, 'g', -1, 64), "+"))
	}
	if a := math.Abs(f); a != 0 && (a < 1e-4 || a >= 1e16) {
		return strconv.FormatFloat(f, 'e', -1, 64)
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

// quote is repr of a str or of bytes, of no more of it than will be shown.
func (p *printer) quote(s string, raw bool) string {
	var out strings.Builder
	quote := byte('\'')
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		quote = '"'
	}
	out.WriteByte(quote)
	for len(s) > 0 {
		if out.Len() > p.most {
			return out.String() + "…"
		}
		r, size := rune(s[0]), 1
		if !raw && r >= utf8.RuneSelf {
			r, size = utf8.DecodeRuneInString(s)
		}
		switch {
		case r == rune(quote) || r == '\\':
			out.WriteString(`\` + string(r))
		case r == '\n':
			out.WriteString(`\n`)
		case r == '\r':
			out.WriteString(`\r`)
		case r == '\t':
			out.WriteString(`\t`)
		case r >= ' ' && r < 0x7f, !raw && r > 0x7f && size > 1 && unicode.IsPrint(r):
			out.WriteString(s[:size])
		case size == 1:
			fmt.Fprintf(&out, `\x%02x`, s[0])
		case r < 0x100:
			fmt.Fprintf(&out, `\x%02x`, r)
		case r < 0x10000:
			fmt.Fprintf(&out, `\u%04x`, r)
		default:
			fmt.Fprintf(&out, `\U%08x`, r)
		}
		s = s[size:]
	}
	out.WriteByte(quote)
	return out.String()
}
