package media

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Building makes a new tree out of a snapshot: every file is a copy, or a clone where the file system has them, and
// never a hard link into the snapshot, which others share.
type Building struct {
	From   string                        // the tree of the snapshot
	Index  func() (io.ReadCloser, error) // the lines of its index
	Choice Choice                        // what of it is wanted; the directories on the way there come along
	To     string                        // is made, and must not exist; its directory must

	Jobs     int              // files that are copied at once; 0: as suits the machine
	Progress func(n int64)    // bytes that were copied; from several goroutines
	Found    func(Difference) // where the snapshot is not what its index says, in no order, one at a time
}

// Built is what was made.
type Built struct {
	Files, Dirs, Symlinks int64
	Bytes                 int64
	Left                  int64 // sockets, FIFOs and devices, which are not made
	Unowned               Some  // whose owner or group this user may not set
	Unmarked              Some  // extended attributes that this user, or this file system, cannot set
	Differences           int64 // damage that was found: the tree is not to be used
}

// Run builds, with every file hashed while it is copied, and brings all of it to stable storage. What is left after an
// error, or with differences, is the caller's to remove. Setuid and setgid bits come back only with their owner.
func (b Building) Run(ctx context.Context) (Built, error) {
	if b.Progress == nil {
		b.Progress = func(int64) {}
	}
	if b.Found == nil {
		b.Found = func(Difference) {}
	}
	from, err := openOwnTree(b.From)
	if err != nil {
		return Built{}, err
	}
	defer from.close()
	if err := unix.Mkdir(b.To, 0o700); err != nil {
		return Built{}, onPath("mkdir", b.To, err)
	}
	to, err := openOwnTree(b.To)
	if err != nil {
		return Built{}, err
	}
	defer to.close()
	// What the directory above would pass on is nothing that the index knows of.
	for _, name := range []string{"system.posix_acl_default", "system.posix_acl_access"} {
		_ = unix.Fremovexattr(to.fd(), name)
	}
	r := &building{Building: b, from: from, to: to, first: map[inode]string{}, made: to.finder(), dress: newDresser()}
	r.dress.wary = true
	defer r.made.close()
	err = eachBatch(ctx, b.Index, b.Jobs, r.accept, func() (func(context.Context, []Entry) error, func()) {
		w := &builder{building: r, src: from.finder(), dst: to.finder(), copier: newCopier(ctx, b.Progress, &r.noClones)}
		return w.batch, func() { w.src.close(); w.dst.close() }
	})
	if err == nil {
		err = r.finish(ctx)
	}
	unkept := r.dress.report()
	r.done.Unowned, r.done.Unmarked = unkept.Owners, unkept.Xattrs
	return r.done, err
}

// building is one that runs.
type building struct {
	Building
	from, to *openedTree
	noClones atomic.Bool
	dress    *dresser

	// Of the goroutine that reads the index:
	made  *finder
	dirs  []Entry // get what they are to be at the end: until then they must be writable
	first map[inode]string
	links []furtherName

	mu   sync.Mutex
	done Built
}

// furtherName is one more of a file.
type furtherName struct{ path, first string }

func (r *building) count(f func(*Built)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(&r.done)
}

func (r *building) report(e *Entry, kind DifferenceKind, why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done.Differences++
	r.Found(Difference{Path: e.Path, Kind: kind, Why: why, Bytes: e.Size})
}

// accept makes directories, in their order, and leaves the rest to the builders.
func (r *building) accept(e *Entry) (bool, error) {
	e.Unkept = nil // that was another tree
	has := r.Choice.Has(e.Path)
	if !has && (e.Type != Dir || !r.Choice.leads(e.Path)) {
		return false, nil
	}
	if e.Type == Dir {
		r.dirs = append(r.dirs, *e)
		if has {
			r.count(func(b *Built) { b.Dirs++ })
		}
		if e.Path == Root {
			return false, nil
		}
		dir, base, err := r.made.at(e.Path)
		if err == nil {
			err = unix.Mkdirat(dir, base, 0o700)
		}
		return false, pathError("make directory", e.Path, err)
	}
	if !e.Type.Copied() {
		r.count(func(b *Built) { b.Left++ })
		return false, nil
	}
	if e.Links > 1 {
		key := inode{e.Dev, e.Inode}
		if first, known := r.first[key]; known {
			r.links = append(r.links, furtherName{e.Path, first})
			r.count(func(b *Built) {
				if e.Type == Symlink {
					b.Symlinks++
					return
				}
				b.Files++
				b.Bytes += e.Size
			})
			return false, nil
		}
		r.first[key] = e.Path
	}
	return true, nil
}

func pathError(what, path string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s: %w", what, Quote(path), err)
}

// builder is one of the goroutines.
type builder struct {
	*building
	src, dst *finder
	copier   *copier
}

func (w *builder) batch(ctx context.Context, batch []Entry) error {
	for i := range batch {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		e := &batch[i]
		build := w.file
		if e.Type == Symlink {
			build = w.symlink
		}
		if err := build(e); err != nil {
			return pathError("restore", e.Path, err)
		}
	}
	return nil
}

func (w *builder) symlink(e *Entry) error {
	dir, name, err := w.src.at(e.Path)
	var target string
	if err == nil {
		target, err = readLink(dir, name)
	}
	switch {
	case errors.Is(err, unix.EINVAL):
		w.report(e, Changed, "is no symbolic link")
		return nil
	case gone(err):
		w.report(e, Missing, "")
		return nil
	case err != nil:
		return err
	case target != e.Target:
		w.report(e, Changed, "leads to "+Quote(target)+" instead of "+Quote(e.Target))
		return nil
	}
	if dir, name, err = w.dst.at(e.Path); err == nil {
		err = unix.Symlinkat(e.Target, dir, name)
	}
	if err == nil {
		err = w.dress.dress(named(dir, name), e)
	}
	w.count(func(b *Built) { b.Symlinks++ })
	return err
}

func (w *builder) file(e *Entry) error {
	dir, name, err := w.src.at(e.Path)
	var src int
	if err == nil {
		src, err = openFile(dir, name)
	}
	switch {
	case errors.Is(err, unix.ELOOP) && dir >= 0, errors.Is(err, unix.ENXIO):
		w.report(e, Changed, "is no regular file")
		return nil
	case gone(err):
		w.report(e, Missing, "")
		return nil
	case err != nil:
		return w.unreadable(e, err)
	}
	defer func() { _ = unix.Close(src) }()
	var st unix.Stat_t
	if err := unix.Fstat(src, &st); err != nil {
		return err
	}
	if kindOf(st.Mode) != File || st.Size != e.Size {
		w.report(e, Changed, fmt.Sprintf("%s of %d bytes instead of %s of %d", kindOf(st.Mode), st.Size, File, e.Size))
		return nil
	}
	return w.copyTo(e, src, &st)
}

// copyTo makes the new file, whole and as the index has it, or says that it cannot be.
func (w *builder) copyTo(e *Entry, src int, st *unix.Stat_t) error {
	dir, name, err := w.dst.at(e.Path)
	if err != nil {
		return err
	}
	dst, err := createFile(dir, name)
	if err != nil {
		return err
	}
	got, _, err := w.copier.fill(src, dst, st, e.Extents)
	if err == nil && got.sha256 == e.SHA256 {
		err = w.dress.dress(opened(dst, dir, name), e)
	}
	if closing := unix.Close(dst); err == nil {
		err = closing
	}
	var ours *sourceError
	switch {
	case errors.As(err, &ours):
		return w.unreadable(e, ours.err)
	case err != nil:
		return err
	case got.sha256 != e.SHA256:
		w.report(e, Changed, checksumMismatch)
		return nil
	}
	w.count(func(b *Built) { b.Files++; b.Bytes += e.Size })
	return nil
}

// unreadable makes damage of what the disk lost.
func (w *builder) unreadable(e *Entry, err error) error {
	why, err := readProblem(err)
	if err == nil {
		w.report(e, Changed, why)
	}
	return err
}

// finish makes the further names of files, dresses the directories from the inside out, and syncs.
func (r *building) finish(ctx context.Context) error {
	first := r.to.finder()
	defer first.close()
	for _, l := range r.links {
		oldDir, oldBase, err := first.at(l.first)
		var dir int
		var base string
		if err == nil {
			dir, base, err = r.made.at(l.path)
		}
		if err == nil {
			err = unix.Linkat(oldDir, oldBase, dir, base, 0)
		}
		if errors.Is(err, unix.ENOENT) && r.done.Differences > 0 {
			continue // the first was damaged, and is named
		}
		if err != nil {
			return pathError("link", l.path, err)
		}
	}
	for i := len(r.dirs) - 1; i >= 0; i-- {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		dir, base, err := r.made.at(r.dirs[i].Path)
		if err == nil {
			err = r.dress.dress(named(dir, base), &r.dirs[i])
		}
		if err != nil {
			return pathError("restore", r.dirs[i].Path, err)
		}
	}
	if err := unix.Syncfs(r.to.fd()); err != nil {
		return onPath("sync", r.To, err)
	}
	return nil
}
