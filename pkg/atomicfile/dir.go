package atomicfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// SyncDir brings the names in a directory to stable storage.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync %s: %w", dir, cause(err))
	}
	return syncDir(d, dir)
}

// SyncDirIn is SyncDir for a directory below root.
func SyncDirIn(root *os.Root, dir string) error {
	path := filepath.Join(root.Name(), dir)
	d, err := root.Open(dir)
	if err != nil {
		return fmt.Errorf("sync %s: %w", path, cause(err))
	}
	return syncDir(d, path)
}

func syncDir(d *os.File, path string) error {
	defer d.Close()
	err := d.Sync()
	// Some file systems (SMB, FUSE) have nothing to do here and say so with an error.
	if err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, errors.ErrUnsupported) {
		return fmt.Errorf("sync %s: %w", path, cause(err))
	}
	return nil
}

// MkdirAll makes a directory and those above it that are missing, durably, with exactly the permissions perm.
// What exists is left as it is; something that is no directory is an error.
func MkdirAll(path string, perm fs.FileMode) error {
	abs, err := filepath.Abs(path)
	if err != nil {
		return fmt.Errorf("make directory %s: %w", path, err)
	}
	// From the nearest directory that exists; a symbolic link above it is the operator's.
	base, missing := abs, ""
	for {
		fi, err := os.Stat(base)
		if err == nil && !fi.IsDir() {
			return fmt.Errorf("make directory %s: %s: %w", path, base, syscall.ENOTDIR)
		}
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrNotExist) || base == filepath.Dir(base) {
			return fmt.Errorf("make directory %s: %w", path, err)
		}
		missing = filepath.Join(filepath.Base(base), missing)
		base = filepath.Dir(base)
	}
	if missing == "" {
		return nil
	}
	root, err := os.OpenRoot(base)
	if err != nil {
		return fmt.Errorf("make directory %s: %w", path, err)
	}
	defer root.Close()
	_, err = MkdirAllIn(root, missing, perm)
	return err
}

// MkdirAllIn is MkdirAll below root. It returns the directories that it made, outermost first, also together
// with an error; the caller may remove them again.
func MkdirAllIn(root *os.Root, name string, perm fs.FileMode) (made []string, err error) {
	name = filepath.Clean(name)
	if name == "." {
		return nil, nil
	}
	if fi, err := root.Stat(name); err == nil && fi.IsDir() {
		return nil, nil
	}
	parent := filepath.Dir(name)
	made, err = MkdirAllIn(root, parent, perm)
	if err != nil {
		return made, err
	}
	created, err := mkdirIn(root, parent, name, perm)
	for range mkdirTries {
		if !errors.Is(err, fs.ErrExist) || !vanished(root, name) {
			break
		}
		created, err = mkdirIn(root, parent, name, perm)
	}
	if created {
		made = append(made, name)
	}
	if err != nil {
		return made, fmt.Errorf("make directory %s: %w", filepath.Join(root.Name(), name), cause(err))
	}
	return made, nil
}

// mkdirTries bounds how often a directory is met that somebody else made, and took away again before it could be used.
const mkdirTries = 100

func vanished(root *os.Root, name string) bool {
	_, err := root.Lstat(name)
	return errors.Is(err, fs.ErrNotExist)
}

// mkdirIn makes one directory under a temporary name first: a kill leaves none that belongs to the wrong user
// under its real name.
func mkdirIn(root *os.Root, parent, name string, perm fs.FileMode) (created bool, err error) {
	temp := tempName(name)
	if err := root.Mkdir(temp, perm&^0o077); err != nil {
		return false, err
	}
	err = dressDir(root, parent, temp, perm)
	if err == nil {
		err = renameNew(root, temp, name)
	}
	if err != nil {
		root.Remove(temp)
		if fi, statErr := root.Stat(name); statErr == nil && fi.IsDir() && errors.Is(err, fs.ErrExist) {
			return false, nil // somebody else was faster
		}
		return false, err
	}
	return true, SyncDirIn(root, parent)
}

// dressDir gives a new directory its owner and permissions.
func dressDir(root *os.Root, parent, name string, perm fs.FileMode) error {
	d, err := root.Open(name)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := giveFile(root, parent, d); err != nil {
		return err
	}
	return d.Chmod(perm)
}
