package config

import (
	"net/url"
	"regexp"
	"strings"
)

const masked = "***"

// Mask replaces every password in s by "***": in URLs, in keyword/value strings, and after the likes of password= or
// --token. Where a password ends is not always certain, since people forget to encode it; then more is masked, never
// less.
func Mask(s string) string {
	s = urlPassword.ReplaceAllString(s, "${1}:"+masked+"@")
	s = namedSecret.ReplaceAllString(s, "${1}"+masked)
	return secretFlag.ReplaceAllString(s, "${1}"+masked)
}

const secretName = `[a-z0-9_.-]*(?:password|passwd|passphrase|secret|token|api_?key|access_?key|private_?key|credential)[a-z0-9_.-]*`

var (
	// Up to the last "@": a password may hold any character when it was not encoded.
	urlPassword = regexp.MustCompile(`(://[^:@\s]*):.*@`)
	// Quotes and backslashes as libpq has them in a keyword/value string.
	namedSecret = regexp.MustCompile(`(?i)(\b` + secretName + `\s*=\s*)('(?:[^'\\]|\\.)*'?|"(?:[^"\\]|\\.)*"?|(?:\\.|[^\s\\])+)`)
	secretFlag  = regexp.MustCompile(`(?i)((?:^|\s)--?(?:password|passphrase|pass|token|secret)\s+)\S+`)
	// In a YAML line, a key of ours that only says where the secret is may be shown.
	secretEntry = regexp.MustCompile(`(?i)(["']?` + secretName + `["']?\s*:)(\s+)([^\n]+)`)
	harmless    = regexp.MustCompile(`(?i)(_file|_files|_command)["']?\s*:$`)
)

// maskYAML masks a line of the configuration file, which may hold a password under a name that we do not even know.
func maskYAML(line string) string {
	line = secretEntry.ReplaceAllStringFunc(line, func(m string) string {
		part := secretEntry.FindStringSubmatch(m)
		if harmless.MatchString(part[1]) {
			return m
		}
		return part[1] + part[2] + masked
	})
	return Mask(line)
}

// secretsIn lists the passwords that stand in a URL or keyword/value string, encoded and decoded.
func secretsIn(s string) []string {
	var found []string
	add := func(secret string) {
		if secret == "" {
			return
		}
		found = append(found, secret)
		if plain, err := url.PathUnescape(secret); err == nil && plain != secret {
			found = append(found, plain)
		}
	}
	if m := urlPassword.FindStringSubmatchIndex(s); m != nil {
		add(s[m[3]+1 : m[1]-1])
	}
	for _, m := range namedSecret.FindAllStringSubmatch(s, -1) {
		secret := m[2]
		if strings.Contains(s, "://") {
			secret, _, _ = strings.Cut(secret, "&")
		}
		add(unquoteConninfo(secret))
	}
	return found
}
