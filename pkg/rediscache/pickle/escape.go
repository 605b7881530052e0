package pickle

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// rawUnicode undoes Python's raw-unicode-escape: bytes are code points, and an odd number of backslashes before u or U
// begins an escape.
func rawUnicode(s string) (string, bool) {
	out := make([]byte, 0, len(s))
	slashes := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '\\' {
			slashes++
			out = append(out, c)
			continue
		}
		if slashes%2 == 1 && (c == 'u' || c == 'U') {
			digits := 4
			if c == 'U' {
				digits = 8
			}
			if len(s)-i-1 < digits {
				return "", false
			}
			n, err := strconv.ParseUint(s[i+1:i+1+digits], 16, 32)
			if err != nil || n > utf8.MaxRune {
				return "", false
			}
			out = appendCodePoint(out[:len(out)-1], rune(n))
			i += digits
		} else {
			out = appendCodePoint(out, rune(c))
		}
		slashes = 0
	}
	return string(out), true
}

// appendCodePoint writes UTF-8 for surrogates too, as Python's pickle does.
func appendCodePoint(out []byte, r rune) []byte {
	if r >= 0xd800 && r <= 0xdfff {
		return append(out, 0xe0|byte(r>>12), 0x80|byte(r>>6)&0x3f, 0x80|byte(r)&0x3f)
	}
	return utf8.AppendRune(out, r)
}

// quoted undoes the repr of a str of Python 2.
func quoted(s string) (string, bool) {
	s = strings.TrimRight(s, " \t\r")
	if len(s) < 2 || s[0] != s[len(s)-1] || s[0] != '\'' && s[0] != '"' {
		return "", false
	}
	quote := s[0]
	s = s[1 : len(s)-1]
	var out strings.Builder
	for len(s) > 0 {
		if s[0] != '\\' {
			out.WriteByte(s[0])
			s = s[1:]
			continue
		}
		if len(s) > 1 && (s[1] == '\'' || s[1] == '"') {
			out.WriteByte(s[1])
			s = s[2:]
			continue
		}
		r, wide, rest, err := strconv.UnquoteChar(s, quote)
		if err != nil || wide {
			return "", false
		}
		out.WriteByte(byte(r))
		s = rest
	}
	return out.String(), true
}
