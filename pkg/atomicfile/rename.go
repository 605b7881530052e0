package atomicfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// RenameNew renames a file or directory below root, durably, and never replaces anything: if the new name is
// taken the error is fs.ErrExist. After any error the old name is still there.
func RenameNew(root *os.Root, from, to string) error {
	if err := renameNew(root, from, to); err != nil {
		return fmt.Errorf("rename %s to %s: %w", filepath.Join(root.Name(), from), to, cause(err))
	}
	err := SyncDirIn(root, filepath.Dir(to))
	if err == nil && filepath.Dir(from) != filepath.Dir(to) {
		err = SyncDirIn(root, filepath.Dir(from))
	}
	if err != nil {
		// What was promised cannot be: take it back.
		if back := renameNew(root, to, from); back != nil {
			err = errors.Join(err, fmt.Errorf("rename back: %w", back))
		}
	}
	return err
}

// renameNew is a rename that fails when the new name is taken.
func renameNew(root *os.Root, from, to string) error {
	err := renameNoReplace(root, from, to)
	if !unsupported(err) {
		return err
	}
	// This look before the leap leaves a gap that only writers without a lock can fall into.
	_, err = root.Lstat(to)
	if err == nil {
		return fs.ErrExist
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return root.Rename(from, to)
}

// placeNew is renameNew for a file, where a second name closes the gap.
func placeNew(root *os.Root, from, to string) error {
	err := renameNoReplace(root, from, to)
	if !unsupported(err) {
		return err
	}
	if err := root.Link(from, to); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return err
		}
		return renameNew(root, from, to) // no second names either
	}
	return root.Remove(from)
}

// renameNoReplace does it in one step, which NFS and others do not support.
func renameNoReplace(root *os.Root, from, to string) error {
	fromDir, err := root.Open(filepath.Dir(from))
	if err != nil {
		return err
	}
	defer fromDir.Close()
	toDir, err := root.Open(filepath.Dir(to))
	if err != nil {
		return err
	}
	defer toDir.Close()
	return unix.Renameat2(int(fromDir.Fd()), filepath.Base(from), int(toDir.Fd()), filepath.Base(to), unix.RENAME_NOREPLACE)
}

func unsupported(err error) bool {
	return errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS)
}
