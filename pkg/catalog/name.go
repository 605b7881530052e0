package catalog

import (
	"fmt"
	"strings"
)

const upperHex = "0123456789ABCDEF"

// EscapeName turns any name, such as that of a database or a host, into one safe path element. ASCII
// letters, digits, "_" and "-" stand for themselves, so does "." except at the start; every other byte
// becomes "%" and its two upper-case hex digits. UnescapeName reverses it.
func EscapeName(s string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if plain(c) || c == '.' && i > 0 {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(upperHex[c>>4])
		b.WriteByte(upperHex[c&15])
	}
	return b.String()
}

// UnescapeName gives back the name that EscapeName was given. It accepts only what EscapeName writes, so
// that two directories never mean the same name; everything else, and "", is ErrInvalid.
func UnescapeName(s string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b.WriteByte(s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", fmt.Errorf("escaped name %q: %w", s, ErrInvalid)
		}
		hi, lo := strings.IndexByte(upperHex, s[i+1]), strings.IndexByte(upperHex, s[i+2])
		if hi < 0 || lo < 0 {
			return "", fmt.Errorf("escaped name %q: %w", s, ErrInvalid)
		}
		b.WriteByte(byte(hi<<4 | lo))
		i += 2
	}
	name := b.String()
	if name == "" || EscapeName(name) != s {
		return "", fmt.Errorf("escaped name %q: %w", s, ErrInvalid)
	}
	return name, nil
}

func plain(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-'
}
