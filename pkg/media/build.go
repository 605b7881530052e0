package media

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
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
	Unowned               int64 // whose owner or group this user may not set
	Unmarked              int64 // extended attributes that this user, or this file system, cannot set
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
	from, err := openRoot(b.From)
	if err != nil {
		return Built{}, err
	}
	defer func() { _ = unix.Close(from) }()
	if err := unix.Mkdir(b.To, 0o700); err != nil {
		return Built{}, fmt.Errorf("make directory %s: %w", b.To, err)
	}
	to, err := openRoot(b.To)
	if err != nil {
		return Built{}, err
	}
	defer func() { _ = unix.Close(to) }()
	// What the directory above would pass on is nothing that the index knows of.
	for _, name := range []string{"system.posix_acl_default", "system.posix_acl_access"} {
		_ = unix.Fremovexattr(to, name)
	}
	r := &building{Building: b, from: from, to: to, first: map[[2]uint64]string{}, made: newBeneath(to)}
	defer r.made.Close()
	err = eachBatch(ctx, b.Index, b.Jobs, r.accept, func() (func(context.Context, []Entry) error, func()) {
		w := &builder{building: r, src: newBeneath(from), dst: newBeneath(to), sha: sha256.New(), buffer: make([]byte, 256<<10)}
		return w.batch, func() { w.src.Close(); w.dst.Close() }
	})
	if err == nil {
		err = r.finish(ctx)
	}
	return r.done, err
}

// building is one that runs.
type building struct {
	Building
	from, to int
	noClones atomic.Bool

	// Of the goroutine that reads the index:
	made  *beneath
	dirs  []Entry // get what they are to be at the end: until then they must be writable
	first map[[2]uint64]string
	links []link

	mu   sync.Mutex
	done Built
}

// link is a further name of a file.
type link struct{ path, first string }

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
		key := [2]uint64{e.Dev, e.Inode}
		if first, known := r.first[key]; known {
			r.links = append(r.links, link{e.Path, first})
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
	src, dst *beneath
	sha      hash.Hash
	buffer   []byte
}

func (w *builder) batch(ctx context.Context, batch []Entry) error {
	for i := range batch {
		e := &batch[i]
		make := w.file
		if e.Type == Symlink {
			make = w.symlink
		}
		if err := make(ctx, e); err != nil {
			return pathError("restore", e.Path, err)
		}
	}
	return nil
}

func (w *builder) symlink(_ context.Context, e *Entry) error {
	srcDir, srcBase, err := w.src.at(e.Path)
	var target string
	if err == nil {
		target, err = linkTarget(srcDir, srcBase)
	}
	switch {
	case errors.Is(err, unix.EINVAL):
		w.report(e, Changed, "is no symbolic link")
		return nil
	case absent(err):
		w.report(e, Missing, "")
		return nil
	case err != nil:
		return err
	case target != e.Target:
		w.report(e, Changed, "leads to "+Quote(target)+" instead of "+Quote(e.Target))
		return nil
	}
	dir, base, err := w.dst.at(e.Path)
	if err == nil {
		err = unix.Symlinkat(e.Target, dir, base)
	}
	if err == nil {
		err = w.dress(e, dir, base)
	}
	w.count(func(b *Built) { b.Symlinks++ })
	return err
}

func (w *builder) file(ctx context.Context, e *Entry) error {
	dir, base, err := w.src.at(e.Path)
	var src int
	if err == nil {
		src, err = unix.Openat(dir, base, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	}
	if errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENXIO) {
		w.report(e, Changed, "is no regular file")
		return nil
	}
	if absent(err) {
		w.report(e, Missing, "")
		return nil
	}
	if err != nil {
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
	if dir, base, err = w.dst.at(e.Path); err != nil {
		return err
	}
	dst, err := unix.Openat(dir, base, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	sum, err := w.fill(ctx, e, src, dst)
	if closeErr := unix.Close(dst); err == nil {
		err = closeErr
	}
	if err != nil {
		return w.unreadable(e, err)
	}
	if sum != e.SHA256 {
		w.report(e, Changed, checksumMismatch)
		return nil
	}
	w.count(func(b *Built) { b.Files++; b.Bytes += e.Size })
	return w.dress(e, dir, base)
}

// unreadable makes damage of what the disk lost.
func (w *builder) unreadable(e *Entry, err error) error {
	why, err := readProblem(err)
	if err == nil {
		w.report(e, Changed, why)
	}
	return err
}

// fill gives a new file its content and returns the hash of it.
func (w *builder) fill(ctx context.Context, e *Entry, src, dst int) (string, error) {
	w.sha.Reset()
	if !w.noClones.Load() && e.Size > 0 {
		err := unix.IoctlFileClone(dst, src)
		if err == nil {
			err = w.copy(ctx, dst, -1, 0, e.Size) // what has been written is what is hashed
			return hex.EncodeToString(w.sha.Sum(nil)), err
		}
		if errors.Is(err, unix.ENOSPC) {
			return "", err
		}
		w.noClones.Store(true)
	}
	extents := e.Extents
	if extents == nil {
		extents = []Extent{{0, e.Size}}
	}
	var at int64
	for _, x := range extents {
		err := w.hole(ctx, x.Offset-at)
		if err == nil {
			err = w.copy(ctx, src, dst, x.Offset, x.Length)
		}
		if err != nil {
			return "", err
		}
		at = x.Offset + x.Length
	}
	if err := w.hole(ctx, e.Size-at); err != nil {
		return "", err
	}
	if e.Extents != nil {
		if err := unix.Ftruncate(dst, e.Size); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(w.sha.Sum(nil)), nil
}

// copy hashes a run of a file and writes it to the same place of another; dst -1: nowhere.
func (w *builder) copy(ctx context.Context, src, dst int, at, length int64) error {
	for length > 0 {
		n, err := unix.Pread(src, w.buffer[:min(length, int64(len(w.buffer)))], at)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		if n == 0 {
			return nil // shorter than it was: the hash shows it
		}
		w.sha.Write(w.buffer[:n])
		for written := 0; dst >= 0 && written < n; {
			k, err := unix.Pwrite(dst, w.buffer[written:n], at+int64(written))
			if err != nil && !errors.Is(err, unix.EINTR) {
				return err
			}
			written += max(k, 0)
		}
		at, length = at+int64(n), length-int64(n)
		w.Progress(int64(n))
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return nil
}

// hole hashes zeros.
func (w *builder) hole(ctx context.Context, length int64) error {
	if length == 0 {
		return nil
	}
	clear(w.buffer)
	for length > 0 {
		n := min(length, int64(len(w.buffer)))
		w.sha.Write(w.buffer[:n])
		length -= n
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return nil
}

// dress gives an object its owner, extended attributes, permissions and time, in the order in which none of them undoes
// another.
func (r *building) dress(e *Entry, dir int, base string) error {
	owned, err := r.own(e, dir, base)
	if err != nil {
		return err
	}
	if !owned {
		r.count(func(b *Built) { b.Unowned++ })
	}
	for name, value := range e.Xattrs {
		err := unix.Lsetxattr(named(dir, base), name, value, 0)
		if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.EACCES) {
			r.count(func(b *Built) { b.Unmarked++ })
			continue
		}
		if err != nil {
			return fmt.Errorf("extended attribute %s: %w", name, err)
		}
	}
	if e.Type != Symlink {
		mode := e.Mode
		if !owned && e.Type == File {
			mode &^= 0o6000 // rights of somebody else
		}
		if err := unix.Fchmodat(dir, base, mode, 0); err != nil {
			return err
		}
	}
	return setMTime(dir, base, e.MTime)
}

// own gives an object its owner and group, as far as this user may.
func (r *building) own(e *Entry, dir int, base string) (bool, error) {
	var st unix.Stat_t
	if err := unix.Fstatat(dir, base, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return false, err
	}
	if st.Uid == e.UID && st.Gid == e.GID {
		return true, nil
	}
	forbidden := func(err error) bool { return errors.Is(err, unix.EPERM) || errors.Is(err, unix.EINVAL) }
	err := unix.Fchownat(dir, base, int(e.UID), int(e.GID), unix.AT_SYMLINK_NOFOLLOW)
	if forbidden(err) && st.Gid != e.GID {
		// An owner may give a file to another group of theirs.
		if err := unix.Fchownat(dir, base, -1, int(e.GID), unix.AT_SYMLINK_NOFOLLOW); err != nil && !forbidden(err) {
			return false, err
		}
	}
	if forbidden(err) {
		return false, nil
	}
	return err == nil, err
}

// finish makes the further names of files, dresses the directories from the inside out, and syncs.
func (r *building) finish(ctx context.Context) error {
	first := newBeneath(r.to)
	defer first.Close()
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
			err = r.dress(&r.dirs[i], dir, base)
		}
		if err != nil {
			return pathError("restore", r.dirs[i].Path, err)
		}
	}
	if err := unix.Syncfs(r.to); err != nil {
		return fmt.Errorf("sync %s: %w", r.To, err)
	}
	return nil
}

// RemoveTree removes a tree that may hold directories which their owner may not write to. What is not there is no
// error.
func RemoveTree(path string) error {
	err := os.RemoveAll(path)
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	_ = filepath.WalkDir(path, func(p string, d fs.DirEntry, _ error) error {
		if d != nil && d.IsDir() {
			_ = os.Chmod(p, 0o700) //nolint:gosec // a directory; what cannot be removed then is said below
		}
		return nil
	})
	return os.RemoveAll(path)
}
