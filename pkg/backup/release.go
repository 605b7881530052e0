package backup

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// Release is which version of the application was live. Empty fields are unknown.
type Release struct {
	Dir      string // where <root>/current pointed
	Revision string // git commit
}

// String is for messages.
func (r Release) String() string {
	switch {
	case r == Release{}:
		return "an unknown one"
	case r.Revision == "":
		return r.Dir
	}
	return r.Dir + " at " + r.Revision[:12]
}

// FindRelease looks at an application directory: the Capistrano layout's
// current link, the REVISION file that its deployments write, or a git
// checkout. It runs nothing and never fails: these are facts for the manifest.
func FindRelease(root string) Release {
	if root == "" {
		return Release{}
	}
	dir, err := filepath.EvalSymlinks(filepath.Join(root, "current"))
	if err != nil {
		dir = root
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return Release{}
	}
	r := Release{Dir: dir}
	if b, err := os.ReadFile(filepath.Join(dir, "REVISION")); err == nil {
		r.Revision = commit(string(b))
	}
	if r.Revision == "" {
		r.Revision = gitHead(filepath.Join(dir, ".git"))
	}
	return r
}

var commitPattern = regexp.MustCompile(`^[0-9a-f]{40}([0-9a-f]{24})?$`)

func commit(s string) string {
	if s = strings.TrimSpace(s); commitPattern.MatchString(s) {
		return s
	}
	return ""
}

// gitHead resolves HEAD one step: detached, a loose ref or a packed one.
func gitHead(git string) string {
	b, err := os.ReadFile(filepath.Join(git, "HEAD"))
	if err != nil {
		return ""
	}
	ref, symbolic := strings.CutPrefix(strings.TrimSpace(string(b)), "ref: ")
	if !symbolic {
		return commit(string(b))
	}
	if !filepath.IsLocal(ref) {
		return ""
	}
	if b, err := os.ReadFile(filepath.Join(git, ref)); err == nil {
		return commit(string(b))
	}
	packed, err := os.ReadFile(filepath.Join(git, "packed-refs"))
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(packed)) {
		if hash, name, ok := strings.Cut(strings.TrimSpace(line), " "); ok && name == ref {
			return commit(hash)
		}
	}
	return ""
}
