package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
)

// WarmEntry is one thing that is put into the cache: rows of a query, or what a command of the application does.
type WarmEntry struct {
	Name          string
	Via           string // one of the WarmVia constants
	Command       string // a shell command, for WarmViaCommand
	User          string // who runs it; empty: the owner of its directory
	Query         string
	Key           string
	Value         string // a column; empty: the whole row
	TTL           time.Duration
	Jitter        time.Duration
	Codec         string // one of the Codec constants
	Model         string // app_label.ObjectName
	Table         string
	Database      string // Django's alias
	DjangoVersion string // empty: what the release pins
}

// How an entry is warmed, and what its values are.
const (
	WarmViaQuery   = "query"
	WarmViaCommand = "command"

	CodecJSON   = "json"
	CodecPickle = "pickle"
	CodecModel  = "django-model"
	CodecRaw    = "raw"
)

// defaultWarm are the active templates of the guide's application.
const defaultWarm = `[{"name": "templates", "query": "SELECT * FROM forge_template WHERE is_active", "key": "template:{id}", "ttl": "1h", "codec": "pickle"}]`

// fields are the settings of an entry, in the order in which they are shown.
func (e *WarmEntry) fields() []*key {
	return []*key{
		{name: "name", value: text(&e.Name)},
		{name: "via", value: enum(&e.Via, WarmViaQuery, WarmViaCommand), def: WarmViaQuery},
		{name: "command", value: command(&e.Command)},
		{name: "user", value: optional(&e.User)},
		{name: "query", value: command(&e.Query)},
		{name: "key", value: optional(&e.Key)},
		{name: "value", value: optional(&e.Value)},
		{name: "ttl", value: duration(&e.TTL, 0), def: "1h"},
		{name: "jitter", value: duration(&e.Jitter, 0), def: "0s"},
		{name: "codec", value: enum(&e.Codec, CodecPickle, CodecJSON, CodecModel, CodecRaw), def: CodecPickle},
		{name: "model", value: optional(&e.Model)},
		{name: "table", value: optional(&e.Table)},
		{name: "database", value: optional(&e.Database)},
		{name: "django_version", value: optional(&e.DjangoVersion)},
	}
}

// warmEntries is a list of entries. Each travels as a JSON object of texts, which is YAML as well.
func warmEntries(p *[]WarmEntry) *value {
	return &value{
		want:    "a list of entries, each with name, query, key, ttl and codec",
		node:    []ast.NodeType{ast.MappingType},
		list:    true,
		records: true,
		split: func(s string) []string {
			var items []json.RawMessage
			if strings.TrimSpace(s) == "" {
				return nil
			}
			if json.Unmarshal([]byte(s), &items) != nil {
				return []string{s} // put says what is wrong
			}
			out := make([]string, len(items))
			for i, item := range items {
				out[i] = string(item)
			}
			return out
		},
		put: func(texts []string) error {
			all := make([]WarmEntry, len(texts))
			for i, s := range texts {
				if err := all[i].read(s); err != nil {
					return fmt.Errorf("entry %d: %w", i+1, err)
				}
				if slices.ContainsFunc(all[:i], func(e WarmEntry) bool { return e.Name == all[i].Name }) {
					return fmt.Errorf("entry %d: there are two named %q", i+1, all[i].Name)
				}
			}
			*p = all
			return nil
		},
		get: func() []string {
			out := make([]string, len(*p))
			for i, e := range *p {
				out[i] = e.text()
			}
			return out
		},
	}
}

var warmName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]*$`)

func (e *WarmEntry) read(s string) error {
	var said map[string]string
	d := json.NewDecoder(strings.NewReader(s))
	if err := d.Decode(&said); err != nil {
		return errors.New("want a group of settings, each with a text as its value")
	}
	var names []string
	for _, f := range e.fields() {
		names = append(names, f.name)
		given, ok := said[f.name]
		if !ok {
			if f.def == "" {
				continue
			}
			given = f.def
		}
		if err := f.value.setText(given); err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
		delete(said, f.name)
	}
	for name := range said {
		return fmt.Errorf("unknown setting %q: known are %s", Mask(name), strings.Join(names, ", "))
	}
	return e.complete()
}

// complete says what an entry lacks.
func (e *WarmEntry) complete() error {
	switch {
	case !warmName.MatchString(e.Name):
		return fmt.Errorf("name: want letters, digits, and -_. between them, not %q", Mask(e.Name))
	case e.Via == WarmViaCommand && (e.Query != "" || e.Key != ""):
		return errors.New("via command has no query and no key: the application makes them")
	case e.Via == WarmViaCommand:
		return nil
	case e.Command != "" || e.User != "":
		return errors.New("command and user are for via: command")
	case e.Query == "" || e.Key == "":
		return errors.New("query and key must be set")
	case e.Jitter > 0 && e.Jitter >= e.TTL:
		return errors.New("jitter: must be less than ttl")
	case e.Codec == CodecModel && strings.Count(e.Model, ".") != 1:
		return errors.New("model: want app_label.ObjectName for the codec django-model")
	case e.Codec != CodecModel && (e.Model != "" || e.Table != "" || e.Database != "" || e.DjangoVersion != ""):
		return errors.New("model, table, database and django_version are for the codec django-model")
	case e.Codec == CodecRaw && e.Value == "":
		return errors.New("value: the codec raw wants the name of a column")
	}
	return nil
}

// text is the entry as JSON, with what differs from the defaults.
func (e WarmEntry) text() string {
	var b bytes.Buffer
	for _, f := range e.fields() {
		s := f.value.get()[0]
		shown := f.name == "name" || f.name == "ttl" && e.Via == WarmViaQuery || f.name == "codec" && e.Via == WarmViaQuery
		if s == f.def && !shown || s == "" {
			continue
		}
		if b.Len() > 0 {
			b.WriteString(", ")
		}
		b.WriteString(jsonText(f.name) + ": " + jsonText(s))
	}
	return "{" + b.String() + "}"
}

func jsonText(s string) string {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(s); err != nil {
		return `""` // a text can be encoded
	}
	return strings.TrimSpace(b.String())
}

// record is a group of the file as the text that put of a list of records understands.
func record(n ast.Node) (string, error) {
	m, ok := n.(ast.MapNode)
	if !ok {
		return "", fmt.Errorf("want a group of settings, not %s", describe(n))
	}
	var parts []string
	for it := m.MapRange(); it.Next(); {
		entry := it.KeyValue()
		name, ok := keyText(entry.Key)
		if !ok {
			return "", errors.New("want the name of a setting")
		}
		value, ok := scalarText(entry.Value)
		if !ok {
			return "", fmt.Errorf("%s: want text, not %s", Mask(name), describe(entry.Value))
		}
		parts = append(parts, jsonText(name)+": "+jsonText(value))
	}
	return "{" + strings.Join(parts, ", ") + "}", nil
}
