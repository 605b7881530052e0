package atomicfile

import (
	"errors"
	"io/fs"
	"os"
)

// RemoveAllIn removes a file, or a directory with everything below it, also from directories whose modes forbid it to
// their owner: a tree of files has those of its original. No link is followed. What is not there is no error.
func RemoveAllIn(root *os.Root, name string) error {
	err := root.RemoveAll(name)
	if errors.Is(err, fs.ErrPermission) {
		openDirs(root, name)
		err = root.RemoveAll(name)
	}
	return err
}

// openDirs makes all directories from the name on ones that the owner can remove from, as far as it may.
func openDirs(root *os.Root, name string) {
	if fi, err := root.Lstat(name); err != nil || !fi.IsDir() || root.Chmod(name, 0o700) != nil {
		return
	}
	dir, err := root.Open(name)
	if err != nil {
		return
	}
	entries, _ := dir.ReadDir(-1)
	_ = dir.Close()
	for _, e := range entries {
		if e.IsDir() {
			openDirs(root, name+"/"+e.Name())
		}
	}
}
