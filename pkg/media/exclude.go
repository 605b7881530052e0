package media

import (
	"errors"
	"fmt"
	"path"
	"strings"
)

// ErrPattern means that a pattern is none.
var ErrPattern = errors.New("malformed exclude pattern")

// Patterns say what is left out, as .gitignore files do. The zero value leaves out nothing.
type Patterns struct {
	rules []rule
}

type rule struct {
	elems    []string // one for each element of a path; "**" is any number
	keep     bool     // "!": what an earlier pattern left out is taken after all
	dirsOnly bool
}

// ParsePatterns reads patterns in the manner of gitignore(5): "*.tmp" and "cache" match at any depth; a pattern with a
// slash at its beginning or in its middle starts at the root; with one at its end it matches directories only; "**" is
// any number of directories; "!" takes something back, though not from below a directory that is left out; the last
// pattern that matches counts. Empty ones and comments ("#") are skipped.
func ParsePatterns(patterns []string) (Patterns, error) {
	var p Patterns
	for _, text := range patterns {
		r, ok, err := parseRule(text)
		if err != nil {
			return Patterns{}, fmt.Errorf("%w %q: %w", ErrPattern, text, err)
		}
		if ok {
			p.rules = append(p.rules, r)
		}
	}
	return p, nil
}

func parseRule(text string) (r rule, ok bool, _ error) {
	if trimmed := strings.TrimRight(text, " \t"); !strings.HasSuffix(trimmed, `\`) {
		text = trimmed
	}
	if text == "" || text[0] == '#' {
		return r, false, nil
	}
	text, r.keep = strings.CutPrefix(text, "!")
	text, r.dirsOnly = strings.CutSuffix(text, "/")
	anchored := strings.Contains(text, "/")
	text = strings.TrimPrefix(text, "/")
	if text == "" {
		return r, false, errors.New("it would match everything, or nothing")
	}
	if !anchored {
		r.elems = []string{"**"}
	}
	for elem := range strings.SplitSeq(text, "/") {
		elem = strings.ReplaceAll(elem, "[!", "[^") // the same in another spelling
		if _, err := path.Match(elem, ""); err != nil {
			return r, false, err
		}
		if elem == "" || elem == "." || elem == ".." {
			return r, false, fmt.Errorf("%q is no element of a path", elem)
		}
		r.elems = append(r.elems, elem)
	}
	return r, true, nil
}

// Excludes reports whether the path, whose directory is not left out, is.
func (p Patterns) Excludes(path string, dir bool) bool {
	for i := len(p.rules) - 1; i >= 0; i-- {
		r := &p.rules[i]
		if (dir || !r.dirsOnly) && matchElems(r.elems, path) {
			return !r.keep
		}
	}
	return false
}

// matchElems matches a path, element by element; "" is none left.
func matchElems(elems []string, rest string) bool {
	for len(elems) > 0 {
		if elems[0] != "**" {
			elem, after, _ := strings.Cut(rest, "/")
			if rest == "" {
				return false
			}
			if ok, _ := path.Match(elems[0], elem); !ok {
				return false
			}
			elems, rest = elems[1:], after
			continue
		}
		elems = elems[1:]
		if len(elems) == 0 {
			return rest != "" // everything inside
		}
		for {
			if matchElems(elems, rest) {
				return true
			}
			i := strings.IndexByte(rest, '/')
			if i < 0 {
				return false
			}
			rest = rest[i+1:]
		}
	}
	return rest == ""
}
