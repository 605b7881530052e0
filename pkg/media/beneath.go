package media

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// beneath reaches what lies below one directory, name by name, and never through a symbolic link: a path that
// leads elsewhere by now is an error and not another file. It keeps the directory that it was in, since entries
// come in order. It is used by one goroutine.
type beneath struct {
	root int
	path string // of dir; "." is the root
	dir  int    // open, or root itself
}

// openRoot opens the directory that a tree begins with, which must be no link.
func openRoot(path string) (int, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open %s: %w", path, err)
	}
	return fd, nil
}

func newBeneath(root int) *beneath { return &beneath{root: root, path: ".", dir: root} }

// Close closes what is open besides the root.
func (b *beneath) Close() {
	if b.dir != b.root {
		_ = unix.Close(b.dir)
	}
	b.dir, b.path = b.root, "."
}

// at is the directory that path lies in, and its name there. Both belong to b until the next call.
func (b *beneath) at(path string) (dir int, base string, err error) {
	parent, base := ".", path
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		parent, base = path[:i], path[i+1:]
	}
	if parent == b.path {
		return b.dir, base, nil
	}
	rest, inside := strings.CutPrefix(parent, b.path+"/")
	if !inside {
		b.Close()
		if rest = parent; parent == "." {
			return b.dir, base, nil
		}
	}
	for name := range strings.SplitSeq(rest, "/") {
		fd, err := unix.Openat(b.dir, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			b.Close()
			return -1, "", err
		}
		if b.dir != b.root {
			_ = unix.Close(b.dir)
		}
		b.dir = fd
	}
	b.path = parent
	return b.dir, base, nil
}

// absent reports whether an error says that there is nothing at a path, or no way to it.
func absent(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP)
}

// named is a path that the system understands for what has that name in an open directory, for the calls that
// know of no directories. The last name is not followed by those that begin with l.
func named(dir int, base string) string { return fmt.Sprintf("/proc/self/fd/%d/%s", dir, base) }

// walkBelow calls visit for everything below an open directory, the directory itself excepted. Links are not
// followed. One descriptor is open for each level.
func walkBelow(dir int, prefix string, visit func(path string, st *unix.Stat_t) error) error {
	copied, err := unix.Openat(dir, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("read directory %s: %w", orRoot(prefix), err)
	}
	f := os.NewFile(uintptr(copied), orRoot(prefix))
	defer f.Close()
	for {
		names, err := f.Readdirnames(1024)
		if len(names) == 0 {
			if err != nil && err.Error() != "EOF" {
				return fmt.Errorf("read directory %s: %w", orRoot(prefix), plainCause(err))
			}
			return nil
		}
		for _, name := range names {
			if err := walkOne(copied, prefix, name, visit); err != nil {
				return err
			}
		}
	}
}

func walkOne(dir int, prefix, name string, visit func(path string, st *unix.Stat_t) error) error {
	path := name
	if prefix != "" {
		path = prefix + "/" + name
	}
	var st unix.Stat_t
	if err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		if absent(err) {
			return nil // it went while we looked
		}
		return fmt.Errorf("look at %s: %w", path, err)
	}
	if err := visit(path, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return err
	}
	below, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("read directory %s: %w", path, err)
	}
	defer func() { _ = unix.Close(below) }()
	return walkBelow(below, path, visit)
}

func orRoot(path string) string {
	if path == "" {
		return "."
	}
	return path
}

// plainCause is what the system said, without a path that has been named.
func plainCause(err error) error {
	var errno unix.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return err
}
