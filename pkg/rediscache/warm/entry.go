package warm

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// The codecs.
const (
	JSON   = "json"         // a JSON object: for Django only with a JSON serializer
	Pickle = "pickle"       // a dict of the row, or the value of one column
	Model  = "django-model" // an instance of a model
	Raw    = "raw"          // the bytes of one column: for readers other than Django
)

// Entry is what is put into the cache.
type Entry struct {
	Name   string
	Query  string // one SELECT
	Key    string // of the application, without Django's prefix; {column} stands for the column's text
	Value  string // the column that is the value; "": the whole row
	TTL    time.Duration
	Jitter time.Duration // each key lives for up to that much less than TTL, so that not all end at once
	Codec  string

	Model         string // app_label.ObjectName, for the codec Model
	Table         string // of that model; "": Django's own name for it
	Database      string // Django's alias of the database; "": default
	DjangoVersion string // of the Django that will read it
}

// ErrEntry is an entry that cannot be meant.
var ErrEntry = errors.New("the entry is not complete")

func (e Entry) check() error {
	wrong := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", ErrEntry, fmt.Sprintf(format, args...))
	}
	switch {
	case e.Query == "":
		return wrong("it has no query")
	case e.Key == "":
		return wrong("it has no key")
	case e.TTL < 0 || e.Jitter < 0 || e.Jitter > 0 && e.Jitter >= e.TTL:
		return wrong("the jitter must be less than the ttl")
	case e.TTL > 0 && e.TTL-e.Jitter < time.Millisecond:
		return wrong("a ttl of less than a millisecond")
	}
	switch e.Codec {
	case JSON, Pickle:
	case Raw:
		if e.Value == "" {
			return wrong("codec %s needs the column in value", Raw)
		}
	case Model:
		app, name, ok := strings.Cut(e.Model, ".")
		if !ok || app == "" || name == "" || strings.Contains(name, ".") {
			return wrong("codec %s needs the model as app_label.ObjectName", Model)
		}
		if e.Value != "" {
			return wrong("codec %s takes the whole row, and no value", Model)
		}
		if e.DjangoVersion == "" {
			return wrong("codec %s needs the version of Django", Model)
		}
	default:
		return wrong("there is no codec %q", e.Codec)
	}
	return nil
}

// table is where Django keeps the model.
func (e Entry) table() string {
	if e.Table != "" {
		return e.Table
	}
	return strings.ToLower(strings.ReplaceAll(e.Model, ".", "_"))
}

// keyPart is a piece of a key: text, and then the column whose value follows; -1 is none.
type keyPart struct {
	text   string
	column int
}

// keyParts reads the template. "{{" and "}}" are braces.
func keyParts(template string, columns []string) ([]keyPart, error) {
	var parts []keyPart
	var text strings.Builder
	for i := 0; i < len(template); i++ {
		c := template[i]
		if c != '{' && c != '}' {
			text.WriteByte(c)
			continue
		}
		if i+1 < len(template) && template[i+1] == c {
			text.WriteByte(c)
			i++
			continue
		}
		name, _, ok := strings.Cut(template[i+1:], "}")
		if c == '}' || !ok {
			return nil, fmt.Errorf("%w: a single brace in the key %q", ErrEntry, template)
		}
		at := indexOf(columns, name)
		if at < 0 {
			return nil, fmt.Errorf("%w: the key %q names the column %q, which the query does not return", ErrEntry, template, name)
		}
		parts = append(parts, keyPart{text.String(), at})
		text.Reset()
		i += len(name) + 1
	}
	return append(parts, keyPart{text.String(), -1}), nil
}

func indexOf(list []string, s string) int {
	for i, l := range list {
		if l == s {
			return i
		}
	}
	return -1
}
