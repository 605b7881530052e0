package media

import (
	"bytes"
	"errors"
	"strings"

	"golang.org/x/sys/unix"
)

// keptXattr reports whether an attribute belongs to the tree: what users set, access lists, capabilities, and what only
// root can read. Labels of a security module belong to the host.
func keptXattr(name string) bool {
	return ownerXattr(name) || PrivilegedXattr(name)
}

// PrivilegedXattr reports whether it is one that only root can set: it may be missing in a tree that was written by somebody
// else.
func PrivilegedXattr(name string) bool {
	return strings.HasPrefix(name, "trusted.") || name == "security.capability"
}

// ownerXattr reports whether it is one that the owner of a file can set.
func ownerXattr(name string) bool {
	return strings.HasPrefix(name, "user.") || name == "system.posix_acl_access" || name == "system.posix_acl_default"
}

// plainXattr reports whether it may be set before a directory is filled: an access list would be passed on to what is made
// in it, or keep us out.
func plainXattr(name string) bool { return keptXattr(name) && !strings.HasPrefix(name, "system.") }

func (o object) listXattrs(buf []byte) (int, error) {
	if o.fd < 0 {
		return unix.Llistxattr(o.path(), buf)
	}
	return unix.Flistxattr(o.fd, buf)
}

func (o object) getXattr(name string, buf []byte) (int, error) {
	if o.fd < 0 {
		return unix.Lgetxattr(o.path(), name, buf)
	}
	return unix.Fgetxattr(o.fd, name, buf)
}

func (o object) setXattr(name string, value []byte) error {
	if o.fd < 0 {
		return unix.Lsetxattr(o.path(), name, value, 0)
	}
	return unix.Fsetxattr(o.fd, name, value, 0)
}

// xattrs reads those attributes that are wanted; nil: none, or the file system has none at all. buf is for the names, and
// may grow.
func (o object) xattrs(wanted func(name string) bool, buf *[]byte) (map[string][]byte, error) {
	n, err := o.listXattrs(*buf)
	for errors.Is(err, unix.ERANGE) && len(*buf) < maxXattrs {
		*buf = make([]byte, 2*len(*buf))
		n, err = o.listXattrs(*buf)
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
		if !wanted(name) {
			continue
		}
		value, err := o.xattr(name)
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

// xattr is the value of one of them.
func (o object) xattr(name string) ([]byte, error) {
	for size := 1 << 10; ; size *= 4 {
		value := make([]byte, size)
		n, err := o.getXattr(name, value)
		if errors.Is(err, unix.ERANGE) && size < maxXattrs {
			continue
		}
		if err != nil {
			return nil, err
		}
		return value[:n], nil
	}
}
