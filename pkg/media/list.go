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
