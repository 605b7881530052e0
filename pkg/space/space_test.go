package space

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// Promise: free space is counted in fragments, is never more than there is, and what is without end is not negative.
func TestBytes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		st   unix.Statfs_t
		want int64
	}{
		"ext4":               {unix.Statfs_t{Bsize: 4096, Frsize: 4096, Bavail: 10}, 40960},
		"reads in megabytes": {unix.Statfs_t{Bsize: 1 << 20, Frsize: 4096, Bavail: 10}, 40960},
		"no fragments":       {unix.Statfs_t{Bsize: 512, Bavail: 10}, 5120},
		"full":               {unix.Statfs_t{Bsize: 4096, Frsize: 4096}, 0},
		"without end":        {unix.Statfs_t{Bsize: 16 << 20, Frsize: 16 << 20, Bavail: math.MaxUint64 >> 1}, math.MaxInt64},
		"nothing at all":     {unix.Statfs_t{}, 0},
	} {
		if got := bytes(&c.st); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

// Promise: of what is not there yet the directory above is asked; by its name or by what is open, it is the same file
// system; what cannot be asked is an error.
func TestFree(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, file, filepath.Join(dir, "not/there/yet")} {
		if n, err := FreeBelow(path); err != nil || n <= 0 {
			t.Errorf("%s: %d, %v", path, n, err)
		}
	}
	if _, err := FreeBelow(filepath.Join(file, "below")); !errors.Is(err, unix.ENOTDIR) {
		t.Errorf("below a file: %v", err)
	}
	if _, err := Free(filepath.Join(dir, "not")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("not there: %v", err)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := FreeOf(f); err != nil || n <= 0 {
		t.Errorf("open: %d, %v", n, err)
	}
	_ = f.Close()
	if _, err := FreeOf(f); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("closed: %v", err)
	}
}
