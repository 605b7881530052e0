package pickle

import (
	"encoding/hex"
	"math/big"
	"strings"
)

func decimalOf(args []Value) Value {
	if len(args) == 1 {
		if s, ok := args[0].(Str); ok && validDecimal(string(s)) {
			return Decimal(s)
		}
	}
	return nil
}

// validDecimal says whether Decimal(s) takes s: digits with a point and an exponent, or one of the special values.
func validDecimal(s string) bool {
	s = strings.ToLower(strings.TrimLeft(s, "+-"))
	if s == "inf" || s == "infinity" {
		return true
	}
	for _, name := range []string{"snan", "nan"} {
		if rest, ok := strings.CutPrefix(s, name); ok {
			return digits(rest)
		}
	}
	mantissa, exponent, found := strings.Cut(s, "e")
	if found {
		exponent = strings.TrimLeft(exponent, "+-")
		if exponent == "" || len(exponent) > 19 || !digits(exponent) {
			return false
		}
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	return whole+fraction != "" && digits(whole) && digits(fraction)
}

func digits(s string) bool { return strings.Trim(s, "0123456789") == "" }

// uuidOf is UUID('…') and UUID(); what is called without arguments gets its number from its state.
func uuidOf(args []Value) Value {
	switch len(args) {
	case 0:
		return &UUID{}
	case 1:
		if s, ok := args[0].(Str); ok && len(s) < 100 {
			if u, ok := ParseUUID(string(s)); ok {
				return u
			}
		}
	}
	return nil
}

// ParseUUID reads 32 hexadecimal digits, with or without hyphens.
func ParseUUID(s string) (*UUID, bool) {
	b, err := hex.DecodeString(strings.ReplaceAll(s, "-", ""))
	if err != nil || len(b) != 16 {
		return nil, false
	}
	return &UUID{[16]byte(b)}, true
}

// String is the UUID with hyphens.
func (u *UUID) String() string {
	h := hex.EncodeToString(u.Bytes[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

func (u *UUID) build(state Value) bool {
	d, ok := state.(*Dict)
	if !ok {
		if t, isTuple := state.(*Tuple); isTuple && len(t.Items) == 2 { // (None, slots) of Python up to 3.6
			d, ok = t.Items[1].(*Dict)
		}
	}
	if !ok {
		return false
	}
	n := new(big.Int)
	switch v := d.Get("int").(type) {
	case Int:
		n.SetInt64(int64(v))
	case *Big:
		n = v.Int
	default:
		return false
	}
	if n.Sign() < 0 || n.BitLen() > 128 {
		return false
	}
	n.FillBytes(u.Bytes[:])
	return true
}
