package config

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/bmad-forge/forgectl/pkg/suggest"
)

// document is the configuration file while it is being read into the table.
type document struct {
	path  string
	lines []string
	table []*key
	rows  map[string]*key // by name
	found map[string]int
	errs  []*Error
}

// readYAML sets every key that the file has, and returns everything that is wrong with it.
func readYAML(path string, data []byte, rows []*key) []*Error {
	data = bytes.TrimPrefix(data, []byte("\ufeff")) // a byte order mark, which Windows editors leave
	d := &document{path: path, lines: strings.Split(string(data), "\n"), table: rows, rows: map[string]*key{}, found: map[string]int{}}
	for _, k := range rows {
		d.rows[k.name] = k
	}
	if i := firstNonText(data); i >= 0 {
		d.mistake(1+bytes.Count(data[:i], []byte("\n")), "not UTF-8 text")
		return d.errs
	}
	body := d.parse(data)
	if body == nil {
		return d.errs
	}
	if m, ok := body.(ast.MapNode); ok {
		d.mapping("", m)
	} else {
		d.mistake(lineOf(body), "want settings as \"name: value\", not "+describe(body))
	}
	return d.errs
}

// parse returns the file's one document, or nil when it is empty or cannot be read.
func (d *document) parse(data []byte) (body ast.Node) {
	// The parser has had panics on malformed input, and a mistake in a file must end in a message.
	defer func() {
		if r := recover(); r != nil {
			d.mistake(0, "not readable as YAML")
			body = nil
		}
	}()
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		d.syntax(err)
		return nil
	}
	for _, doc := range file.Docs {
		switch {
		case doc.Body == nil || doc.Body.Type() == ast.NullType || doc.Body.Type() == ast.CommentType:
		case body != nil:
			d.mistake(lineOf(doc.Body), "a second document in one file: remove the --- line")
			return nil
		default:
			body = doc.Body
		}
	}
	return body
}

func (d *document) syntax(err error) {
	line, msg := 0, "not readable as YAML"
	var y yaml.Error
	if errors.As(err, &y) {
		// Only the message: the error's own text quotes lines of the file, which may hold a secret.
		msg = "not valid YAML: " + Mask(strings.ToLower(y.GetMessage()))
		if t := y.GetToken(); t != nil && t.Position != nil {
			line = t.Position.Line
		}
	}
	d.mistake(line, msg)
}

func (d *document) mistake(line int, msg string) {
	d.errs = append(d.errs, d.errorAt(line, msg))
}

func (d *document) errorAt(line int, msg string) *Error {
	e := &Error{File: d.path, Line: line, Msg: msg}
	if line > 0 && line <= len(d.lines) {
		e.Source = shorten(maskYAML(strings.TrimRight(d.lines[line-1], " \t\r"), d.table))
	}
	return e
}

// shorten keeps a line from filling the screen.
func shorten(s string) string {
	const most = 160
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

func (d *document) mapping(section string, m ast.MapNode) {
	for it := m.MapRange(); it.Next(); {
		entry := it.KeyValue()
		line := lineOf(entry.Key)
		word, ok := keyText(entry.Key)
		if !ok {
			d.mistake(line, "want the name of a setting, not "+describe(entry.Key))
			continue
		}
		name := word
		if section != "" {
			name = section + "." + word
		}
		k := d.rows[name]
		if k == nil || strings.Contains(word, ".") {
			d.unknown(line, section, word)
			continue
		}
		if first := d.found[name]; first > 0 {
			d.mistake(line, fmt.Sprintf("%s is already set on line %d", name, first))
			continue
		}
		d.found[name] = line
		d.entry(k, line, entry.Value)
	}
}

func (d *document) entry(k *key, line int, n ast.Node) {
	if k.section() {
		switch n := n.(type) {
		case ast.MapNode:
			d.mapping(k.name, n)
		case *ast.NullNode, nil: // all its settings are commented out
		default:
			d.mistake(lineOf(n), fmt.Sprintf("%s is a group of settings, not %s", k.name, describe(n)))
		}
		return
	}
	texts, at, err := k.value.texts(n)
	if err == nil {
		at = line
		if lineOf(n) > line {
			at = lineOf(n)
		}
		err = k.value.put(texts)
	}
	if at == 0 {
		at = line
	}
	if err != nil {
		d.mistake(at, k.name+": "+err.Error())
		return
	}
	k.set, k.via, k.at = true, "", *d.errorAt(line, "")
	k.source = fmt.Sprintf("file %s:%d", d.path, line)
}

// texts turns what stands in the file into the texts that put understands. With an error comes its line.
func (v *value) texts(n ast.Node) ([]string, int, error) {
	if n == nil || n.Type() == ast.NullType {
		return nil, 0, errors.New("has no value; to get the default, remove the line or begin it with #")
	}
	if !v.list {
		s, err := v.text(n)
		return []string{s}, lineOf(n), err
	}
	seq, ok := n.(*ast.SequenceNode)
	if !ok {
		return nil, lineOf(n), fmt.Errorf("want %s, such as [a, b], not %s", v.want, describe(n))
	}
	out := []string{}
	for i, item := range seq.Values {
		if item == nil {
			return nil, lineOf(n), fmt.Errorf("entry %d: %w", i+1, errEmpty)
		}
		s, err := v.item(item)
		if err != nil {
			return nil, lineOf(item), fmt.Errorf("entry %d: %w", i+1, err)
		}
		out = append(out, s)
	}
	return out, 0, nil
}

// item is one of a list.
func (v *value) item(n ast.Node) (string, error) {
	if v.records {
		return record(n)
	}
	return v.text(n)
}

func (v *value) text(n ast.Node) (string, error) {
	s, ok := scalarText(n)
	if ok {
		for _, t := range v.node {
			if n.Type() == t || t == ast.StringType && n.Type() == ast.LiteralType {
				return s, nil
			}
		}
	}
	want := v.want
	if v.list {
		want = "text"
	}
	if ok && v.node[0] == ast.StringType {
		return "", fmt.Errorf("want %s, not %s: put it in quotes", want, describe(n))
	}
	return "", fmt.Errorf("want %s, not %s", want, describe(n))
}

// scalarText is a scalar as it was written, without quotes.
func scalarText(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return n.GetToken().Value, true
	}
	return "", false
}

func keyText(n ast.MapKeyNode) (string, bool) {
	s, ok := n.(*ast.StringNode)
	if !ok {
		return "", false
	}
	return s.Value, true
}

func (d *document) unknown(line int, section, word string) {
	var here, elsewhere []string
	for _, k := range d.table {
		group, own, _ := k.place()
		if group == section {
			here = append(here, own)
		}
		if own == word {
			elsewhere = append(elsewhere, k.name)
		}
	}
	prefix := ""
	if section != "" {
		prefix = section + "."
	}
	msg := fmt.Sprintf("unknown key %q", Mask(prefix+word))
	near := suggest.Nearest(word, here)
	switch {
	case near != "":
		msg += fmt.Sprintf(", did you mean %q?", prefix+near)
	case d.rows[word] != nil: // dotted, as in "backup.jobs: 2"
		group, own, _ := d.rows[word].place()
		msg += fmt.Sprintf(": write %q below %q", own, group)
	case len(elsewhere) > 0:
		msg += fmt.Sprintf(", did you mean %q?", elsewhere[0])
	default:
		msg += ": known here are " + strings.Join(here, ", ")
	}
	d.mistake(line, msg)
}

func lineOf(n ast.Node) int {
	if n == nil {
		return 0
	}
	t := n.GetToken()
	if m, ok := n.(*ast.MappingNode); ok && len(m.Values) > 0 && !m.IsFlowStyle {
		t = m.Values[0].Key.GetToken()
	}
	if t == nil || t.Position == nil {
		return 0
	}
	return t.Position.Line
}

// describe names a node without quoting it: it may hold a secret.
func describe(n ast.Node) string {
	if n == nil {
		return "nothing"
	}
	switch n.Type() {
	case ast.MappingType, ast.MappingValueType:
		return "a group of settings"
	case ast.SequenceType:
		return "a list"
	case ast.IntegerType, ast.FloatType, ast.InfinityType, ast.NanType:
		return "a number"
	case ast.BoolType:
		return "true or false"
	case ast.NullType:
		return "nothing"
	case ast.StringType, ast.LiteralType:
		return "text"
	case ast.AnchorType, ast.AliasType, ast.MergeKeyType:
		return "an anchor or alias"
	case ast.TagType:
		return "a tag"
	}
	return "something else"
}
