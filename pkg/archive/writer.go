package archive

import (
	"archive/tar"
	"errors"
	"io"
	"strings"
	"time"
)

// xattrRecord is how pax records of extended attributes begin, as star, GNU tar and bsdtar have them.
const xattrRecord = "SCHILY.xattr."

// writeEntry puts a header, and the content where the entry has its own.
func writeEntry(w *tar.Writer, e Entry, content []byte) error {
	h := &tar.Header{
		Format: tar.FormatPAX, Name: e.Path, Mode: int64(e.Mode), Uid: e.UID, Gid: e.GID, Uname: e.User, Gname: e.Group,
		ModTime: time.Unix(0, e.MTime),
	}
	switch {
	case e.Type == Dir:
		h.Typeflag = tar.TypeDir
		h.Name += "/"
	case e.Type == Symlink:
		h.Typeflag, h.Linkname = tar.TypeSymlink, e.Target
	case e.Type == File && e.Link != "":
		h.Typeflag, h.Linkname = tar.TypeLink, e.Link
		content = nil
	case e.Type == File:
		h.Typeflag, h.Size = tar.TypeReg, int64(len(content))
	default:
		return errors.New("not to be stored: " + string(e.Type))
	}
	if len(e.Xattrs) > 0 && e.Link == "" {
		h.PAXRecords = map[string]string{}
		for name, value := range e.Xattrs {
			h.PAXRecords[xattrRecord+name] = string(value)
		}
	}
	if err := w.WriteHeader(h); err != nil {
		return err
	}
	_, err := w.Write(content)
	return err
}

// entryOf is what a header says, before it is believed.
func entryOf(h *tar.Header) (Entry, error) {
	refuse := func(why Reason) (Entry, error) { return Entry{}, &HostileError{Name: h.Name, Reason: why} }
	e := Entry{
		Path: strings.TrimSuffix(h.Name, "/"), Mode: uint32(h.Mode & allModes), UID: h.Uid, GID: h.Gid, User: h.Uname, Group: h.Gname,
		MTime: h.ModTime.UnixNano(), Size: h.Size,
	}
	switch h.Typeflag {
	case tar.TypeReg:
		e.Type = File
		if e.Path != h.Name {
			return refuse(ReasonName)
		}
	case tar.TypeDir:
		e.Type = Dir
	case tar.TypeSymlink:
		e.Type, e.Target = Symlink, h.Linkname
	case tar.TypeLink:
		e.Type, e.Link = File, h.Linkname
	case tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
		return refuse(ReasonDevice)
	case tar.TypeGNUSparse:
		return refuse(ReasonSparse)
	default:
		return refuse(ReasonType)
	}
	const most = 1<<32 - 2 // the largest id that is one
	year := h.ModTime.UTC().Year()
	if h.Mode < 0 || h.Uid < 0 || h.Gid < 0 || h.Uid > most || h.Gid > most || year < 1700 || year > 2250 {
		return refuse(ReasonNumber)
	}
	for name, value := range h.PAXRecords {
		attr, found := strings.CutPrefix(name, xattrRecord)
		switch {
		case strings.HasPrefix(name, "GNU.sparse."):
			return refuse(ReasonSparse)
		case found && kept(attr):
			if e.Xattrs == nil {
				e.Xattrs = map[string][]byte{}
			}
			e.Xattrs[attr] = []byte(value)
		}
	}
	if h.Size != 0 && h.Typeflag != tar.TypeReg {
		return refuse(ReasonSize)
	}
	return e, nil
}

// kept reports whether an extended attribute belongs to the file, rather than to this machine.
func kept(attr string) bool {
	switch attr {
	case "security.capability", "system.posix_acl_access", "system.posix_acl_default":
		return true
	}
	return strings.HasPrefix(attr, "user.") || strings.HasPrefix(attr, "trusted.")
}

// zeroTail passes a stream on, within a limit, and knows how many zero bytes it ended with: an archive ends with two
// blocks of them, and the standard library takes one that was cut for a whole one.
type zeroTail struct {
	r     io.Reader
	left  int64
	zeros int
}

func (z *zeroTail) Read(p []byte) (int, error) {
	if z.left <= 0 {
		// Whether it is the end can only be seen by reading on.
		var one [1]byte
		if n, err := z.r.Read(one[:]); n == 0 {
			return 0, err
		}
		return 0, &HostileError{Reason: ReasonManyBytes}
	}
	n, err := z.r.Read(p[:min(int64(len(p)), z.left)])
	z.left -= int64(n)
	tail := p[:n]
	trimmed := len(strings.TrimRight(string(tail[max(0, n-1024):]), "\x00"))
	if rest := min(n, 1024) - trimmed; rest == n {
		z.zeros = min(z.zeros+n, 1024)
	} else {
		z.zeros = rest
	}
	return n, err
}
