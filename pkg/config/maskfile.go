package config

import (
	"path/filepath"
	"regexp"
	"strings"
)

// MaskFile is the lines of a configuration file with its secrets replaced by "***", as many lines, each with the
// newline that it had. Besides what Mask knows: values of names that look secret, whatever follows them, also in
// quotes or an indented block that go on; private keys; all of a file whose name looks secret, or that is a single
// word, as files are that hold nothing but a password. More is masked, never less.
func MaskFile(name string, lines []string) []string {
	all := secretFile.MatchString(filepath.Base(name)) || len(lines) == 1 && !strings.ContainsAny(strings.TrimSpace(lines[0]), " \t=:{")
	shown := make([]string, len(lines))
	m := fileMasker{}
	for i, line := range lines {
		text := strings.TrimRight(line, "\r\n")
		end := line[len(text):]
		if all && strings.TrimSpace(text) != "" {
			text = masked
		} else {
			text = m.line(text)
		}
		shown[i] = text + end
	}
	return shown
}

const secretish = `[A-Za-z0-9_.-]*(?:pass|pwd|secret|token|key|credential|salt|dsn|auth|private|signature|cookie)[A-Za-z0-9_.-]*`

var (
	secretFile = regexp.MustCompile(`(?i)(?:pass(?:word|wd|phrase)?|secret|token|credential|pgpass|htpasswd|netrc|shadow)|^[^.]*key[^.]*$|\.(?:key|sec|p12|pfx|jks|gpg|asc)$`)
	// NAME=value as in shells and systemd units, "name": value, name value; up to the value.
	secretLine = regexp.MustCompile(`(?i)^(\s*(?:-\s+)?(?:export\s+|Environment=)?["']?` + secretish + `["']?(?:\s*[=:]\s*|\s+))(.+)$`)
	// The same in the middle of a line: proxy_set_header X-Token value; Environment=A=b "SECRET=c".
	innerLine  = regexp.MustCompile(`(?i)((?:^|[\s"'{,;&?])["']?` + secretish + `["']?\s*[=:]\s*).+$`)
	header     = regexp.MustCompile(`(?i)(\b(?:authorization|x-[a-z-]*(?:token|key|secret|auth)[a-z-]*)["']?[\s:=]+).+$`)
	privateKey = regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY(?: BLOCK)?-----`)
	privateEnd = regexp.MustCompile(`-----END [A-Z ]*PRIVATE KEY(?: BLOCK)?-----`)
	blockValue = regexp.MustCompile(`^[|>][-+0-9]*\s*$`)
	fileValue  = regexp.MustCompile(`(?i)(?:_files?|_path|_dir)["']?\s*[=:]\s*$`)
)

// fileMasker knows what the lines before have begun.
type fileMasker struct {
	inKey  bool
	quote  byte // a secret value goes on until this
	block  bool // a secret value goes on as long as lines are indented more than
	indent int
	joined bool // the line before ended in a backslash, and was secret
}

func (m *fileMasker) line(text string) string {
	switch {
	case m.inKey:
		m.inKey = !privateEnd.MatchString(text)
		return masked
	case m.quote != 0:
		if unescaped(text, m.quote) {
			m.quote = 0
		}
		return masked
	case m.joined:
		m.joined = strings.HasSuffix(text, `\`)
		return masked
	case m.block:
		if strings.TrimSpace(text) == "" || indentOf(text) > m.indent {
			return masked
		}
		m.block = false
	}
	if privateKey.MatchString(text) {
		m.inKey = !privateEnd.MatchString(text)
		return masked
	}
	if found := secretLine.FindStringSubmatch(text); found != nil && !harmless(found[1], found[2]) {
		m.goesOn(text, found[2])
		return found[1] + masked
	}
	text = header.ReplaceAllString(text, "${1}"+masked)
	if found := innerLine.FindStringSubmatchIndex(text); found != nil && !harmless(text[found[2]:found[3]], text[found[3]:]) {
		m.goesOn(text, text[found[3]:])
		text = text[:found[3]] + masked
	}
	return Mask(text)
}

// harmless reports whether a value is only where the secret lies.
func harmless(name, value string) bool {
	return fileValue.MatchString(name) && pathLike.MatchString(value)
}

// goesOn notes that the next lines belong to a secret value.
func (m *fileMasker) goesOn(text, value string) {
	value = strings.TrimSpace(value)
	switch {
	case value != "" && (value[0] == '"' || value[0] == '\'') && !unescaped(value[1:], value[0]):
		m.quote = value[0]
	case blockValue.MatchString(value):
		m.block, m.indent = true, indentOf(text)
	case strings.HasSuffix(value, `\`):
		m.joined = true
	}
	if strings.Count(value, `"""`) == 1 || strings.Count(value, `'''`) == 1 {
		m.quote = value[strings.IndexAny(value, `"'`)]
	}
}

// unescaped reports whether a quote ends in the text.
func unescaped(text string, quote byte) bool {
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case quote:
			return true
		}
	}
	return false
}

func indentOf(text string) int { return len(text) - len(strings.TrimLeft(text, " \t")) }
