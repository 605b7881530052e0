package config

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/bmad-forge/forgectl/pkg/suggest"
	"github.com/bmad-forge/forgectl/pkg/window"
)

// key is one row of the table: a setting, or (without a value) a section that only groups others.
type key struct {
	name   string // dotted
	doc    string
	def    string // the default, as an environment variable would say it
	env    []variable
	value  *value
	secret bool // the files that it names hold secrets
	later  bool // nothing uses it yet, which an operator is told
	sealed bool // set but empty is a mistake, because it would silently write backups in the clear

	source string // where the value came from, in the words of Value.Source
	via    string // the environment variable or flag that set it
	set    bool   // by somebody, rather than by default
	at     Error  // the place that set it, to build an error about it from
}

// variable is an environment variable that other programs know too. Empty counts as not set.
type variable struct {
	name    string
	convert func(string) (string, error) // nil: taken as it is
}

func (k *key) section() bool { return k.value == nil }

// explain is the doc, with the warning that there is nothing behind the setting yet.
func (k *key) explain() string {
	if k.later {
		return k.doc + " (Not used by this release yet.)"
	}
	return k.doc
}

// ownVariable is the variable that sets this key and is forgectl's own.
func (k *key) ownVariable() string {
	return "FORGECTL_" + strings.ToUpper(strings.ReplaceAll(k.name, ".", "_"))
}

// variables lists the names of the environment variables of a key, strongest first.
func (k *key) variables() []string {
	names := []string{k.ownVariable()}
	for _, v := range k.env {
		names = append(names, v.name)
	}
	return names
}

// value ties a row to its field: how text becomes the field, and the field text.
type value struct {
	want    string         // what is accepted, for messages and for the reference
	node    []ast.NodeType // the YAML scalars that may stand for it
	list    bool
	records bool                  // each of the list is a group of settings
	split   func(string) []string // a list out of one text
	url     bool                  // it may hold a password
	path    bool                  // relative ones from a flag are taken from the working directory
	put     func([]string) error  // exactly one text unless list
	get     func() []string
}

// setText sets the field from the one text that an environment variable, a flag or a default is.
func (v *value) setText(s string) error {
	if v.list {
		return v.put(v.split(s))
	}
	return v.put([]string{s})
}

// yaml renders the field as one would write it in the file.
func (v *value) yaml() string {
	out := make([]string, 0, 1)
	for _, s := range v.get() {
		if v.node[0] == ast.StringType && !v.records {
			s = quoteYAML(s)
		}
		out = append(out, s)
	}
	if v.list {
		return "[" + strings.Join(out, ", ") + "]"
	}
	return out[0]
}

// printable renders the field for people: like yaml, but a single text stands bare.
func (v *value) printable() string {
	if v.list {
		return v.yaml()
	}
	return v.get()[0]
}

func scalar(want string, node ast.NodeType, put func(string) error, get func() string) *value {
	return &value{
		want: want,
		node: []ast.NodeType{node},
		put:  func(s []string) error { return put(s[0]) },
		get:  func() []string { return []string{get()} },
	}
}

var (
	errEmpty    = errors.New("must not be empty")
	errRelative = errors.New("must be an absolute path")
)

// text is one line that must not be empty.
func text(p *string) *value {
	return scalar("text", ast.StringType, func(s string) error {
		if s == "" {
			return errEmpty
		}
		return setLine(p, s)
	}, func() string { return *p })
}

// optional is text that may be empty.
func optional(p *string) *value {
	v := text(p)
	v.put = func(s []string) error { return setLine(p, s[0]) }
	return v
}

// command is a shell command: unlike text it may have several lines.
func command(p *string) *value {
	v := optional(p)
	v.want = "a shell command"
	v.put = func(s []string) error {
		if strings.ContainsRune(s[0], 0) {
			return errors.New("must not contain a NUL byte")
		}
		*p = strings.TrimSpace(s[0])
		return nil
	}
	return v
}

func setLine(p *string, s string) error {
	if strings.ContainsAny(s, "\x00\n\r") {
		return errors.New("must be a single line")
	}
	*p = s
	return nil
}

func enum(p *string, known ...string) *value {
	want := strings.Join(known[:len(known)-1], ", ") + " or " + known[len(known)-1]
	return scalar(want, ast.StringType, func(s string) error {
		for _, k := range known {
			if s == k {
				*p = s
				return nil
			}
		}
		if near := suggest.Nearest(s, known); near != "" {
			return fmt.Errorf("unknown value %q, did you mean %q? known are %s", Mask(s), near, strings.Join(known, ", "))
		}
		return fmt.Errorf("unknown value %q: want %s", Mask(s), want)
	}, func() string { return *p })
}

func toggle(p *bool) *value {
	return scalar("true or false", ast.BoolType, func(s string) error {
		switch s {
		case "true":
			*p = true
		case "false":
			*p = false
		default:
			return fmt.Errorf("want true or false, not %q", Mask(s))
		}
		return nil
	}, func() string { return strconv.FormatBool(*p) })
}

func number(p *int, low, high int) *value {
	want := fmt.Sprintf("a whole number from %d to %d", low, high)
	return scalar(want, ast.IntegerType, func(s string) error {
		n, err := strconv.Atoi(s)
		if err != nil || n < low || n > high || s != strconv.Itoa(n) {
			return fmt.Errorf("want %s, not %q", want, Mask(s))
		}
		*p = n
		return nil
	}, func() string { return strconv.Itoa(*p) })
}

// percent is a share that may be switched off. Like "off", 0 is none.
func percent(p *int) *value {
	const want = "a percentage from 1 % to 99 %, or off"
	v := scalar(want, ast.StringType, func(s string) error {
		if s == "off" {
			*p = 0
			return nil
		}
		digits := strings.TrimSpace(strings.TrimSuffix(s, "%"))
		n, err := strconv.Atoi(digits)
		if err != nil || n < 0 || n > 99 || digits != strconv.Itoa(n) {
			return fmt.Errorf("want %s, not %q", want, Mask(s))
		}
		*p = n
		return nil
	}, func() string {
		if *p == 0 {
			return "off"
		}
		return strconv.Itoa(*p) + "%"
	})
	v.node = append(v.node, ast.IntegerType)
	return v
}

// optionalDuration is a duration that nobody has to name: 0 is none.
func optionalDuration(p *time.Duration) *value {
	v := duration(p, 0)
	put := v.put
	v.put = func(s []string) error {
		if s[0] == "" {
			*p = 0
			return nil
		}
		return put(s)
	}
	v.get = func() []string {
		if *p == 0 {
			return []string{""}
		}
		return []string{formatDuration(*p)}
	}
	return v
}

// size is a number of bytes.
func size(p *int64) *value {
	v := scalar("a size such as 512kB, 256MB or 2GB", ast.StringType, func(s string) error {
		n, err := ParseSize(s)
		if err != nil {
			return err
		}
		*p = n
		return nil
	}, func() string { return formatSize(*p) })
	v.node = append(v.node, ast.IntegerType) // 0 and plain bytes
	return v
}

func duration(p *time.Duration, low time.Duration) *value {
	v := scalar("a duration such as 30s, 5m, 12h, 30d or 2w", ast.StringType, func(s string) error {
		d, err := ParseDuration(s)
		if err != nil {
			return err
		}
		if d < low {
			return fmt.Errorf("must be at least %s, not %q", formatDuration(low), s)
		}
		*p = d
		return nil
	}, func() string { return formatDuration(*p) })
	// YAML calls a bare number an integer. It is let in so that the message can speak of the missing unit.
	v.node = append(v.node, ast.IntegerType)
	return v
}

// spans is a span of time that comes again, or none.
func spans(p *string) *value {
	return scalar(`five fields of cron and a length, such as "0 2 * * 0 4h"`, ast.StringType, func(s string) error {
		w, err := window.Parse(s)
		if err != nil {
			return err
		}
		*p = w.String()
		return nil
	}, func() string { return *p })
}

// absolute sets a path, which must not depend on where forgectl happens to be started: cron starts it in $HOME.
func absolute(p *string, s, home string) error {
	if rest, ok := strings.CutPrefix(s, "~/"); ok && home != "" {
		s = filepath.Join(home, rest)
	}
	if !filepath.IsAbs(s) {
		return errRelative // without the text: it may be a password where the name of its file should be
	}
	return setLine(p, filepath.Clean(s))
}

func path(p *string, home string) *value {
	v := scalar("an absolute path", ast.StringType, func(s string) error {
		if s == "" {
			return errEmpty
		}
		return absolute(p, s, home)
	}, func() string { return *p })
	v.path = true
	return v
}

func optionalPath(p *string, home string) *value {
	v := path(p, home)
	v.put = func(s []string) error {
		if s[0] == "" {
			*p = ""
			return nil
		}
		return absolute(p, s[0], home)
	}
	return v
}

func list(p *[]string, want string, split func(string) []string, each func(*string, string) error) *value {
	return &value{
		want:  want,
		node:  []ast.NodeType{ast.StringType},
		list:  true,
		split: split,
		put: func(in []string) error {
			out := make([]string, len(in))
			for i, s := range in {
				if strings.TrimSpace(s) == "" {
					return fmt.Errorf("entry %d: %w", i+1, errEmpty)
				}
				if err := each(&out[i], s); err != nil {
					return fmt.Errorf("entry %d: %w", i+1, err)
				}
			}
			*p = out
			return nil
		},
		get: func() []string { return *p },
	}
}

func words(p *[]string) *value { return list(p, "a list of text", splitWords, setLine) }

// columns are columns of a database. A dot in a name cannot be written.
func columns(p *[]string) *value {
	return list(p, "a list of columns, each as table.column", splitWords, func(p *string, s string) error {
		parts := strings.Split(s, ".")
		if len(parts) < 2 || len(parts) > 3 || slices.Contains(parts, "") {
			return fmt.Errorf("%q is neither table.column nor schema.table.column", s)
		}
		return setLine(p, s)
	})
}

func paths(p *[]string, home string) *value {
	v := list(p, "a list of absolute paths", splitWords, func(p *string, s string) error { return absolute(p, s, home) })
	v.path = true
	return v
}

func commands(p *[]string) *value {
	return list(p, "a list of shell commands", splitLines, func(p *string, s string) error { return command(p).setText(s) })
}
