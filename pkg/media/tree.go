package media

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// openedTree is a directory below which directories are opened without following a link anywhere: what lies below may be
// changed by others at any moment, and still no path leads out.
type openedTree struct {
	path string
	file *os.File
}

// openTree opens the directory. Links in its own path are the operator's, and are followed.
func openTree(path string) (*openedTree, error) { return openTreeAs(path, dirFlags&^unix.O_NOFOLLOW) }

// openOwnTree opens a tree that forgectl has made: that is itself no link.
func openOwnTree(path string) (*openedTree, error) { return openTreeAs(path, dirFlags) }

func openTreeAs(path string, flags int) (*openedTree, error) {
	fd, err := unix.Open(path, flags, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return &openedTree{path: path, file: os.NewFile(uintptr(fd), path)}, nil
}

func (r *openedTree) fd() int { return int(r.file.Fd()) }

func (r *openedTree) close() {
	if r != nil {
		_ = r.file.Close()
	}
}

// present reports that the path still leads to the directory that was opened. A file system that is unmounted lazily
// lives on for who has it open.
func (r *openedTree) present() error {
	var opened, now unix.Stat_t
	if err := unix.Fstat(r.fd(), &opened); err != nil {
		return &fs.PathError{Op: "stat", Path: r.path, Err: err}
	}
	err := unix.Stat(r.path, &now)
	if err == nil && (now.Dev != opened.Dev || now.Ino != opened.Ino) || errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("%s: %w", r.path, ErrGone)
	}
	if err != nil {
		return &fs.PathError{Op: "stat", Path: r.path, Err: err}
	}
	return nil
}

// pathMax is what the kernel takes as one path; longer ones are opened in pieces.
const pathMax = 4000

// openDir opens a directory below, by its path as entries have it. The caller closes it.
func (r *openedTree) openDir(path string) (int, error) {
	at := r.fd()
	for {
		piece, rest := path, ""
		if len(path) > pathMax {
			i := strings.LastIndexByte(path[:pathMax], '/')
			if i < 0 { // no file system has such a name
				if at != r.fd() {
					_ = unix.Close(at)
				}
				return -1, unix.ENAMETOOLONG
			}
			piece, rest = path[:i], path[i+1:]
		}
		fd, err := openBeneath(at, piece)
		if at != r.fd() {
			_ = unix.Close(at)
		}
		if err != nil || rest == "" {
			return fd, err
		}
		at, path = fd, rest
	}
}

const dirFlags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC

// openBeneath is one system call where the kernel knows how to refuse links on the way, else one for each element.
func openBeneath(at int, path string) (int, error) {
	how := &unix.OpenHow{Flags: dirFlags, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS}
	for range 8 {
		fd, err := unix.Openat2(at, path, how)
		switch {
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EPERM): // an old kernel, or a filter of system calls
			return openStepwise(at, path)
		}
		return fd, err
	}
	return openStepwise(at, path)
}

func openStepwise(at int, path string) (int, error) {
	fd := at
	for elem := range strings.SplitSeq(path, "/") {
		next, err := retry(func() (int, error) { return unix.Openat(fd, elem, dirFlags, 0) })
		if fd != at {
			_ = unix.Close(fd)
		}
		if err != nil {
			return -1, err
		}
		fd = next
	}
	return fd, nil
}

// retry calls again what a signal interrupted.
func retry[T any](call func() (T, error)) (T, error) {
	for {
		v, err := call()
		if !errors.Is(err, unix.EINTR) {
			return v, err
		}
	}
}

// gone reports errors that mean: what was there a moment ago is not there any more, or something else is.
func gone(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP)
}

// finder reaches names of a tree, one after the other. It keeps the directory that it was in, since entries come in
// order. It is used by one goroutine.
type finder struct {
	tree *openedTree
	path string // of dir
	dir  int    // -1: none is open
}

func (r *openedTree) finder() *finder { return &finder{tree: r, dir: -1} }

func (f *finder) close() {
	if f.dir >= 0 {
		_ = unix.Close(f.dir)
	}
	f.dir = -1
}

// at is the directory that path lies in, and its name there. The directory belongs to f, until the next call.
func (f *finder) at(path string) (dir int, name string, err error) {
	parent, name := Split(path)
	switch {
	case parent == "" || parent == Root:
		return f.tree.fd(), name, nil
	case f.dir >= 0 && parent == f.path:
		return f.dir, name, nil
	}
	f.close()
	if dir, err = f.tree.openDir(parent); err != nil {
		return -1, "", err
	}
	f.dir, f.path = dir, parent
	return dir, name, nil
}

// stat looks at what has a path, and follows no link.
func (f *finder) stat(path string, st *unix.Stat_t) (dir int, name string, err error) {
	if dir, name, err = f.at(path); err == nil {
		err = unix.Fstatat(dir, name, st, unix.AT_SYMLINK_NOFOLLOW)
	}
	return dir, name, err
}
