package media

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// directory is one that is being written: its times and its mode are set when all that is in it is there.
type directory struct {
	entry   Entry
	parent  *directory
	pending atomic.Int64 // batches and directories in it that are not finished, and one for the walk
}

// batch is some names of one directory, with what the previous index says of them.
type batch struct {
	dir   *directory
	names []string // sorted; anything but a directory when the directory was read
	prev  []Entry  // files of the same directory, sorted
	fd    int      // the directory, when it is at hand; -1
	found []Entry
	done  chan struct{}
}

func (b *batch) close() {
	if b.fd >= 0 {
		_ = unix.Close(b.fd)
		b.fd = -1
	}
}

// batchSize bounds what is looked at by one worker in one go.
const batchSize = 256

// producer walks the source. What it needs for each directory on the way down is the names in it.
type producer struct {
	*snapshot
	ctx         context.Context //nolint:containedctx // of one run
	work, order chan<- *batch
	buf         []byte // for listing
	attrs       []byte
}

func (s *snapshot) walk(ctx context.Context, work, order chan<- *batch) error {
	p := &producer{snapshot: s, ctx: ctx, work: work, order: order, buf: make([]byte, listBuffer), attrs: make([]byte, 4<<10)}
	fd, err := unix.Openat(s.source.fd(), ".", dirFlags, 0)
	if err != nil {
		return onPath("open", s.Source, err)
	}
	if err := p.visit(Root, fd, nil); err != nil {
		return err
	}
	return s.prev.drain()
}

// visit hands out what is in the open directory, which it closes, and goes down.
func (p *producer) visit(path string, fd int, parent *directory) error {
	first := &batch{fd: fd, done: make(chan struct{})}
	d, names, err := p.enter(path, fd, parent)
	if err != nil {
		first.close()
		return err
	}
	if d == nil { // vanished
		first.close()
		return nil
	}
	first.dir = d
	first.found = []Entry{d.entry}
	b := first
	handed := func(batch *batch) error { // the first one takes the directory with it
		if batch == first {
			fd = -1
		}
		return p.hand(batch, batch == first)
	}
	for i := range names.len() {
		name := names.name(i)
		below := Join(path, name)
		isDir := p.isDir(fd, path, name, names.items[i].kind)
		if p.Exclude.Excludes(below, isDir) {
			p.note(func(r *Report) { r.Excluded++ })
			continue
		}
		if len(below) > maxPath {
			p.unreadable(below[:80]+"…", errors.New("the path is too long"))
			continue
		}
		if isDir {
			if err := handed(b); err != nil {
				return err
			}
			b = nil
			if err := p.descend(below, d); err != nil {
				return err
			}
			continue
		}
		if b == nil {
			b = &batch{dir: d, fd: -1, done: make(chan struct{})}
		}
		b.names = append(b.names, name)
		if len(b.names) == batchSize {
			if err := handed(b); err != nil {
				return err
			}
			b = nil
		}
	}
	if err := handed(b); err != nil {
		return err
	}
	return p.snapshot.finish(d)
}

// enter describes and lists a directory, and makes its like in the target. A directory that cannot be listed is in the
// tree, empty.
func (p *producer) enter(path string, fd int, parent *directory) (*directory, *listing, error) {
	p.Step("directory", path)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, nil, onPath("stat", path, err)
	}
	d := &directory{entry: entryOf(path, &st), parent: parent}
	names, err := list(fd, p.buf)
	switch {
	case path == Root && err != nil:
		return nil, nil, onPath("read", p.Source, err)
	case gone(err):
		p.vanished(path)
		return nil, nil, nil
	case err != nil:
		p.unreadable(path, err)
		names = &listing{}
	}
	if p.target != nil {
		if d.entry.Xattrs, err = openedDir(fd).xattrs(keptXattr, &p.attrs); err != nil {
			p.unreadable(path, fmt.Errorf("extended attributes: %w", err))
		}
	}
	return d, names, p.add(d)
}

// add makes the directory in the target, and counts it in the one above.
func (p *producer) add(d *directory) error {
	d.pending.Store(1)
	if d.parent != nil {
		d.parent.pending.Add(1)
	}
	if p.target == nil {
		return nil
	}
	if d.parent != nil {
		dir, name := Split(d.entry.Path)
		at, err := p.target.openDir(dir)
		if err == nil {
			err = unix.Mkdirat(at, name, 0o700)
			_ = unix.Close(at)
		}
		if err != nil {
			return onPath("mkdir", d.entry.Path, err)
		}
	}
	if len(d.entry.Xattrs) == 0 {
		return nil
	}
	// The entry goes into the index long before the directory is finished, and has to say which attributes are missing.
	fd, err := p.target.openDir(d.entry.Path)
	if err == nil {
		err = p.dress.mark(openedDir(fd), &d.entry, plainXattr)
		_ = unix.Close(fd)
	}
	if err != nil {
		return onPath("mark", d.entry.Path, err)
	}
	return nil
}

// isDir asks the file only where the listing does not say. Whatever goes wrong, the worker will find out what became of it.
func (p *producer) isDir(fd int, path, name string, kind uint8) bool {
	if kind != unix.DT_UNKNOWN {
		return kind == unix.DT_DIR
	}
	if fd < 0 {
		var err error
		if fd, err = p.source.openDir(path); err != nil {
			return false
		}
		defer func() { _ = unix.Close(fd) }()
	}
	var st unix.Stat_t
	return unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil && kindOf(st.Mode) == Dir
}

// descend visits a directory. One that cannot be opened is in the tree, empty.
func (p *producer) descend(path string, parent *directory) error {
	fd, err := p.source.openDir(path)
	switch {
	case err == nil:
		return p.visit(path, fd, parent)
	case gone(err):
		p.vanished(path)
		return nil
	}
	p.unreadable(path, err)
	d := &directory{parent: parent}
	dir, name := Split(path)
	at, err := p.source.openDir(dir)
	if err != nil {
		return nil //nolint:nilerr // it is named already
	}
	var st unix.Stat_t
	err = unix.Fstatat(at, name, &st, unix.AT_SYMLINK_NOFOLLOW)
	_ = unix.Close(at)
	if err != nil || kindOf(st.Mode) != Dir {
		return nil //nolint:nilerr // as above
	}
	d.entry = entryOf(path, &st)
	if err := p.add(d); err != nil {
		return err
	}
	if err := p.hand(&batch{dir: d, fd: -1, found: []Entry{d.entry}, done: make(chan struct{})}, true); err != nil {
		return err
	}
	return p.finish(d)
}

// hand gives a batch to the workers: one with names, or the first of a directory.
func (p *producer) hand(b *batch, first bool) error {
	if b == nil {
		return nil
	}
	if len(b.names) == 0 && !first {
		return nil
	}
	if len(b.names) > 0 {
		var err error
		dir := b.dir.entry.Path
		if b.prev, err = p.prev.files(dir, Join(dir, b.names[len(b.names)-1])); err != nil {
			b.close()
			return err
		}
	}
	b.dir.pending.Add(1)
	select {
	case p.order <- b:
	case <-p.ctx.Done():
		b.close()
		return context.Cause(p.ctx)
	}
	select {
	case p.work <- b:
	case <-p.ctx.Done():
		b.close()
		return context.Cause(p.ctx)
	}
	return nil
}

// finish is called once for each thing that a directory waits for. The last one sets its metadata.
func (s *snapshot) finish(d *directory) error {
	for ; d != nil && d.pending.Add(-1) == 0; d = d.parent {
		if s.target == nil {
			continue
		}
		if err := s.seal(d); err != nil {
			return onPath("finish", d.entry.Path, err)
		}
	}
	return nil
}

// seal gives a directory what it is to be: until now it had to be written to.
func (s *snapshot) seal(d *directory) error {
	fd, err := s.target.openDir(d.entry.Path)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	return s.dress.dress(openedDir(fd), &d.entry)
}

// cursor goes through the previous index beside the walk.
type cursor struct {
	index *IndexReader // nil: there is none
	next  Entry
	full  bool
}

// files takes what the index says of files in dir, up to the path last.
func (c *cursor) files(dir, last string) (files []Entry, err error) {
	for c.index != nil {
		if !c.full {
			if c.next, err = c.index.Next(); errors.Is(err, io.EOF) {
				c.index = nil
				return files, nil
			} else if err != nil {
				return nil, fmt.Errorf("previous index: %w", err)
			}
			c.full = true
		}
		if Compare(c.next.Path, last) > 0 {
			return files, nil
		}
		c.full = false
		if c.next.Type == File {
			if parent, _ := Split(c.next.Path); parent == dir {
				files = append(files, c.next)
			}
		}
	}
	return files, nil
}

// drain reads the rest: only at its end an index is proven to be whole.
func (c *cursor) drain() error {
	for c.index != nil {
		if _, err := c.index.Next(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("previous index: %w", err)
		}
	}
	return nil
}
