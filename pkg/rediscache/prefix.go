package rediscache

import (
	"strconv"
	"strings"
)

// Prefix is what Django puts before every key of a cache: KEY_PREFIX:VERSION:.
// The zero value is that of Django without a KEY_PREFIX in version 0, ":0:".
type Prefix struct {
	KeyPrefix string
	Version   int
}

// String is the prefix as it stands in keys: "bmad:1:", and ":1:" without a
// KEY_PREFIX.
func (p Prefix) String() string { return p.KeyPrefix + ":" + strconv.Itoa(p.Version) + ":" }

// Key is the whole key of what the application calls name. Django escapes nothing.
func (p Prefix) Key(name string) string { return p.String() + name }

// Pattern is a glob of whole keys: the prefix stands for itself, whatever is in it,
// glob for what comes after. "*" is every key of the application.
func (p Prefix) Pattern(glob string) string { return EscapeGlob(p.String()) + glob }

// EscapeGlob makes text match itself and nothing else where Redis wants a pattern.
func EscapeGlob(text string) string {
	var b strings.Builder
	for i := range len(text) {
		if strings.IndexByte(`*?[]\^`, text[i]) >= 0 {
			b.WriteByte('\\')
		}
		b.WriteByte(text[i])
	}
	return b.String()
}
