package pickle

import (
	"strconv"
	"strings"
)

// Stored reads a value as it lies in Redis, in the order in which Django does: what Python's int() takes is a number,
// everything else a pickle. What a compressor of django-redis made must be unpacked before.
func Stored(data []byte, limits Limits) (Value, error) {
	if n, ok := pythonInt(string(data[:min(len(data), 5000)])); ok && len(data) < 5000 {
		return n, nil
	}
	return Parse(data, limits)
}

// pythonInt is int(s): spaces around it, a sign, and single underscores between digits are allowed.
func pythonInt(s string) (Value, bool) {
	s = strings.Trim(s, " \t\n\r\v\f")
	body := s
	if body != "" && (body[0] == '+' || body[0] == '-') {
		body = body[1:]
	}
	if body == "" || body[0] == '_' || body[len(body)-1] == '_' || strings.Contains(body, "__") ||
		!digits(strings.ReplaceAll(body, "_", "")) {
		return nil, false
	}
	return parseInt(strings.ReplaceAll(s, "_", ""), 4300) // as many digits as Python takes
}

// Store is the value as Django puts it into Redis: an int as digits, everything else as a pickle.
func Store(v Value) ([]byte, error) {
	switch v := v.(type) {
	case Int:
		return strconv.AppendInt(nil, int64(v), 10), nil
	case *Big:
		// Python refuses to read more digits than that, by default.
		if v.Int.BitLen() < 14000 {
			return v.Int.Append(nil, 10), nil
		}
	}
	return Append(nil, v)
}
