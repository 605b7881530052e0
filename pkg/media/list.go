package media

import (
	"bytes"
	"encoding/binary"
	"slices"

	"golang.org/x/sys/unix"
)

// listing is the names in a directory, sorted. A directory may have a million: names lie in one piece of memory.
type listing struct {
	names []byte
	items []item
}

type item struct {
	offset uint32
	length uint16
	kind   uint8 // unix.DT_…
}

func (l *listing) len() int           { return len(l.items) }
func (l *listing) bytes(i int) []byte { return l.names[l.items[i].offset:][:l.items[i].length] }
func (l *listing) name(i int) string  { return string(l.bytes(i)) }

// listBuffer is as much as the kernel writes at once.
const listBuffer = 256 << 10

// list reads the open directory. buf is for the kernel.
func list(fd int, buf []byte) (*listing, error) {
	l := &listing{}
	for {
		n, err := retry(func() (int, error) { return unix.Getdents(fd, buf) })
		if err != nil {
			return nil, err
		}
		if n == 0 {
			break
		}
		l.add(buf[:n])
	}
	slices.SortFunc(l.items, func(a, b item) int {
		return bytes.Compare(l.names[a.offset:][:a.length], l.names[b.offset:][:b.length])
	})
	// A directory that changes while it is read may give a name twice.
	l.items = slices.CompactFunc(l.items, func(a, b item) bool {
		return bytes.Equal(l.names[a.offset:][:a.length], l.names[b.offset:][:b.length])
	})
	return l, nil
}

// add parses struct linux_dirent64: inode and offset (8 bytes each), length of the record (2), type (1), name and NUL.
func (l *listing) add(records []byte) {
	const header = 19
	for len(records) > header {
		length := int(binary.NativeEndian.Uint16(records[16:]))
		name := records[header:length]
		if i := bytes.IndexByte(name, 0); i >= 0 {
			name = name[:i]
		}
		if s := string(name); s != "." && s != ".." {
			l.items = append(l.items, item{uint32(len(l.names)), uint16(len(name)), records[18]})
			l.names = append(l.names, name...)
		}
		records = records[length:]
	}
}

// walkBelow calls visit for everything below a directory of a tree, the directory itself excepted. Links are not
// followed. For each level one descriptor is open, and the names in it are held.
func walkBelow(dir int, path string, buf []byte, visit func(path string, st *unix.Stat_t) error) error {
	again, err := openBeneath(dir, ".") // a descriptor has one place where it is read
	if err != nil {
		return onPath("read", path, err)
	}
	defer func() { _ = unix.Close(again) }()
	names, err := list(again, buf)
	if err != nil {
		return onPath("read", path, err)
	}
	for i := range names.len() {
		name := names.name(i)
		if err := walkFrom(again, name, Join(path, name), buf, visit); err != nil {
			return err
		}
	}
	return nil
}

// walkFrom is walkBelow for what has a name in an open directory, itself included. What is not there is passed over.
func walkFrom(dir int, name, path string, buf []byte, visit func(path string, st *unix.Stat_t) error) error {
	var st unix.Stat_t
	if err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		if gone(err) {
			return nil // it went while we looked
		}
		return onPath("stat", path, err)
	}
	if err := visit(path, &st); err != nil || kindOf(st.Mode) != Dir {
		return err
	}
	below, err := openBeneath(dir, name)
	if err != nil {
		return onPath("read", path, err)
	}
	defer func() { _ = unix.Close(below) }()
	return walkBelow(below, path, buf, visit)
}
