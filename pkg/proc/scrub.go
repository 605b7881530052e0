package proc

import (
	"net/url"
	"slices"
	"strings"
)

const mask = "***"

// scrubber replaces secrets in text that people will read.
type scrubber struct {
	replacer *strings.Replacer
	forms    []string
}

func newScrubber(secrets []string) *scrubber {
	var forms []string
	for _, s := range secrets {
		forms = append(forms, spellings(s)...)
	}
	forms = slices.DeleteFunc(forms, func(s string) bool { return s == "" })
	// The longest first, so that a secret that begins with another one does not leave its tail.
	slices.SortFunc(forms, func(a, b string) int {
		if d := len(b) - len(a); d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	forms = slices.Compact(forms)
	pairs := make([]string, 0, 2*len(forms))
	for _, f := range forms {
		pairs = append(pairs, f, mask)
	}
	return &scrubber{replacer: strings.NewReplacer(pairs...), forms: forms}
}

// spellings are the ways in which programs write a secret back: as it is, in a URL, in a quoted conninfo value,
// in an SQL literal; and each line of one that has several, because stderr is read by lines.
func spellings(s string) []string {
	out := []string{
		s, url.QueryEscape(s), url.PathEscape(s), userinfo(s),
		strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s),
		strings.ReplaceAll(s, `'`, `''`),
	}
	if strings.ContainsAny(s, "\r\n") {
		for _, line := range strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' }) {
			if len(line) > 3 { // a shorter one would blacken half of every message
				out = append(out, line)
			}
		}
	}
	return out
}

func userinfo(s string) string {
	_, pw, _ := strings.Cut(url.UserPassword("u", s).String(), ":")
	return pw
}

func (s *scrubber) text(t string) string {
	if len(s.forms) == 0 {
		return t
	}
	return s.replacer.Replace(t)
}

func (s *scrubber) all(list []string) []string {
	out := make([]string, len(list))
	for i, t := range list {
		out[i] = s.text(t)
	}
	return out
}

// trimPartial drops the beginning of a secret from the end of a text that was cut there.
func (s *scrubber) trimPartial(t string) string {
	cut := len(t)
	for _, f := range s.forms {
		for n := min(len(f)-1, len(t)); n > 0; n-- {
			if strings.HasSuffix(t, f[:n]) {
				cut = min(cut, len(t)-n)
				break
			}
		}
	}
	return t[:cut]
}
