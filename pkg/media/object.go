package media

import (
	"errors"
	"strconv"

	"golang.org/x/sys/unix"
)

// object is something in a tree whose metadata are read or set: a file or directory that is open, or a name in an open
// directory, which is not followed when it is a link.
type object struct {
	fd   int // of the object itself; -1: it is known by its name
	dir  int
	name string // in dir
}

// opened is a file that is open, and has that name.
func opened(fd, dir int, name string) object { return object{fd, dir, name} }

// openedDir is a directory that is open.
func openedDir(fd int) object { return object{fd, fd, "."} }

func named(dir int, name string) object { return object{fd: -1, dir: dir, name: name} }

// path leads there for calls that know of no directories, and do not follow its last name.
func (o object) path() string { return "/proc/self/fd/" + strconv.Itoa(o.dir) + "/" + o.name }

// kindOf is what a mode of the kernel says; "" is nothing that a tree can hold.
func kindOf(mode uint32) Type {
	switch mode & unix.S_IFMT {
	case unix.S_IFREG:
		return File
	case unix.S_IFDIR:
		return Dir
	case unix.S_IFLNK:
		return Symlink
	case unix.S_IFIFO:
		return FIFO
	case unix.S_IFSOCK:
		return Socket
	case unix.S_IFCHR, unix.S_IFBLK:
		return Device
	}
	return ""
}

// entryOf is an entry without what must be read: target, attributes, extents, hash.
func entryOf(path string, st *unix.Stat_t) Entry {
	e := Entry{
		Path: path, Type: kindOf(st.Mode), Mode: st.Mode & 0o7777, UID: st.Uid, GID: st.Gid,
		MTime: st.Mtim.Nano(), CTime: st.Ctim.Nano(), Dev: st.Dev, Inode: st.Ino, Links: st.Nlink,
	}
	if e.Type == File {
		e.Size = st.Size
	}
	return e
}

// same reports whether nothing has happened to a file between two looks at it.
func same(a, b *unix.Stat_t) bool {
	return a.Size == b.Size && a.Mtim == b.Mtim && a.Ctim == b.Ctim && a.Ino == b.Ino
}

// readLink is where a symbolic link leads, whatever its length.
func readLink(dir int, name string) (string, error) {
	for size := 256; ; size *= 4 {
		buf := make([]byte, size)
		n, err := unix.Readlinkat(dir, name, buf)
		if err != nil {
			return "", err
		}
		if n < size {
			return string(buf[:n]), nil
		}
	}
}

// openFile opens what was a regular file a moment ago. Should it be a pipe by now, nobody waits for its other end. The
// time of the last access is left alone where that is permitted.
func openFile(dir int, name string) (int, error) {
	const flags = unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC
	fd, err := retry(func() (int, error) { return unix.Openat(dir, name, flags|unix.O_NOATIME, 0) })
	if errors.Is(err, unix.EPERM) {
		fd, err = retry(func() (int, error) { return unix.Openat(dir, name, flags, 0) })
	}
	return fd, err
}

// createFile makes a file that must not be there yet.
func createFile(dir int, name string) (int, error) {
	const flags = unix.O_RDWR | unix.O_CREAT | unix.O_EXCL | unix.O_NOFOLLOW | unix.O_CLOEXEC
	return unix.Openat(dir, name, flags, 0o600)
}
