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
	// A key in YAML; the colon may have been forgotten.
	secretEntry = regexp.MustCompile(`(?i)["']?(` + secretName + `)["']?(?:\s*:\s*|\s+)`)
	pathLike    = regexp.MustCompile(`^["'\[\s]*(?:[/~]|$)`)
)

// maskYAML masks a line of the configuration file. It may hold a password under a name that we do not even know, so
// only settings of ours are shown; and of those that name a file with a secret, only what looks like a path: people
// write the secret itself there.
//
// The rest of the line goes with the password, which may hold anything that ends a value in YAML.
func maskYAML(line string, rows []*key) string {
	for _, m := range secretEntry.FindAllStringSubmatchIndex(line, -1) {
		value := line[m[1]:]
		if value == "" || mayShow(line[m[2]:m[3]], value, rows) {
			continue
		}
		line = line[:m[1]] + masked
		break
	}
	return Mask(line)
}

func mayShow(word, value string, rows []*key) bool {
	for _, k := range rows {
		if _, own, _ := k.place(); own == word {
			return !k.secret || pathLike.MatchString(value)
		}
	}
	return false
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
