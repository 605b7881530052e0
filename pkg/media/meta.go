package media

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

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

// keptXattr reports whether an attribute belongs to the tree: what users set, access lists, capabilities, and what only
// root can read. Labels of a security module belong to the host.
func keptXattr(name string) bool {
	return strings.HasPrefix(name, "user.") || strings.HasPrefix(name, "trusted.") ||
		name == "security.capability" || name == "system.posix_acl_access" || name == "system.posix_acl_default"
}

// readXattrs reads the attributes of an open file or directory; nil: none. buf is for the names, and may grow.
func readXattrs(fd int, buf *[]byte) (map[string][]byte, error) {
	n, err := unix.Flistxattr(fd, *buf)
	for errors.Is(err, unix.ERANGE) && len(*buf) < maxXattrs {
		*buf = make([]byte, 2*len(*buf))
		n, err = unix.Flistxattr(fd, *buf)
	}
	switch {
	case errors.Is(err, unix.EOPNOTSUPP):
		return nil, nil
	case err != nil:
		return nil, err
	case n <= 0:
		return nil, nil
	}
	var all map[string][]byte
	for raw := range bytes.SplitSeq(bytes.TrimSuffix((*buf)[:n], []byte{0}), []byte{0}) {
		name := string(raw)
		if !keptXattr(name) {
			continue
		}
		value, err := readXattr(fd, name)
		switch {
		case errors.Is(err, unix.ENODATA): // removed meanwhile
			continue
		case err != nil:
			return nil, err
		}
		if all == nil {
			all = map[string][]byte{}
		}
		all[name] = value
	}
	return all, nil
}

func readXattr(fd int, name string) ([]byte, error) {
	for size := 1 << 10; ; size *= 4 {
		value := make([]byte, size)
		n, err := unix.Fgetxattr(fd, name, value)
		if errors.Is(err, unix.ERANGE) && size < maxXattrs {
			continue
		}
		if err != nil {
			return nil, err
		}
		return value[:n], nil
	}
}

// Unkept counts what could not be given to the files of a tree; the index has it all the same.
type Unkept struct {
	Owners, Xattrs int64
}

// dresser gives files their metadata.
type dresser struct {
	uid, gid       uint32 // of the process: what files have by themselves
	owners, xattrs atomic.Int64
}

func newDresser() *dresser { return &dresser{uid: uint32(os.Geteuid()), gid: uint32(os.Getegid())} }

func (d *dresser) unkept() Unkept { return Unkept{d.owners.Load(), d.xattrs.Load()} }

// dress gives an open file or directory owner, attributes and mode, in this order: a change of the owner clears
// capabilities and setuid, and an access list changes the mode.
func (d *dresser) dress(fd int, e *Entry) error {
	if d.uid == 0 || e.UID != d.uid || e.GID != d.gid {
		if err := d.owned(unix.Fchown(fd, int(e.UID), int(e.GID))); err != nil {
			return err
		}
	}
	for name, value := range e.Xattrs {
		if err := unix.Fsetxattr(fd, name, value, 0); err != nil {
			switch {
			case errors.Is(err, unix.EIO), errors.Is(err, unix.EROFS):
				return err
			}
			d.xattrs.Add(1) // another file system, or no privilege
		}
	}
	return unix.Fchmod(fd, e.Mode)
}

// owned forgives that an owner cannot be kept: only root may give files away.
func (d *dresser) owned(err error) error {
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EINVAL) {
		d.owners.Add(1)
		return nil
	}
	return err
}

// dressLink does so for a symbolic link, which has neither mode nor attributes of its own.
func (d *dresser) dressLink(dir int, name string, e *Entry) error {
	if d.uid != 0 && e.UID == d.uid && e.GID == d.gid {
		return nil
	}
	return d.owned(unix.Fchownat(dir, name, int(e.UID), int(e.GID), unix.AT_SYMLINK_NOFOLLOW))
}

// setMTime leaves the time of the last access alone.
func setMTime(dir int, name string, mtime int64) error {
	times := []unix.Timespec{{Nsec: unix.UTIME_OMIT}, timespec(mtime)}
	return unix.UtimesNanoAt(dir, name, times, unix.AT_SYMLINK_NOFOLLOW)
}

// timespec is floored: before 1970 too the nanoseconds count upwards.
func timespec(ns int64) unix.Timespec {
	sec, nsec := ns/1e9, ns%1e9
	if nsec < 0 {
		sec, nsec = sec-1, nsec+1e9
	}
	return unix.Timespec{Sec: sec, Nsec: nsec}
}
