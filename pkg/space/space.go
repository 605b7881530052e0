// Package space says how much still fits on a file system.
//
// It is what an ordinary user can write: the reserve that a file system keeps for
// root is not counted, and a quota that is not the file system's own is not
// known. Others write too: it is an estimate, and running full stays an error
// that everybody has to bear.
package space

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Free is the bytes that are free where path is.
func Free(path string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return 0, fmt.Errorf("free space of %s: %w", path, err)
	}
	return bytes(&st), nil
}

// FreeBelow is the bytes that are free where path is, or would be: of what is not there, the directory above is asked.
func FreeBelow(path string) (int64, error) {
	for {
		n, err := Free(path)
		above := filepath.Dir(path)
		if !errors.Is(err, fs.ErrNotExist) || above == path {
			return n, err
		}
		path = above
	}
}

// FreeOf is the bytes that are free where an open file or directory is.
func FreeOf(f *os.File) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &st); err != nil {
		return 0, fmt.Errorf("free space of %s: %w", f.Name(), err)
	}
	return bytes(&st), nil
}

// bytes counts in fragments, as statvfs(3) and df do. Those of a local file system are its blocks; where files come by FUSE
// or from a host of virtual machines, what is called the block size is often only what is best read at once.
func bytes(st *unix.Statfs_t) int64 {
	unit := st.Frsize
	if unit <= 0 {
		unit = st.Bsize
	}
	if unit > 0 && st.Bavail > uint64(math.MaxInt64/unit) { // without end, as object stores are
		return math.MaxInt64
	}
	return int64(st.Bavail) * unit
}
