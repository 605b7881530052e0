package storetest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// Disk is a small file system of a test's own, mounted at Path: it can run full, become read-only, or go away.
type Disk struct {
	Path string
	// Back is the same file system by another way, which stays when it is unmounted from Path: what a test writes
	// here beside "root" takes up space, and Back/root is what Path shows.
	Back string
	t    testing.TB
}

// Mount mounts a new file system of so many bytes at path, an empty directory. The test's end unmounts it. Who may not
// mount skips the test; where CI is set it fails instead.
func Mount(t testing.TB, path string, bytes int64) *Disk {
	t.Helper()
	d := &Disk{Path: path, Back: t.TempDir(), t: t}
	err := unix.Mount("tmpfs", d.Back, "tmpfs", 0, fmt.Sprintf("mode=0755,size=%d", bytes))
	if errors.Is(err, unix.EPERM) {
		if os.Getenv("CI") != "" {
			t.Fatal("cannot be left out in CI: this user may not mount a file system")
		}
		t.Skip("this user may not mount a file system")
	}
	d.must(err)
	t.Cleanup(d.Close)
	d.must(os.Mkdir(filepath.Join(d.Back, "root"), 0o700))
	d.Remount()
	return d
}

// Close unmounts it for good. The test's end does so as well.
func (d *Disk) Close() {
	for unix.Unmount(d.Path, unix.MNT_DETACH) == nil { // also what was mounted on top
	}
	_ = unix.Unmount(d.Back, unix.MNT_DETACH)
}

// Fill leaves no more than so many bytes.
func (d *Disk) Fill(leave int64) {
	d.t.Helper()
	var st unix.Statfs_t
	d.must(unix.Statfs(d.Back, &st))
	f, err := os.OpenFile(d.filler(), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	d.must(err)
	defer f.Close()
	_, err = f.Write(make([]byte, max(int64(st.Bavail)*st.Bsize-leave, 0)))
	d.must(err)
}

// Free takes Fill back.
func (d *Disk) Free() {
	d.t.Helper()
	d.must(os.Remove(d.filler()))
}

func (d *Disk) filler() string { return filepath.Join(d.Back, "filler") }

// Unmount takes the file system away, as umount -l does, also from those who have it open.
func (d *Disk) Unmount() {
	d.t.Helper()
	d.must(unix.Unmount(d.Path, unix.MNT_DETACH))
}

// Remount brings it back, with what it holds.
func (d *Disk) Remount() {
	d.t.Helper()
	d.must(unix.Mount(filepath.Join(d.Back, "root"), d.Path, "", unix.MS_BIND, ""))
}

// ReadOnly makes it read-only at Path.
func (d *Disk) ReadOnly() {
	d.t.Helper()
	d.must(unix.Mount("", d.Path, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""))
}

// Files is every file below Path: while it is unmounted, what was written to the empty mount point.
func (d *Disk) Files() []string {
	d.t.Helper()
	var files []string
	d.must(filepath.WalkDir(d.Path, func(path string, _ os.DirEntry, err error) error {
		if path != d.Path {
			files = append(files, path)
		}
		return err
	}))
	return files
}

func (d *Disk) must(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}
