// Package local is a store in a directory of this machine.
//
// A blob is a file, a name its path below the root; directories are made when they are needed. Files have mode
// 0600 and directories 0700; what root makes belongs to the owner of the directory that it lies in. A Put is
// written beside its place and renamed (package atomicfile): when it has returned, file and names are on stable
// storage; when it has failed, neither the file nor a directory made for it is left. Only a process that is
// killed leaves a temporary file, which is never listed.
//
// No name leads out of the root, whatever symbolic links lie below it, and a blob that is a symbolic link is
// not opened at all. The root itself may be one.
//
// A file system that is unmounted lazily lives on for whoever has it open, and nobody else sees what is written
// there. So whenever the path of the root no longer leads to the directory that was opened, nothing is read or
// written any more: store.ErrGone. Only Delete still works, to clean up.
//
// A *Store is a store.Store, Renamer, Spacer and Locator. The caller closes it.
package local

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bmad-forge/forgectl/pkg/atomicfile"
	"github.com/bmad-forge/forgectl/pkg/space"
	"github.com/bmad-forge/forgectl/pkg/store"
)

const (
	fileMode = 0o600
	dirMode  = 0o700
)

// Options for Open.
type Options struct {
	// Create makes the root, and what is missing above it, if it does not exist.
	Create bool
}

// Store is a store in a directory.
type Store struct {
	root *os.Root
	dir  *os.File // the same, for openBeneath; nil where the kernel cannot do it
	path string
	self place // the root's, to know it again
}

// Open opens the store in the directory root. If that does not exist and is not to be created, the error is
// store.ErrNotExist.
func Open(root string, o Options) (*Store, error) {
	abs, err := filepath.Abs(root)
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", root, err)
	}
	if o.Create {
		if err := atomicfile.MkdirAll(abs, dirMode); err != nil {
			return nil, fmt.Errorf("open store: %w", err)
		}
	}
	r, err := os.OpenRoot(abs)
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", abs, cause(err))
	}
	dir, err := r.Open(".")
	if err != nil {
		r.Close()
		return nil, fmt.Errorf("open store %s: %w", abs, cause(err))
	}
	s := &Store{root: r, dir: dir, path: abs}
	var st unix.Stat_t
	if err := unix.Fstat(int(dir.Fd()), &st); err != nil {
		s.Close()
		return nil, fmt.Errorf("open store %s: %w", abs, err)
	}
	s.self = placeOf(&st)
	return s, nil
}

// Close ends the use of the store.
func (s *Store) Close() error {
	if s.dir != nil {
		s.dir.Close()
	}
	return s.root.Close()
}

// Present reports, with store.ErrGone, that the path of the root leads somewhere else by now.
func (s *Store) Present() error {
	var now unix.Stat_t
	err := unix.Stat(s.path, &now)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && placeOf(&now) != s.self:
		return fmt.Errorf("%s is %w", s.path, store.ErrGone) // and nothing that means: no such blob
	case err != nil:
		return fmt.Errorf("%s: %w", s.path, err)
	}
	return nil
}

// place tells a directory from every other.
type place struct{ device, inode uint64 }

func placeOf(st *unix.Stat_t) place { return place{st.Dev, st.Ino} }

// Open reads a blob. What it returns is an *os.File.
func (s *Store) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	if err := s.ready(ctx, "open", name); err != nil {
		return nil, err
	}
	f, err := s.open(name)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", name, absent(err))
	}
	return f, nil
}

func (s *Store) open(name string) (*os.File, error) {
	// What is no regular file is not waited for: a pipe has another end.
	const flags = os.O_RDONLY | syscall.O_NONBLOCK
	f, ok := s.openBeneath(name, flags|syscall.O_NOFOLLOW)
	if !ok {
		fi, err := s.root.Lstat(name)
		if err == nil && !fi.Mode().IsRegular() {
			err = store.ErrNotBlob
		}
		if err == nil {
			f, err = s.root.OpenFile(name, flags, 0)
		}
		if err != nil {
			return nil, err
		}
	}
	if fi, err := f.Stat(); err != nil || !fi.Mode().IsRegular() {
		f.Close()
		return nil, cmp.Or(err, store.ErrNotBlob)
	}
	return f, nil
}

// openBeneath is what os.Root does with a system call or two for every element of the name, in one: listing
// thousands of sets consists of little else. When it fails, whatever the reason, os.Root has the last word.
func (s *Store) openBeneath(name string, flags int) (*os.File, bool) {
	if s.dir == nil {
		return nil, false
	}
	fd, err := unix.Openat2(int(s.dir.Fd()), name, &unix.OpenHow{
		Flags:   uint64(flags) | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS,
	})
	if err != nil {
		return nil, false
	}
	return os.NewFile(uintptr(fd), filepath.Join(s.path, name)), true
}

// Stat describes what has the name.
func (s *Store) Stat(ctx context.Context, name string) (store.Entry, error) {
	if err := s.ready(ctx, "stat", name); err != nil {
		return store.Entry{}, err
	}
	fi, err := s.root.Lstat(name)
	if err != nil {
		return store.Entry{}, fmt.Errorf("stat %s: %w", name, absent(err))
	}
	return entry(fi), nil
}

// List is what stands directly below dir. Names that Put would not take are left out.
func (s *Store) List(ctx context.Context, dir string) ([]store.Entry, error) {
	if err := store.CheckDir(dir); err != nil {
		return nil, fmt.Errorf("list: %w", err)
	}
	if err := context.Cause(ctx); err != nil {
		return nil, fmt.Errorf("list %s: %w", dir, err)
	}
	if err := s.Present(); err != nil {
		return nil, fmt.Errorf("list %s: %w", dir, err)
	}
	entries, err := s.list(cmp.Or(dir, "."))
	if err = absent(err); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list %s: %w", cmp.Or(dir, s.path), err)
	}
	return entries, nil
}

func (s *Store) list(dir string) ([]store.Entry, error) {
	// O_DIRECTORY: whatever else has the name is not even opened.
	const flags = os.O_RDONLY | syscall.O_DIRECTORY
	d, ok := s.openBeneath(dir, flags)
	if !ok {
		var err error
		if d, err = s.root.OpenFile(dir, flags, 0); err != nil {
			return nil, err
		}
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	entries := make([]store.Entry, 0, len(names))
	for _, name := range names {
		if store.CheckName(name) != nil {
			continue
		}
		// Relative to the directory that is open, wherever it has been moved meanwhile.
		var st unix.Stat_t
		err := unix.Fstatat(int(d.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW)
		switch {
		case err == nil:
			entries = append(entries, statEntry(name, &st))
		case !errors.Is(err, fs.ErrNotExist): // it has vanished since
			return nil, err
		}
	}
	slices.SortFunc(entries, func(a, b store.Entry) int { return cmp.Compare(a.Name, b.Name) })
	return entries, nil
}

// Delete removes a blob, or everything below the name.
func (s *Store) Delete(ctx context.Context, name string) error {
	if err := ready(ctx, "delete", name); err != nil {
		return err
	}
	err := atomicfile.RemoveAllIn(s.root, name)
	if err == nil {
		err = atomicfile.SyncDirIn(s.root, path.Dir(name))
	}
	if err = absent(err); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("delete %s: %w", name, err)
	}
	return nil
}

// Free is the bytes that can still be written, without the reserve that the file system keeps for root.
func (s *Store) Free(ctx context.Context) (int64, error) {
	if err := context.Cause(ctx); err != nil {
		return 0, fmt.Errorf("free space: %w", err)
	}
	d, err := s.root.Open(".")
	if err != nil {
		return 0, fmt.Errorf("free space: %w", err)
	}
	defer d.Close()
	return space.FreeOf(d)
}

// Path is where the blob lies, or would lie; of "" it is the root.
func (s *Store) Path(name string) (string, error) {
	if err := store.CheckDir(name); err != nil {
		return "", err
	}
	return filepath.Join(s.path, filepath.FromSlash(name)), nil
}

func entry(fi fs.FileInfo) store.Entry {
	e := store.Entry{Name: fi.Name(), Dir: fi.IsDir(), ModTime: fi.ModTime()}
	if fi.Mode().IsRegular() {
		e.Size = fi.Size()
	} else {
		e.Irregular = !e.Dir
	}
	return e
}

func statEntry(name string, st *unix.Stat_t) store.Entry {
	e := store.Entry{Name: name, ModTime: time.Unix(st.Mtim.Unix())}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		e.Size = st.Size
	case unix.S_IFDIR:
		e.Dir = true
	default:
		e.Irregular = true
	}
	return e
}

// ready is asked before anything is read or written.
func (s *Store) ready(ctx context.Context, verb, name string) error {
	if err := ready(ctx, verb, name); err != nil {
		return err
	}
	if err := s.Present(); err != nil {
		return fmt.Errorf("%s %s: %w", verb, name, err)
	}
	return nil
}

func ready(ctx context.Context, verb, name string) error {
	if err := store.CheckName(name); err != nil {
		return fmt.Errorf("%s: %w", verb, err)
	}
	if err := context.Cause(ctx); err != nil {
		return fmt.Errorf("%s %s: %w", verb, name, err)
	}
	return nil
}

// cause drops the path that the os package adds; the message names the blob.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// absent is cause, and below a file there is nothing, as in a place where directories are only in the names.
func absent(err error) error {
	if errors.Is(err, syscall.ENOTDIR) {
		return fs.ErrNotExist
	}
	return cause(err)
}
