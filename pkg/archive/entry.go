package archive

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// Type is what an entry is.
type Type string

// The types. Only the first three are ever stored.
const (
	File    Type = "file"
	Dir     Type = "dir"
	Symlink Type = "symlink"
	FIFO    Type = "fifo"
	Socket  Type = "socket"
	Device  Type = "device"
	Missing Type = "missing" // a path that was named and is not there
)

// The bits of Entry.Mode beyond the permissions.
const (
	setuid = 0o4000
	setgid = 0o2000
	sticky = 0o1000

	allModes = setuid | setgid | sticky | 0o777
)

// Entry is one name of a tree, without its content.
type Entry struct {
	Path   string // relative to the root, clean, raw bytes
	Type   Type
	Size   int64  // of files
	Mode   uint32 // permissions, setuid, setgid, sticky
	UID    int
	GID    int
	User   string // "" where the number has no name
	Group  string
	MTime  int64             // ns since the epoch
	Target string            // of symlinks
	Link   string            // the earlier entry that this file is a hard link to
	Xattrs map[string][]byte // user.*, trusted.*, security.capability, POSIX ACLs
	SHA256 string            // of files: 64 lower-case hex digits
	Named  bool              // somebody named this very path to be packed; not in the stream
	// Problem is why the entry is not in the stream; "" when it is, or when its type never is.
	Problem string
}

// Stored reports whether the stream has the entry.
func (e Entry) Stored() bool {
	return e.Problem == "" && (e.Type == File || e.Type == Dir || e.Type == Symlink)
}

// Same reports whether the stream says of both the same: everything but Named and Problem.
func (e Entry) Same(o Entry) bool {
	return e.Path == o.Path && e.Type == o.Type && e.Size == o.Size && e.Mode == o.Mode && e.UID == o.UID && e.GID == o.GID &&
		e.User == o.User && e.Group == o.Group && e.MTime == o.MTime && e.Target == o.Target && e.Link == o.Link && e.SHA256 == o.SHA256 &&
		maps.EqualFunc(e.Xattrs, o.Xattrs, slices.Equal)
}

// Compare orders paths: a directory, then all that is in it, then the next name. It is the order of the stream and of
// the index.
func Compare(a, b string) int {
	for {
		x, restA, moreA := strings.Cut(a, "/")
		y, restB, moreB := strings.Cut(b, "/")
		switch {
		case x != y:
			return cmp.Compare(x, y)
		case !moreA || !moreB:
			return cmp.Compare(len(a), len(b))
		}
		a, b = restA, restB
	}
}

// Below reports whether path is dir or below it.
func Below(path, dir string) bool {
	rest, found := strings.CutPrefix(path, dir)
	return found && (rest == "" || rest[0] == '/')
}

// Limits bound what a reader takes. A field that is 0 has its default.
type Limits struct {
	Entries   int   // default 100,000
	Bytes     int64 // of the whole stream; default 4 GiB
	Name      int   // bytes of one name; default 4096
	NameBytes int64 // of all names together, which are kept in memory; default 32 MiB
	Depth     int   // elements of one name; default 128
}

func (l Limits) withDefaults() Limits {
	return Limits{
		Entries: cmp.Or(l.Entries, 100_000), Bytes: cmp.Or(l.Bytes, 4<<30), Name: cmp.Or(l.Name, 4096),
		NameBytes: cmp.Or(l.NameBytes, 32<<20), Depth: cmp.Or(l.Depth, 128),
	}
}

// maxElement is the longest name that a directory can hold.
const maxElement = 255

// checkName refuses what is not a clean relative path within the limits.
func (l Limits) checkName(name string) error {
	refuse := func(why Reason) error { return &HostileError{Name: name, Reason: why} }
	switch {
	case len(name) > l.Name:
		return refuse(ReasonLongName)
	case strings.HasPrefix(name, "/"):
		return refuse(ReasonAbsolute)
	case name == "" || strings.ContainsRune(name, 0):
		return refuse(ReasonName)
	}
	depth := 0
	for element := range strings.SplitSeq(name, "/") {
		depth++
		switch {
		case element == "..":
			return refuse(ReasonTraversal)
		case element == "" || element == ".":
			return refuse(ReasonName)
		case len(element) > maxElement:
			return refuse(ReasonLongName)
		case depth > l.Depth:
			return refuse(ReasonDeep)
		}
	}
	return nil
}

// leaves reports whether a symbolic link at path leads out of the root.
func leaves(path, target string) bool {
	if strings.HasPrefix(target, "/") {
		return true
	}
	depth := strings.Count(path, "/")
	for element := range strings.SplitSeq(target, "/") {
		switch element {
		case "", ".":
		case "..":
			if depth--; depth < 0 {
				return true
			}
		default:
			depth++
		}
	}
	return false
}
