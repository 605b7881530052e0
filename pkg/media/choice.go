package media

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

// ErrPath means that a path cannot be one inside a tree.
var ErrPath = errors.New("not a path inside the media directory")

// Choice is a part of a tree: some paths with everything below them. The zero value is the whole tree.
type Choice struct {
	paths []string // sorted; none lies below another
}

// NewChoice chooses paths, which are relative to the root. No path, or the root, is the whole tree.
func NewChoice(paths []string) (Choice, error) {
	var c Choice
	for _, p := range paths {
		clean := path.Clean(p)
		if p == "" || strings.HasPrefix(p, "/") || clean == ".." || strings.HasPrefix(clean, "../") || strings.ContainsRune(p, 0) {
			return c, fmt.Errorf("%q: %w", p, ErrPath)
		}
		if clean == "." {
			return Choice{}, nil
		}
		c.paths = append(c.paths, clean)
	}
	slices.Sort(c.paths)
	c.paths = slices.Compact(c.paths)
	all := slices.Clone(c.paths)
	c.paths = slices.DeleteFunc(c.paths, func(p string) bool {
		return slices.ContainsFunc(all, func(q string) bool { return p != q && Below(q, p) })
	})
	return c, nil
}

// Whole reports whether everything is chosen.
func (c Choice) Whole() bool { return len(c.paths) == 0 }

// Paths are the chosen paths, sorted; none for the whole tree.
func (c Choice) Paths() []string { return slices.Clone(c.paths) }

// Has reports whether a path is chosen, by itself or with a directory above it.
func (c Choice) Has(p string) bool {
	return c.Whole() || slices.ContainsFunc(c.paths, func(q string) bool { return Below(q, p) })
}

// leads reports whether a path is a directory above a chosen one.
func (c Choice) leads(p string) bool {
	return slices.ContainsFunc(c.paths, func(q string) bool { return p != q && Below(p, q) })
}
