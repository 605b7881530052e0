package media

import (
	"errors"
	"fmt"
	"strings"
)

// Type is what an entry is.
type Type string

// The types. What is none of these cannot be in a tree.
const (
	File    Type = "file"
	Dir     Type = "dir"
	Symlink Type = "symlink"
	FIFO    Type = "fifo"   // listed, not copied
	Socket  Type = "socket" // listed, not copied
	Device  Type = "device" // listed, not copied
)

// Copied reports whether a snapshot's tree has an object for the entry.
func (t Type) Copied() bool { return t == File || t == Dir || t == Symlink }

// Extent is a run of data in a sparse file; between extents there are holes.
type Extent struct {
	Offset, Length int64
}

// Entry is one object of a tree.
type Entry struct {
	Path         string // relative to the root, raw bytes; "." is the root itself
	Type         Type
	Size         int64  // bytes; of files
	Mode         uint32 // permissions, setuid, setgid and sticky bits: 0o7777 at most
	UID, GID     uint32
	MTime, CTime int64 // nanoseconds since the epoch
	// Dev and Inode are those of the source. Files with the same pair, and Links > 1, are hard links of each other.
	Dev, Inode uint64
	Links      uint64
	Target     string            // of symbolic links, raw bytes
	Xattrs     map[string][]byte // nil: none
	Unkept     []string          // of the attributes: those that the snapshot's own tree could not be given
	Extents    []Extent          // nil: not sparse. A file that is one hole has an empty list
	SHA256     string            // of files: 64 lower-case hex digits
	// Fresh is a file that had changed so shortly before it was read that the clock of its file system might not show a
	// change after that. Later snapshots do not rely on its times.
	Fresh bool
}

// Root is the path of the root itself.
const Root = "."

// Compare orders paths as a walk meets them: the root, then element by element as bytes. So a directory comes before
// what is in it, and all that is in it comes before the directory's next neighbour: "/" sorts before every other byte.
func Compare(a, b string) int {
	switch {
	case a == b:
		return 0
	case a == Root:
		return -1
	case b == Root:
		return 1
	}
	n := min(len(a), len(b))
	i := 0
	for i < n && a[i] == b[i] {
		i++
	}
	switch {
	case i == len(a):
		return -1
	case i == len(b):
		return 1
	case a[i] == '/':
		return -1
	case b[i] == '/':
		return 1
	case a[i] < b[i]:
		return -1
	}
	return 1
}

// Below reports whether path is dir or lies in it.
func Below(dir, path string) bool {
	return dir == Root || path == dir || len(path) > len(dir) && path[len(dir)] == '/' && path[:len(dir)] == dir
}

// Split is the directory that a path lies in, and its last element. The root lies in nothing.
func Split(path string) (dir, name string) {
	if path == Root {
		return "", Root
	}
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		return path[:i], path[i+1:]
	}
	return Root, path
}

// Join is the path of what has a name in a directory.
func Join(dir, name string) string {
	if dir == Root {
		return name
	}
	return dir + "/" + name
}

// Bounds of what an index may say. Linux has lower ones for names and targets.
const (
	maxPath   = 1 << 16
	maxTarget = 1 << 16
	maxXattrs = 1 << 20 // names and values of one entry
	maxLine   = 16 << 20
)

var errEntry = errors.New("malformed entry")

// checkPath accepts paths that lead nowhere but down: clean, relative, without "..".
func checkPath(path string) error {
	if path == Root {
		return nil
	}
	if path == "" || len(path) > maxPath || strings.IndexByte(path, 0) >= 0 {
		return fmt.Errorf("%w: path %.100q", errEntry, path)
	}
	for start := 0; start <= len(path); {
		end := strings.IndexByte(path[start:], '/')
		if end < 0 {
			end = len(path) - start
		}
		switch elem := path[start : start+end]; elem {
		case "", ".", "..":
			return fmt.Errorf("%w: path %.100q", errEntry, path)
		}
		start += end + 1
	}
	return nil
}

// Validate reports whether the entry is one that an index may hold.
func (e *Entry) Validate() error {
	if err := checkPath(e.Path); err != nil {
		return err
	}
	bad := func(what string) error { return fmt.Errorf("%w: %.100q: %s", errEntry, e.Path, what) }
	switch e.Type {
	case File, Dir, Symlink, FIFO, Socket, Device:
	default:
		return bad(fmt.Sprintf("type %.20q", string(e.Type)))
	}
	switch {
	case e.Path == Root && e.Type != Dir:
		return bad("the root is no directory")
	case e.Mode > 0o7777:
		return bad("mode")
	case e.Size < 0 || e.Size > 0 && e.Type != File:
		return bad("size")
	case (e.Type == File) != (len(e.SHA256) == 64) || !lowerHex(e.SHA256):
		return bad("sha256")
	case (e.Type == Symlink) != (e.Target != "") || len(e.Target) > maxTarget || strings.IndexByte(e.Target, 0) >= 0:
		return bad("target")
	case e.Extents != nil && e.Type != File:
		return bad("extents")
	case e.Fresh && e.Type != File:
		return bad("fresh")
	}
	var end int64
	for _, x := range e.Extents {
		if x.Offset < end || x.Length <= 0 || x.Length > e.Size || x.Offset > e.Size-x.Length {
			return bad("extents")
		}
		end = x.Offset + x.Length
	}
	total := 0
	for name, value := range e.Xattrs {
		total += len(name) + len(value)
		if name == "" || strings.IndexByte(name, 0) >= 0 {
			return bad("extended attributes")
		}
	}
	if total > maxXattrs {
		return bad("extended attributes")
	}
	for _, name := range e.Unkept {
		if _, there := e.Xattrs[name]; !there {
			return bad("an attribute that is not kept is none of its attributes")
		}
	}
	return nil
}

func lowerHex(s string) bool {
	var wrong uint64
	for i := range len(s) { // without a branch for each digit: a million hashes are looked at twice
		c := s[i]
		wrong |= (9 - uint64(c-'0')) & (5 - uint64(c-'a')) // the highest bit, of what is below 0 in both
	}
	return wrong>>63 == 0
}
