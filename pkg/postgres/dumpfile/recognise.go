package dumpfile

import (
	"bytes"
	"fmt"
	"strings"
)

// recognise tells what a stream is by its beginning.
func recognise(head []byte) (Format, error) {
	switch {
	case len(head) == 0:
		return "", fmt.Errorf("%w: it is empty", ErrNotDump)
	case bytes.HasPrefix(head, []byte("PGDMP")):
		if len(head) > 10 && head[10] != formatCustom {
			return "", fmt.Errorf("%w: it is the table of contents of an archive in several files: name its directory", ErrNotDump)
		}
		return Custom, nil
	case len(head) > 262 && string(head[257:262]) == "ustar":
		member, _, _ := strings.Cut(string(head[:100]), "\x00")
		if member == tocName {
			return Tar, nil
		}
		return "", fmt.Errorf("%w: it is a tar archive that begins with %s, not with pg_dump's %s", ErrNotDump, printable(member), tocName)
	}
	if what := looksLike(head); what != "" {
		return "", fmt.Errorf("%w: it looks like %s", ErrNotDump, what)
	}
	return SQL, nil
}

// known are beginnings of files that people mistake for dumps.
var known = []struct{ prefix, what string }{
	{"-----BEGIN PGP", "a key or a signature of OpenPGP"},
	{"-----BEGIN ", "a key or a certificate"},
	{"<", "HTML or XML"},
	{"{", "JSON"}, {"[", "JSON"},
	{"%PDF", "a PDF document"},
	{"\x7fELF", "a program"},
	{"#!", "a script"},
	{"SQLite format 3", "an SQLite database"},
	{"-- MySQL dump", "a dump of MySQL"}, {"-- MariaDB dump", "a dump of MariaDB"}, {"/*!999999", "a dump of MariaDB"},
}

// verbs are what SQL begins with.
var verbs = strings.Fields(`set select create alter drop begin start copy insert update delete truncate comment grant revoke with do
	lock reset show values analyze vacuum explain prepare execute call reindex refresh security load discard declare commit rollback
	end abort savepoint release reassign import listen notify unlisten table cluster checkpoint`)

// looksLike is "" for SQL.
func looksLike(head []byte) string {
	text := strings.TrimLeft(string(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf"))), " \t\r\n\v\f")
	for _, k := range known {
		if strings.HasPrefix(text, k.prefix) {
			return k.what
		}
	}
	for _, c := range head {
		if c < ' ' && !isSpace(c) || c == 0x7f {
			return "binary data"
		}
	}
	first := strings.ToLower(text)
	if text == "" || strings.HasPrefix(text, "--") || strings.HasPrefix(text, "/*") || text[0] == '\\' || text[0] == ';' || text[0] == '(' {
		return ""
	}
	n := strings.IndexFunc(first, func(r rune) bool { return r < 'a' || r > 'z' })
	if n < 0 {
		n = len(first)
	}
	for _, v := range verbs {
		if first[:n] == v {
			return ""
		}
	}
	return fmt.Sprintf("text that begins with %q", printable(firstLine(text)))
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	if len(s) > 40 {
		s = s[:40]
	}
	return strings.TrimSpace(s)
}
