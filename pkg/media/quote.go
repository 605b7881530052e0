package media

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// Quote is a path for people: as it is, or in Go's quotation marks when it holds anything that a terminal or a line of
// text would mind.
func Quote(path string) string {
	if utf8.ValidString(path) && !strings.ContainsFunc(path, func(r rune) bool { return r == '"' || r == utf8.RuneError || !strconv.IsPrint(r) }) {
		return path
	}
	return strconv.Quote(path)
}
