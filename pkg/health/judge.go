package health

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// judge reads the body of an answer with status 200.
func (r *Report) judge(body []byte) {
	if len(body) > BodyLimit {
		r.warn(body, "the answer is longer than %d bytes: this is no health check", BodyLimit)
		return
	}
	text := bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\ufeff")))
	if len(text) == 0 || text[0] != '{' {
		r.Note = "HTTP 200, but the answer is no JSON object: only the status could be judged"
		return
	}
	var answer map[string]json.RawMessage
	if err := json.Unmarshal(text, &answer); err != nil {
		r.warn(body, "the answer cannot be read: %v", err)
		return
	}
	r.App, r.Version, r.Status = word(answer["app"]), word(answer["version"]), word(answer["status"])
	r.Checks = subchecks(answer["checks"])
	failed := r.named()
	switch {
	case len(answer["status"]) == 0:
		r.warn(body, "the answer has no status%s", failed)
	case r.Status != "healthy" || answer["status"][0] != '"':
		r.warn(body, "the status is %s, not healthy%s", brief(r.Status), failed)
	case failed != "":
		// The status is the application's own judgement, and it is what counts.
		r.Note = "healthy, although not everything is ok" + failed
	}
}

func (r *Report) warn(body []byte, format string, args ...any) {
	r.Verdict, r.Reason, r.Body = Warning, fmt.Sprintf(format, args...), excerpt(body)
}

// named are the failed checks, with what they say.
func (r *Report) named() string {
	var out []string
	for _, c := range r.Checks {
		if !c.OK {
			out = append(out, c.Name+" "+c.Value)
		}
	}
	if len(out) == 0 {
		return ""
	}
	return ": " + strings.Join(out, ", ")
}

// subchecks are the members of an object, by name. Anything else has no names.
func subchecks(raw json.RawMessage) []Subcheck {
	var members map[string]json.RawMessage
	if json.Unmarshal(raw, &members) != nil {
		return nil
	}
	var out []Subcheck
	for name, value := range members {
		out = append(out, Subcheck{Name: brief(name), Value: brief(word(value)), OK: well(value)})
	}
	slices.SortFunc(out, func(a, b Subcheck) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// well says whether a check is: "ok" in one of the usual words, true, or an
// object whose status is so.
func well(raw json.RawMessage) bool {
	var inner struct{ Status json.RawMessage }
	if len(raw) > 0 && raw[0] == '{' {
		return json.Unmarshal(raw, &inner) == nil && len(inner.Status) > 0 && inner.Status[0] != '{' && well(inner.Status)
	}
	switch strings.ToLower(word(raw)) {
	case "ok", "healthy", "pass", "up", "true":
		return true
	}
	return false
}

// word is a JSON string as it is meant, and anything else as it is written.
func word(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil && len(raw) > 0 && raw[0] == '"' {
		return s
	}
	return string(raw)
}

// brief bounds what is shown of a value, on one line and without what could
// move a cursor.
func brief(s string) string { return clean(s, 80, false) }

// excerpt is the beginning of an answer, for a mail.
func excerpt(body []byte) string { return clean(string(body), 2000, true) }

func clean(s string, most int, newlines bool) string {
	cut := len(s) > most
	if cut {
		s = s[:most]
	}
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' && newlines:
			return r
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	if cut {
		s += "…"
	}
	return s
}
