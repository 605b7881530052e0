package pickle

// instance is what a class that is let pass makes of the tuple that was read last, which has n items; false where the
// arguments are not what Append writes for it.
func (c *Checker) instance(class class_, n int) (Slot, bool) {
	a, b := c.last[0], c.last[1]
	out := Slot{From: a.From, To: a.To, class: class}
	text := c.in[a.From:a.To]
	switch class {
	case classDecimal:
		out.Kind = KindDecimal
		return out, n == 1 && a.Kind == KindStr && decimalText(text)
	case classUUID:
		out.Kind = KindUUID
		return out, n == 1 && a.Kind == KindStr && uuidText(text)
	case classDelta:
		out.Kind = KindDelta
		return out, n == 3 && c.delta()
	case classZone:
		out.Kind, out.depth = KindZone, 1
		return out, n == 1 && a.Kind == KindDelta
	case classModel:
		out.Kind, out.depth = kindBare, a.depth+1
		return out, n == 1 && a.Kind == KindTuple
	case classState:
		out.Kind, out.depth = kindBare, 1
		return out, n == 0
	}
	if a.Kind != KindBytes {
		return out, false
	}
	out.Zoned = n == 2 && b.Kind == KindZone
	if out.Zoned {
		out.depth = 2
	}
	switch {
	case class == classDate:
		out.Kind = KindDate
		return out, n == 1 && len(text) == 4 && text[2] < 0x80 && dateState(text).valid()
	case n != 1 && !out.Zoned:
		return out, false
	case class == classDateTime:
		out.Kind = KindDateTime
		return out, len(text) == 10 && dateState(text).valid() && clockState(text[4:]).valid()
	}
	out.Kind = KindTime
	if len(text) != 6 {
		return out, false
	}
	clock := clockState(text)
	clock.Hour &= 0x7f // the fold
	return out, clock.valid()
}

func dateState(b []byte) Date {
	return Date{int(b[0])<<8 | int(b[1]), int(b[2] & 0x7f), int(b[3])}
}

func clockState(b []byte) Clock {
	return Clock{Hour: int(b[0]), Minute: int(b[1]), Second: int(b[2]), Micro: int(b[3])<<16 | int(b[4])<<8 | int(b[5])}
}

// delta says whether the three items are those of a timedelta.
func (c *Checker) delta() bool {
	var n [3]int64
	for i, s := range c.last {
		if s.Kind != KindInt || s.To-s.From > 8 {
			return false
		}
		n[i] = signed(c.in[s.From:s.To])
	}
	return Delta{n[0], n[1], n[2]}.valid()
}

// decimalText is validDecimal, quick for digits with a point.
func decimalText(b []byte) bool {
	points, numbers := 0, 0
	for _, v := range b {
		switch {
		case v >= '0' && v <= '9':
			numbers++
		case v == '.':
			points++
		default:
			return validDecimal(string(b))
		}
	}
	return points <= 1 && numbers > 0
}

// uuidText is a UUID in the form of its String.
func uuidText(b []byte) bool {
	if len(b) != 36 {
		return false
	}
	for i, v := range b {
		switch {
		case i == 8 || i == 13 || i == 18 || i == 23:
			if v != '-' {
				return false
			}
		case v < '0' || v > '9' && v < 'a' || v > 'f':
			return false
		}
	}
	return true
}

// Int is the int of a slot whose bytes are at most eight.
func (c *Checker) Int(s Slot) (int64, bool) {
	if s.Kind != KindInt || s.To-s.From > 8 {
		return 0, false
	}
	return signed(c.in[s.From:s.To]), true
}

// Bytes are those of a slot, within the pickle.
func (c *Checker) Bytes(s Slot) []byte { return c.in[s.From:s.To] }
