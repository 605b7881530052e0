package backup

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
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
	r.Revision = commit(content(filepath.Join(dir, "REVISION")))
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

// largest is what is read of a file: more than packed references of any checkout.
const largest = 16 << 20

// content is that of a regular file, "" of everything else: whoever deploys the
// application is not to hold up its backups with a pipe, or a device without end.
func content(path string) string {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return ""
	}
	defer func() { _ = file.Close() }()
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return ""
	}
	b, err := io.ReadAll(io.LimitReader(file, largest))
	if err != nil {
		return ""
	}
	return string(b)
}

// gitHead resolves HEAD one step: detached, a loose ref or a packed one.
func gitHead(git string) string {
	head := strings.TrimSpace(content(filepath.Join(git, "HEAD")))
	ref, symbolic := strings.CutPrefix(head, "ref: ")
	if !symbolic {
		return commit(head)
	}
	if !filepath.IsLocal(ref) {
		return ""
	}
	if loose := content(filepath.Join(git, ref)); loose != "" {
		return commit(loose)
	}
	for line := range strings.Lines(content(filepath.Join(git, "packed-refs"))) {
		if hash, name, ok := strings.Cut(strings.TrimSpace(line), " "); ok && name == ref {
			return commit(hash)
		}
	}
	return ""
}
