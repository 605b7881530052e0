package atomicfile

import (
	"fmt"
	"os"
	"path/filepath"
)

// Symlink makes link point to target, atomically in the place of a link or file that has the name. It never
// replaces a directory.
func Symlink(target, link string) error {
	dir, base, err := split(link)
	if err != nil {
		return fmt.Errorf("link %s: %w", link, err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("link %s: %w", link, cause(err))
	}
	defer root.Close()
	if err := symlinkIn(root, target, base); err != nil {
		return fmt.Errorf("link %s: %w", link, cause(err))
	}
	return SyncDirIn(root, ".")
}

// SymlinkIn is Symlink for a name below root.
func SymlinkIn(root *os.Root, target, name string) error {
	if err := symlinkIn(root, target, name); err != nil {
		return fmt.Errorf("link %s: %w", filepath.Join(root.Name(), name), cause(err))
	}
	return SyncDirIn(root, filepath.Dir(name))
}

func symlinkIn(root *os.Root, target, base string) error {
	temp := tempName(base)
	if err := root.Symlink(target, temp); err != nil {
		return err
	}
	uid, gid, err := heir(root, filepath.Dir(base))
	if err == nil && uid >= 0 {
		err = root.Lchown(temp, uid, gid)
	}
	if err == nil {
		err = root.Rename(temp, base)
	}
	if err != nil {
		root.Remove(temp)
	}
	return err
}
