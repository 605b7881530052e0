package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bmad-forge/forgectl/pkg/proc"
)

// Tools are the client programs of one PostgreSQL version, in one directory.
type Tools struct {
	Dir     string
	Version Version
}

// Path is the program's path: t.Path("pg_dump").
func (t Tools) Path(program string) string { return filepath.Join(t.Dir, program) }

// ErrNoTools is wrapped by a ToolsError.
var ErrNoTools = errors.New("no fitting PostgreSQL client programs")

// ToolsError says which version was needed and which were found.
type ToolsError struct {
	Program string
	Need    int       // major version, the least that does
	Found   []Version // newest last; empty: none at all
}

func (e *ToolsError) Error() string {
	if len(e.Found) == 0 {
		return fmt.Sprintf("find %s for PostgreSQL %d: none is installed", e.Program, e.Need)
	}
	found := make([]string, len(e.Found))
	for i, v := range e.Found {
		found[i] = v.String()
	}
	return fmt.Sprintf("find %s for PostgreSQL %d: only %s is installed, which is older", e.Program, e.Need, strings.Join(found, ", "))
}

// Is makes errors.Is(err, ErrNoTools) true.
func (e *ToolsError) Is(target error) bool { return target == ErrNoTools }

// ToolFinder looks for client and server programs.
type ToolFinder struct {
	Runner proc.Runner
	// Path is a PATH-like list that is looked through after Debian's
	// directories; pg_config is found through it too.
	Path string
	// Debian is the pattern of version directories; empty: /usr/lib/postgresql/*/bin.
	Debian string
}

// Find returns the tools whose major version is need if installed, else the
// smallest newer: pg_dump refuses a server newer than itself, and a dump made
// by a newer pg_dump may not load into the older server. program must be there.
func (f ToolFinder) Find(ctx context.Context, program string, need int) (Tools, error) {
	all, err := f.All(ctx, program)
	if err != nil {
		return Tools{}, err
	}
	missing := &ToolsError{Program: program, Need: need}
	for _, t := range all { // oldest major first
		if t.Version.Major() >= need {
			return t, nil
		}
		missing.Found = append(missing.Found, t.Version)
	}
	return Tools{}, missing
}

// All returns every directory that holds program, oldest version first.
func (f ToolFinder) All(ctx context.Context, program string) ([]Tools, error) {
	pattern := f.Debian
	if pattern == "" {
		pattern = "/usr/lib/postgresql/*/bin"
	}
	dirs, err := filepath.Glob(pattern)
	if err != nil {
		return nil, fmt.Errorf("find %s: %w", program, err)
	}
	if dir := f.configDir(ctx); dir != "" {
		dirs = append(dirs, dir)
	}
	dirs = append(dirs, filepath.SplitList(f.Path)...)
	var found []Tools
	seen := map[string]bool{}
	for _, dir := range dirs {
		if !filepath.IsAbs(dir) {
			continue // what runs must not depend on the current directory
		}
		path, err := filepath.EvalSymlinks(filepath.Join(dir, program))
		// Debian's /usr/bin/pg_dump is a wrapper that picks a version by the
		// cluster; the real ones were found above.
		if err != nil || seen[path] || filepath.Base(path) == "pg_wrapper" {
			continue
		}
		seen[path] = true
		if info, err := os.Stat(path); err != nil || info.IsDir() || info.Mode()&0o111 == 0 {
			continue
		}
		version, err := f.version(ctx, path)
		if err != nil {
			continue // cannot be run: as good as absent
		}
		found = append(found, Tools{Dir: dir, Version: version})
	}
	if cause := context.Cause(ctx); cause != nil {
		return nil, cause
	}
	slices.SortStableFunc(found, func(a, b Tools) int { return a.Version.Major() - b.Version.Major() })
	return found, nil
}

func (f ToolFinder) version(ctx context.Context, path string) (Version, error) {
	out, err := proc.Output(ctx, f.Runner, proc.Cmd{Path: path, Args: []string{"--version"}})
	if err != nil {
		return 0, err
	}
	return ParseVersion(string(out))
}

func (f ToolFinder) configDir(ctx context.Context) string {
	for _, dir := range filepath.SplitList(f.Path) {
		path := filepath.Join(dir, "pg_config")
		if _, err := os.Stat(path); err != nil || !filepath.IsAbs(dir) {
			continue
		}
		out, err := proc.Output(ctx, f.Runner, proc.Cmd{Path: path, Args: []string{"--bindir"}})
		if err == nil {
			return string(bytes.TrimSpace(out))
		}
	}
	return ""
}
