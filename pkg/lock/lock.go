package lock

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/bmad-forge/forgectl/pkg/atomicfile"
)

// Lock is a lock that is held.
type Lock struct {
	mu     sync.Mutex
	file   *os.File // nil after Release
	shared bool
}

// Acquire takes the lock at path for h alone. PID, Host and Since of h are filled in where they are zero.
func Acquire(path string, h Holder) (*Lock, error) { return acquire(path, h, false) }

// AcquireShared takes the lock together with other shared holders, and with no exclusive one.
func AcquireShared(path string, h Holder) (*Lock, error) { return acquire(path, h, true) }

// A holder writes its name right after it got the lock, so whoever comes between looks a few times.
const (
	nameTries = 20
	namePause = 5 * time.Millisecond
)

func acquire(path string, h Holder, shared bool) (*Lock, error) {
	var held Holder
	for try := range nameTries {
		if try > 0 {
			time.Sleep(namePause)
		}
		file, err := open(path)
		if err != nil {
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		err = flock(file, shared)
		if err == nil && !stillThere(file, path) { // somebody deleted the file in between
			file.Close()
			continue
		}
		if err == nil {
			return record(file, path, h, shared)
		}
		held = readHolder(file)
		file.Close()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		if held.alive() {
			break
		}
	}
	return nil, &HeldError{Path: path, Holder: held}
}

func record(file *os.File, path string, h Holder, shared bool) (*Lock, error) {
	// A full disk must not keep anybody from pruning it: the lock is held, only nameless.
	if err := h.filled().write(file, shared); err != nil && !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EDQUOT) {
		file.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return &Lock{file: file, shared: shared}, nil
}

// Release gives the lock up. A second call does nothing.
func (l *Lock) Release() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	if !l.shared {
		// A courtesy: who finds the lock held next must not read this name.
		l.file.Truncate(0) //nolint:errcheck // nothing depends on it
	}
	// Not left to Close alone: a child being started at this moment still has the descriptor.
	err := errors.Join(syscall.Flock(int(l.file.Fd()), syscall.LOCK_UN), l.file.Close())
	l.file = nil
	if err != nil {
		return fmt.Errorf("release lock: %w", err)
	}
	return nil
}

// open opens the lock file, which it makes if there is none.
func open(path string) (*os.File, error) {
	for {
		// Not through a link that somebody has put here: root would write into what it points to.
		f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|syscall.O_NOFOLLOW, 0)
		if err == nil {
			return checked(f, path)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, plainCause(err)
		}
		if err := create(path); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
	}
}

// create makes an empty lock file that has its owner from the first moment on: were root killed in between,
// the user would be locked out for good.
func create(path string) error {
	f, err := atomicfile.Create(path, 0o600)
	if err != nil {
		return err
	}
	defer f.Abort()
	return f.CommitNew()
}

// checked refuses what is no file, and as root gives a file with the wrong owner to the right one.
func checked(f *os.File, path string) (*os.File, error) {
	fi, err := f.Stat()
	if err == nil && !fi.Mode().IsRegular() {
		err = errors.New("not a regular file")
	}
	if err == nil && os.Geteuid() == 0 {
		err = repairOwner(f, fi, path)
	}
	if err != nil {
		f.Close()
		return nil, plainCause(err)
	}
	return f, nil
}

func repairOwner(f *os.File, fi fs.FileInfo, path string) error {
	dir, err := os.Stat(filepath.Dir(path))
	if err != nil {
		return err
	}
	want, ok1 := dir.Sys().(*syscall.Stat_t)
	have, ok2 := fi.Sys().(*syscall.Stat_t)
	if !ok1 || !ok2 || want.Uid == have.Uid {
		return nil
	}
	return f.Chown(int(want.Uid), int(want.Gid))
}

func flock(f *os.File, shared bool) error {
	how := syscall.LOCK_EX
	if shared {
		how = syscall.LOCK_SH
	}
	for {
		err := syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// stillThere reports whether the locked file is the one that others will open.
func stillThere(f *os.File, path string) bool {
	mine, err := f.Stat()
	if err != nil {
		return false
	}
	theirs, err := os.Lstat(path)
	return err == nil && os.SameFile(mine, theirs)
}

// plainCause drops the path that the os package adds; the caller has named it.
func plainCause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
