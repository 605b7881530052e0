package media

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// worker looks at the names of batches, one after the other.
type worker struct {
	*snapshot
	ctx    context.Context //nolint:containedctx // of one run
	copier *copier
	attrs  []byte

	// of the batch
	dir          string
	in, out, old int // -1: not open
	prev         []Entry
}

func newWorker(ctx context.Context, s *snapshot) *worker {
	return &worker{snapshot: s, ctx: ctx, copier: newCopier(ctx, nil, &s.noClone), attrs: make([]byte, 4<<10)}
}

func (w *worker) process(b *batch) error {
	defer b.close()
	if len(b.names) > 0 {
		if err := w.open(b); err != nil {
			return err
		}
		err := w.names(b)
		w.close()
		if err != nil {
			return err
		}
	}
	return w.finish(b.dir)
}

// open opens the directory of the batch in all trees.
func (w *worker) open(b *batch) (err error) {
	w.dir, w.prev = b.dir.entry.Path, b.prev
	w.in, w.out, w.old = b.fd, -1, -1
	b.fd = -1
	if w.in < 0 {
		if w.in, err = w.source.openDir(w.dir); err != nil {
			w.in = -1
			w.lost(b, err)
			return nil
		}
	}
	if w.target != nil {
		if w.out, err = w.target.openDir(w.dir); err != nil {
			w.out = -1
			w.close()
			return onPath("open", w.dir, err)
		}
	}
	if w.snapshot.old != nil && len(b.prev) > 0 {
		if w.old, err = w.snapshot.old.openDir(w.dir); err != nil {
			w.old = -1 // then everything is copied
		}
	}
	return nil
}

func (w *worker) close() {
	for _, fd := range []*int{&w.in, &w.out, &w.old} {
		if *fd >= 0 {
			_ = unix.Close(*fd)
		}
		*fd = -1
	}
}

// lost is a directory that cannot be opened a second time.
func (w *worker) lost(b *batch, err error) {
	for _, name := range b.names {
		if gone(err) {
			w.vanished(Join(w.dir, name))
		} else {
			w.unreadable(Join(w.dir, name), err)
		}
	}
	b.names = nil
}

func (w *worker) names(b *batch) error {
	found := make([]Entry, 0, len(b.found)+len(b.names))
	b.found = append(found, b.found...)
	for _, name := range b.names {
		if err := w.ctx.Err(); err != nil {
			return context.Cause(w.ctx)
		}
		path := Join(w.dir, name)
		e, err := w.name(path, name)
		var ours *sourceError
		switch {
		case err == nil:
			b.found = append(b.found, e)
		case errors.As(err, &ours) && gone(ours.err):
			w.vanished(path)
		case errors.As(err, &ours):
			w.unreadable(path, ours.err)
		default:
			return fmt.Errorf("write %s: %w", Quote(path), err)
		}
	}
	return nil
}

// name brings one name into the tree. Errors of the source are a *sourceError; then the tree has nothing of it.
func (w *worker) name(path, name string) (Entry, error) {
	var st unix.Stat_t
	if err := unix.Fstatat(w.in, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return Entry{}, ofSource(err)
	}
	w.Step("file", path)
	switch kind := kindOf(st.Mode); {
	case kind == Dir:
		// A directory in the place of what was none: for the next snapshot.
		return Entry{}, ofSource(unix.ENOENT)
	case kind == File || kind == Symlink:
		if st.Nlink > 1 && w.target != nil {
			return w.linked(path, name, &st)
		}
		return w.single(path, name, &st)
	case kind == "":
		return Entry{}, ofSource(errors.New("of an unknown type"))
	}
	return entryOf(path, &st), nil
}

// linked is a file that has other names, perhaps in this tree.
func (w *worker) linked(path, name string, st *unix.Stat_t) (Entry, error) {
	key := inode{st.Dev, st.Ino}
	for {
		l, mine := w.links.claim(key, st.Nlink)
		if mine {
			e, err := w.single(path, name, st)
			if err != nil {
				w.links.forget(key, l)
				l.settle(nil)
				return e, err
			}
			l.settle(&e)
			return e, nil
		}
		select {
		case <-l.settled:
		case <-w.ctx.Done():
			return Entry{}, context.Cause(w.ctx)
		}
		if !l.ok {
			w.links.forget(key, l)
			continue
		}
		done, err := w.linkTo(l, name)
		if err != nil {
			return Entry{}, err
		}
		if !done { // too many names, or none at all: a file of its own
			return w.single(path, name, st)
		}
		e := l.entry
		e.Path = path
		return e, nil
	}
}

// linkTo makes another name for what is in the tree.
func (w *worker) linkTo(l *claimed, name string) (bool, error) {
	dir, first := Split(l.entry.Path)
	at, err := w.target.openDir(dir)
	if err != nil {
		return false, err
	}
	defer func() { _ = unix.Close(at) }()
	switch err := unix.Linkat(at, first, w.out, name, 0); {
	case err == nil:
		w.note(func(r *Report) { r.Linked++ })
		return true, nil
	case errors.Is(err, unix.EMLINK), errors.Is(err, unix.EPERM), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOSYS):
		return false, nil
	default:
		return false, err
	}
}

// single brings a file or a symbolic link into the tree.
func (w *worker) single(path, name string, st *unix.Stat_t) (Entry, error) {
	if kindOf(st.Mode) == Symlink {
		return w.symlink(path, name, st)
	}
	if e := w.unchanged(path, st); e != nil {
		linked, err := w.reuse(name, e)
		if err != nil || linked {
			return *e, err
		}
	}
	if w.target == nil {
		w.note(func(r *Report) { r.Copied++; r.CopiedBytes += st.Size })
		e := entryOf(path, st)
		return e, nil
	}
	return w.copyFile(path, name)
}

// unchanged is the entry of the previous index, when the file is still the one that it describes.
func (w *worker) unchanged(path string, st *unix.Stat_t) *Entry {
	for len(w.prev) > 0 && Compare(w.prev[0].Path, path) < 0 {
		w.prev = w.prev[1:]
	}
	if len(w.prev) == 0 || w.prev[0].Path != path {
		return nil
	}
	e := &w.prev[0]
	if e.Fresh || e.Size != st.Size || e.MTime != st.Mtim.Nano() || e.CTime != st.Ctim.Nano() || e.Inode != st.Ino {
		return nil
	}
	if d := w.Previous.Damaged; d != nil && d(path) {
		return nil
	}
	e.Dev, e.Links = st.Dev, st.Nlink // a device may have another number since a restart
	return e
}

// reuse links to the file of the previous tree. false: it must be copied.
func (w *worker) reuse(name string, e *Entry) (bool, error) {
	if w.target == nil {
		w.note(func(r *Report) { r.Linked++ })
		return true, nil
	}
	if w.old < 0 {
		return false, nil
	}
	if w.Checksum {
		if same, err := w.sameContent(name, e); err != nil || !same {
			return false, err
		}
	}
	switch err := unix.Linkat(w.old, name, w.out, name, 0); {
	case err == nil:
	case errors.Is(err, unix.ENOENT):
		w.distrust(e.Path, "missing")
		return false, nil
	case errors.Is(err, unix.EMLINK), errors.Is(err, unix.EPERM), errors.Is(err, unix.EXDEV):
		return false, nil // too many names, not ours to link, or elsewhere
	default:
		return false, err
	}
	// What was changed in the old tree behind our back would be in this one too.
	var st unix.Stat_t
	if err := unix.Fstatat(w.out, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return false, err
	}
	if kindOf(st.Mode) != File || st.Size != e.Size || st.Mtim.Nano() != e.MTime {
		w.distrust(e.Path, "not as its index says")
		return false, unix.Unlinkat(w.out, name, 0)
	}
	w.note(func(r *Report) { r.Linked++ })
	return true, nil
}

func (w *worker) distrust(path, why string) {
	w.note(func(r *Report) { r.Distrusted.add(Quote(path) + ": " + why) })
}

// sameContent reads the source: is it what the previous index says?
func (w *worker) sameContent(name string, e *Entry) (bool, error) {
	fd, err := openFile(w.in, name)
	if err != nil {
		return false, ofSource(err)
	}
	defer func() { _ = unix.Close(fd) }()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return false, ofSource(err)
	}
	if kindOf(st.Mode) != File || st.Size != e.Size {
		return false, nil
	}
	got, err := w.copier.copy(fd, -1, &st, nil)
	return err == nil && got.sha256 == e.SHA256, err
}

func (w *worker) symlink(path, name string, st *unix.Stat_t) (Entry, error) {
	e := entryOf(path, st)
	target, err := readLink(w.in, name)
	if err != nil {
		return e, ofSource(err)
	}
	e.Target = target
	if w.target == nil {
		return e, nil
	}
	if e.Xattrs, err = named(w.in, name).xattrs(keptXattr, &w.attrs); err != nil {
		return e, ofSource(err)
	}
	if err := unix.Symlinkat(target, w.out, name); err != nil {
		return e, err
	}
	return e, w.dress.dress(named(w.out, name), &e)
}

// copies is how often a file that changes meanwhile is copied.
const copies = 3

// copyFile copies a file until it does not change meanwhile, or names it.
func (w *worker) copyFile(path, name string) (Entry, error) {
	for attempt := 1; ; attempt++ {
		e, stable, err := w.copyOnce(path, name)
		switch {
		case err != nil:
			return e, err
		case stable:
		case attempt < copies:
			if err := unix.Unlinkat(w.out, name, 0); err != nil {
				return e, err
			}
			continue
		default:
			w.note(func(r *Report) { r.Unstable.add(Quote(path)) })
		}
		w.note(func(r *Report) { r.Copied++; r.CopiedBytes += e.Size })
		return e, nil
	}
}

// copyOnce copies content and metadata. After an error the tree has nothing of it.
func (w *worker) copyOnce(path, name string) (e Entry, stable bool, err error) {
	in, err := openFile(w.in, name)
	if err != nil {
		return e, false, ofSource(err)
	}
	defer func() { _ = unix.Close(in) }()
	var before, after unix.Stat_t
	if err := unix.Fstat(in, &before); err != nil {
		return e, false, ofSource(err)
	}
	if kindOf(before.Mode) != File {
		return e, false, ofSource(unix.ENOENT) // replaced by something that is for the next snapshot
	}
	e = entryOf(path, &before)
	if e.Xattrs, err = opened(in, w.in, name).xattrs(keptXattr, &w.attrs); err != nil {
		return e, false, ofSource(err)
	}
	out, err := createFile(w.out, name)
	if err != nil {
		return e, false, err
	}
	defer func() {
		if closing := unix.Close(out); err == nil {
			err = closing
		}
		if err != nil {
			if left := unix.Unlinkat(w.out, name, 0); left != nil {
				err = left // the tree has something that the index has not
			}
		}
	}()
	got, cloned, err := w.copier.fill(in, out, &before, nil)
	if err != nil {
		return e, false, err
	}
	if cloned {
		w.note(func(r *Report) { r.Cloned++ })
	}
	w.Step("copied", path)
	e.Size, e.SHA256, e.Extents = got.size, got.sha256, got.extents
	if err := unix.Fstat(in, &after); err != nil {
		return e, false, ofSource(err)
	}
	e.Fresh = fresh(e.CTime, time.Now())
	return e, same(&before, &after) && got.size == before.Size, w.dress.dress(opened(out, w.out, name), &e)
}

// fresh reports whether a file could change again without its times telling. Most file systems take the time of the last
// tick of the kernel, up to 10 ms ago; some know whole seconds, or even ones.
func fresh(ctime int64, now time.Time) bool {
	margin := 20 * time.Millisecond
	if ctime%int64(time.Second) == 0 {
		margin = 3 * time.Second
	}
	return now.UnixNano()-ctime < int64(margin)
}
