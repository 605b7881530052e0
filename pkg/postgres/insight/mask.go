package insight

import (
	"regexp"
	"strings"
)

// Mask replaces the quoted constants of a statement by '***': one may be a
// password, or somebody's data. Names in double quotes, numbers and comments stay.
// A constant that is cut off is masked to the end.
func Mask(sql string) string {
	var b strings.Builder
	for i := 0; i < len(sql); {
		n := tokenLength(sql[i:])
		token := sql[i : i+n]
		switch {
		case token[0] == '\'' || token[0] == '$' && n > 1:
			b.WriteString("'***'")
		default:
			b.WriteString(token)
		}
		// E'…': the letter stands before, and its backslashes count.
		i += n
		if i < len(sql) && sql[i] == '\'' && escapes(token) {
			b.WriteString("'***'")
			i += quotedLength(sql[i:], true)
		}
	}
	return b.String()
}

func escapes(token string) bool { return token == "E" || token == "e" }

var (
	word   = regexp.MustCompile(`^[\pL_][\pL\pN_$]*`)
	dollar = regexp.MustCompile(`^\$(?:[\pL_][\pL\pN_]*)?\$`)
)

// tokenLength is the length of what stands at the beginning, at least 1.
func tokenLength(s string) int {
	switch {
	case s[0] == '\'':
		return quotedLength(s, false)
	case s[0] == '"':
		return closing(s, 1, `"`)
	case strings.HasPrefix(s, "--"):
		return closing(s, 2, "\n")
	case strings.HasPrefix(s, "/*"):
		return closing(s, 2, "*/")
	case s[0] == '$':
		if tag := dollar.FindString(s); tag != "" {
			return closing(s, len(tag), tag)
		}
		return 1
	}
	return max(len(word.FindString(s)), 1)
}

// closing is where a token that begins with from bytes ends, its end included.
func closing(s string, from int, end string) int {
	if i := strings.Index(s[from:], end); i >= 0 {
		return from + i + len(end)
	}
	return len(s)
}

func quotedLength(s string, backslash bool) int {
	for i := 1; i < len(s); i++ {
		switch {
		case backslash && s[i] == '\\':
			i++
		case s[i] == '\'' && i+1 < len(s) && s[i+1] == '\'':
			i++
		case s[i] == '\'':
			return i + 1
		}
	}
	return len(s)
}

// oneLine is a statement for a table: masked, blanks folded.
func oneLine(sql string) string { return strings.Join(strings.Fields(Mask(sql)), " ") }
