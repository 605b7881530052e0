package rediscache

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

// Group is the pattern that a key is counted under: what tells it from its
// siblings becomes a star. bmad:1:template:42 is bmad:1:template:*. What Django
// puts before keys stays, and so does the prefix that is given. Each star stands for a
// number, a UUID, a hash, or anything that cannot be printed. The same key always
// has the same group.
func (p Prefix) Group(key string) string {
	head, rest := p.head(key)
	var b strings.Builder
	b.WriteString(head)
	for rest != "" {
		word := rest
		if end := strings.IndexAny(rest, separators); end >= 0 {
			word = rest[:end]
		}
		b.WriteString(starred(word))
		rest = rest[len(word):]
		if rest != "" {
			b.WriteByte(rest[0])
			rest = rest[1:]
		}
	}
	group := stars.ReplaceAllString(b.String(), "*")
	if len(group) > groupLimit {
		// Long keys are made of data.
		group = strings.ToValidUTF8(group[:groupLimit], "") + "*"
	}
	return group
}

const (
	separators = ":./|"
	groupLimit = 120
)

var (
	stars = regexp.MustCompile(`\*(?:[:./|]?\*)+`)
	// Up to three digits: what stands there of other applications is a number of theirs.
	versioned = regexp.MustCompile(`^[^:]*:[0-9]{1,3}:`)
	uuid      = regexp.MustCompile(`^\{?[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}\}?$`)
	hexes     = regexp.MustCompile(`^[0-9a-fA-F]{8,}$`)
	inside    = regexp.MustCompile(`[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}`)
	digits    = regexp.MustCompile(`[0-9]+`)
	// Session keys follow the name of their engine without a separator.
	session = regexp.MustCompile(`^(.*?)[0-9a-z]{32}$`)
	random  = regexp.MustCompile(`^[0-9A-Za-z_=+-]{16,}$`)
)

// head is what stays as it is: the given prefix, or what looks like another one.
func (p Prefix) head(key string) (head, rest string) {
	own := p.String()
	if strings.HasPrefix(key, own) {
		return own, key[len(own):]
	}
	found := versioned.FindString(key)
	app, _, _ := strings.Cut(found, ":")
	if starred(app) != app {
		return "", key
	}
	return found, key[len(found):]
}

// starred is a word without what is particular to one key.
func starred(word string) string {
	switch {
	case word == "":
		return ""
	case !printable(word), uuid.MatchString(word):
		return "*"
	case !strings.ContainsAny(word, "0123456789"):
		return word
	case hexes.MatchString(word):
		return "*"
	}
	if m := session.FindStringSubmatch(word); m != nil {
		return m[1] + "*"
	}
	if random.MatchString(word) && strings.ToLower(word) != word && strings.ToUpper(word) != word {
		return "*"
	}
	return digits.ReplaceAllString(inside.ReplaceAllString(word, "*"), "*")
}

// printable is false for what a terminal or a pattern would take for something
// else.
func printable(word string) bool {
	if !utf8.ValidString(word) {
		return false
	}
	return !strings.ContainsFunc(word, func(r rune) bool {
		return r < ' ' || r == '*' || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029
	})
}

// Namespace is the application and version of a group, "" where there is none.
func (p Prefix) Namespace(group string) string {
	head, _ := p.head(group)
	return head
}
