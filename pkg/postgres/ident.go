package postgres

import "strings"

// QuoteIdent quotes an identifier for SQL, always.
func QuoteIdent(parts ...string) string {
	quoted := make([]string, len(parts))
	for i, p := range parts {
		quoted[i] = `"` + strings.ReplaceAll(p, `"`, `""`) + `"`
	}
	return strings.Join(quoted, ".")
}

// QuoteLiteral quotes a string constant for SQL so that it reads the same
// whatever standard_conforming_strings says.
func QuoteLiteral(s string) string {
	quoted := "'" + strings.ReplaceAll(s, "'", "''") + "'"
	if strings.Contains(s, `\`) {
		return "E" + strings.ReplaceAll(quoted, `\`, `\\`)
	}
	return quoted
}

// maxIdentifier is NAMEDATALEN-1: PostgreSQL cuts longer names with a NOTICE only.
const maxIdentifier = 63

// ValidName reports why s cannot be the name of a database, or "".
func ValidName(s string) string {
	switch {
	case s == "":
		return "is empty"
	case len(s) > maxIdentifier:
		return "is longer than 63 bytes, PostgreSQL would cut it"
	case strings.ContainsRune(s, 0):
		return "contains a zero byte"
	}
	return ""
}

// CutName shortens s at a character boundary so that s+suffix fits an identifier.
func CutName(s, suffix string) string {
	room := max(maxIdentifier-len(suffix), 0)
	if len(s) <= room {
		return s + suffix
	}
	for room > 0 && s[room]&0xC0 == 0x80 { // inside a UTF-8 sequence
		room--
	}
	return s[:room] + suffix
}
