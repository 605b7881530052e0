package media

import (
	"errors"
	"testing"
)

// Promise: patterns mean what gitignore(5) says they mean.
func TestPatterns(t *testing.T) {
	for _, c := range []struct {
		pattern  string
		match    []string // "/" at the end: a directory
		noMatch  []string
		moreRule string
	}{
		{pattern: "*.tmp", match: []string{"a.tmp", "d/a.tmp", ".tmp", "d/e/\xff.tmp"}, noMatch: []string{"a.tmpx", "tmp"}},
		{pattern: "cache", match: []string{"cache", "cache/", "a/cache"}, noMatch: []string{"cached", "a/cache2"}},
		{pattern: "cache/", match: []string{"cache/", "a/cache/"}, noMatch: []string{"cache", "a/cache"}},
		{pattern: "/cache", match: []string{"cache", "cache/"}, noMatch: []string{"a/cache"}},
		{pattern: "a/b", match: []string{"a/b"}, noMatch: []string{"x/a/b", "a/x/b"}},
		{pattern: "a/*", match: []string{"a/b", "a/.x"}, noMatch: []string{"a", "a/b/c"}},
		{pattern: "a/**", match: []string{"a/b", "a/b/c"}, noMatch: []string{"a", "b"}},
		{pattern: "**/b", match: []string{"b", "a/b", "a/a/b"}, noMatch: []string{"bb"}},
		{pattern: "a/**/b", match: []string{"a/b", "a/x/b", "a/x/y/b"}, noMatch: []string{"b", "a/xb"}},
		{pattern: "[!a]?", match: []string{"bc", "x/zz"}, noMatch: []string{"ab", "b"}},
		{pattern: `\#x`, match: []string{"#x"}},
		{pattern: `\!x`, match: []string{"!x"}},
		{pattern: "# x", noMatch: []string{"# x", "x"}},
		{pattern: "  ", noMatch: []string{" "}},
		{pattern: "x  ", match: []string{"x"}},
		{pattern: "*", moreRule: "!keep", match: []string{"x", "d/"}, noMatch: []string{"keep", "d/keep"}},
	} {
		p, err := ParsePatterns([]string{c.pattern, c.moreRule})
		if err != nil {
			t.Fatal(err)
		}
		check := func(paths []string, want bool) {
			for _, path := range paths {
				dir := path[len(path)-1] == '/'
				if dir {
					path = path[:len(path)-1]
				}
				if p.Excludes(path, dir) != want {
					t.Errorf("%q, %q: not %v", c.pattern, path, want)
				}
			}
		}
		check(c.match, true)
		check(c.noMatch, false)
	}
	for _, bad := range []string{"[a", "/", "a//b", "../x", "!"} {
		if _, err := ParsePatterns([]string{bad}); !errors.Is(err, ErrPattern) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
