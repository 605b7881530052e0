package media

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// DifferenceKind is how a tree differs from an index at one path.
type DifferenceKind string

// The kinds.
const (
	Missing DifferenceKind = "missing" // the index has it, the tree has not
	Changed DifferenceKind = "changed" // both have it, but not the same
	Extra   DifferenceKind = "extra"   // the tree has it, the index has not
)

// Difference is one path at which a tree is not what its index says.
type Difference struct {
	Path string
	Kind DifferenceKind
	Why  string // of Changed: what is not the same
	// Bytes is the size of the file in the index, of an extra one in the tree.
	Bytes int64
	// Shared says that it is the file itself that differs, whatever name it is reached by; Dev, Inode and Links
	// are those of the file in the tree.
	Shared            bool
	Dev, Inode, Links uint64
}

// checksumMismatch is the Why of contents that are others.
const checksumMismatch = "checksum mismatch"

func (d Difference) String() string {
	if d.Kind == Changed {
		return Quote(d.Path) + ": " + d.Why
	}
	return Quote(d.Path) + ": " + string(d.Kind)
}

// Comparison holds a tree against an index. Everything that the index lists has to be there, and nothing else;
// types, sizes, modes, times, link targets, extended attributes and hard links have to be the same. Sockets,
// FIFOs and devices are listed in an index and are not expected in a tree.
type Comparison struct {
	Dir    string                        // the tree's root, which must not be a link
	Index  func() (io.ReadCloser, error) // the lines of the index; may be called twice
	Choice Choice                        // what of it is looked at

	// Contents says whose contents are read and hashed; nil: nobody's. Whoever is not read is judged by size and time.
	Contents func(path string) bool
	// Owners compares user and group as well. Unowned, if not nil, accepts another user than that of the index: one that
	// could not give files away. Live says that the tree is one that is in use: it may hold
	// anything, and times of directories say nothing.
	Owners, Live bool
	Unowned      func(uid uint32) bool
	// Tolerate, if not nil, says what may be so although the index says otherwise: a mode that is had instead.
	Tolerate func(e *Entry, mode uint32) bool
	// Unlinked accepts two files where the index has one with two names: a snapshot has them where there are no hard
	// links, or where a file has as many names as it can.
	Unlinked bool
	// Privileged compares all extended attributes that are kept, and not only those that every owner of a file may set.
	// Unmarked, if not nil, accepts one that is missing.
	Privileged bool
	Unmarked   func(e *Entry, name string) bool

	Jobs     int              // files that are read at once; 0: as suits the machine
	Progress func(n int64)    // bytes that were read; from several goroutines
	Found    func(Difference) // each difference, in no order, one at a time
}

// Compared is what a comparison looked at.
type Compared struct {
	Entries     int64 // of the index, as far as they were chosen
	Files       int64
	Bytes       int64 // sizes of the files
	Hashed      int64 // files whose contents were read
	HashedBytes int64
	Differences int64
	Unowned     int64 // whose owner is another and was accepted
}

// Run compares. Its error is about the index, which must be strict and whole, or about this host, such as a
// directory that may not be read; differences are no error.
func (c Comparison) Run(ctx context.Context) (Compared, error) {
	if c.Progress == nil {
		c.Progress = func(int64) {}
	}
	if c.Found == nil {
		c.Found = func(Difference) {}
	}
	root, err := openOwnTree(c.Dir)
	if err != nil {
		return Compared{}, err
	}
	defer root.close()
	r := &comparing{Comparison: c, root: root, links: map[inode]linked{}, xattr: ownerXattr}
	if c.Privileged {
		r.xattr = keptXattr
	}
	if err := r.entries(ctx); err != nil {
		return r.done, err
	}
	return r.done, r.extras(ctx)
}

// comparing is a comparison that runs.
type comparing struct {
	Comparison
	root  *openedTree
	xattr func(name string) bool // is compared

	mu    sync.Mutex
	done  Compared
	found int64 // entries that are there
	links map[inode]linked
}

// linked is the file in the tree that stands for a source file with several names.
type linked struct {
	inode uint64
	path  string
}

func (c *comparing) entries(ctx context.Context) error {
	return eachBatch(ctx, c.Index, c.Jobs, func(e *Entry) (bool, error) {
		if !c.Choice.Has(e.Path) || !e.Type.Copied() {
			return false, nil
		}
		c.done.Entries++
		if e.Type == File {
			c.done.Files++
			c.done.Bytes += e.Size
		}
		return true, nil
	}, func() (func(context.Context, []Entry) error, func()) {
		w := &comparer{comparing: c, at: c.root.finder(), copier: newCopier(ctx, c.Progress, nil), names: make([]byte, 4<<10)}
		return w.batch, w.at.close
	})
}

// comparer is one of the goroutines.
type comparer struct {
	*comparing
	at      *finder
	copier  *copier
	names   []byte // of attributes
	there   int64
	unowned int64
}

func (w *comparer) batch(ctx context.Context, batch []Entry) error {
	w.there, w.unowned = 0, 0
	for i := range batch {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := w.entry(&batch[i]); err != nil {
			return fmt.Errorf("%s: %w", Quote(batch[i].Path), err)
		}
	}
	w.mu.Lock()
	w.found += w.there
	w.done.Unowned += w.unowned
	w.mu.Unlock()
	return nil
}

func (c *comparing) report(d Difference) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done.Differences++
	c.Found(d)
}

func (w *comparer) entry(e *Entry) error {
	var st unix.Stat_t
	dir, name, err := w.at.stat(e.Path, &st)
	if gone(err) {
		w.report(Difference{Path: e.Path, Kind: Missing, Bytes: e.Size})
		return nil
	}
	if err != nil {
		return err
	}
	w.there++
	why, err := w.differs(e, &st, named(dir, name))
	if err != nil || why == "" {
		return err
	}
	w.report(Difference{Path: e.Path, Kind: Changed, Why: why, Bytes: e.Size, Shared: kindOf(st.Mode) != Dir, Dev: st.Dev, Inode: st.Ino, Links: st.Nlink})
	return nil
}

// differs says in which respect, "" in none.
func (w *comparer) differs(e *Entry, st *unix.Stat_t, o object) (string, error) {
	if t := kindOf(st.Mode); t != e.Type {
		return fmt.Sprintf("%s instead of %s", t, e.Type), nil
	}
	if e.Type == File && st.Size != e.Size {
		return fmt.Sprintf("%d bytes instead of %d", st.Size, e.Size), nil
	}
	if e.Type == Symlink {
		switch target, err := readLink(o.dir, o.name); {
		case err != nil:
			return "", err
		case target != e.Target:
			return "leads to " + Quote(target) + " instead of " + Quote(e.Target), nil
		}
	}
	if e.Type == File && w.Contents != nil && w.Contents(e.Path) {
		if why, err := w.contents(e, o); why != "" || err != nil {
			return why, err
		}
	}
	if why, err := w.metadata(e, st, o); why != "" || err != nil {
		return why, err
	}
	return w.hardLink(e, st), nil
}

func (w *comparer) metadata(e *Entry, st *unix.Stat_t, o object) (string, error) {
	if mode := st.Mode & 0o7777; e.Type != Symlink && mode != e.Mode && (w.Tolerate == nil || !w.Tolerate(e, mode)) {
		return fmt.Sprintf("mode %04o instead of %04o", mode, e.Mode), nil
	}
	if at := st.Mtim.Nano(); at != e.MTime && (e.Type != Dir || !w.Live) {
		const layout = "2006-01-02T15:04:05.999999999Z"
		return fmt.Sprintf("modified %s instead of %s", time.Unix(0, at).UTC().Format(layout), time.Unix(0, e.MTime).UTC().Format(layout)), nil
	}
	if w.Owners && (st.Uid != e.UID || st.Gid != e.GID) {
		if w.Unowned == nil || !w.Unowned(st.Uid) {
			return fmt.Sprintf("owner %d:%d instead of %d:%d", st.Uid, st.Gid, e.UID, e.GID), nil
		}
		w.unowned++
	}
	return w.xattrs(e, o)
}

func (w *comparer) xattrs(e *Entry, o object) (string, error) {
	has, err := o.xattrs(w.xattr, &w.names)
	if err != nil {
		return "", err
	}
	for name := range e.Xattrs {
		if _, there := has[name]; there || !w.xattr(name) || w.Unmarked != nil && w.Unmarked(e, name) {
			continue
		}
		if _, err := o.xattr(name); errors.Is(err, unix.EOPNOTSUPP) {
			continue // the file system has none; the index does
		}
		return "extended attribute " + name + " is missing", nil
	}
	for name, value := range has {
		if want, listed := e.Xattrs[name]; !listed || !bytes.Equal(value, want) {
			return "extended attribute " + name + " is another", nil
		}
	}
	return "", nil
}

// manyNames is near to as many as some file systems allow.
const manyNames = 32_000

// hardLink: what was one file with several names is one again. In a tree that is in use only the file counts.
func (w *comparer) hardLink(e *Entry, st *unix.Stat_t) string {
	if e.Links < 2 || e.Type != File || w.Live {
		return ""
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	key := inode{e.Dev, e.Inode}
	first, known := w.links[key]
	if !known {
		w.links[key] = linked{st.Ino, e.Path}
		return ""
	}
	if first.inode != st.Ino && (!w.Unlinked || st.Nlink > 1 && st.Nlink < manyNames) {
		return "is not the same file as " + Quote(first.path)
	}
	return ""
}

func (w *comparer) contents(e *Entry, o object) (string, error) {
	fd, err := openFile(o.dir, o.name)
	if err != nil {
		return readProblem(err)
	}
	defer func() { _ = unix.Close(fd) }()
	got, err := w.copier.read(fd, e.Size)
	if err != nil {
		return readProblem(err)
	}
	w.mu.Lock()
	w.done.Hashed++
	w.done.HashedBytes += got.size
	w.mu.Unlock()
	if got.sha256 != e.SHA256 {
		return checksumMismatch, nil
	}
	return "", nil
}

// readProblem tells what the disk lost from what this user may not read.
func readProblem(err error) (string, error) {
	if errors.Is(err, unix.EIO) || errors.Is(err, unix.EUCLEAN) || errors.Is(err, unix.EBADMSG) {
		return "cannot be read: " + err.Error(), nil
	}
	return "", err
}

// extras looks for what the index does not have. Where all entries were found it is enough to count.
func (c *comparing) extras(ctx context.Context) error {
	var there int64
	if c.Choice.Has(".") {
		there = 1
	}
	count := func(path string, _ *unix.Stat_t) error {
		if c.Choice.Has(path) {
			there++
		}
		return ctx.Err()
	}
	if err := c.walk(count); err != nil || there == c.found {
		return err
	}
	known := map[uint64]struct{}{} // hashes: a million paths would not fit
	seed := maphash.MakeSeed()
	err := ReadIndex(c.Index, func(e Entry) error {
		known[maphash.String(seed, e.Path)] = struct{}{}
		return ctx.Err()
	})
	if err != nil {
		return err
	}
	return c.walk(func(path string, st *unix.Stat_t) error {
		if _, ok := known[maphash.String(seed, path)]; !ok && c.Choice.Has(path) {
			size := st.Size
			if kindOf(st.Mode) != File {
				size = 0
			}
			c.report(Difference{Path: path, Kind: Extra, Bytes: size})
		}
		return ctx.Err()
	})
}

// walk visits what is chosen of the tree, and what lies on the way there.
func (c *comparing) walk(visit func(path string, st *unix.Stat_t) error) error {
	buf := make([]byte, listBuffer)
	if c.Choice.Whole() {
		return walkBelow(c.root.fd(), Root, buf, visit)
	}
	at := c.root.finder()
	defer at.close()
	for _, p := range c.Choice.paths {
		dir, name, err := at.at(p)
		if err == nil {
			err = walkFrom(dir, name, p, buf, visit)
		}
		if err != nil && !gone(err) {
			return err
		}
	}
	return nil
}
