package local_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/store"
	"github.com/bmad-forge/forgectl/pkg/store/local"
	"github.com/bmad-forge/forgectl/pkg/store/storetest"
)

// A store whose file system is unmounted underneath, or whose directory is replaced, says so in every call that reads
// or writes. Nothing lands on the empty mount point, or on a disk that nobody sees. When it is back, it works again.
func TestGone(t *testing.T) {
	mount := filepath.Join(t.TempDir(), "mnt")
	must(t, os.Mkdir(mount, 0o700))
	disk := storetest.Mount(t, mount, 1<<20)
	for _, dir := range []string{"", "below"} { // the mount point itself, and a directory in it
		s, err := local.Open(filepath.Join(mount, dir), local.Options{Create: true})
		must(t, err)
		defer s.Close()
		must(t, put(t, s, "set/blob", "x"))
		must(t, s.Present())
		disk.Unmount()
		_, errOpen := s.Open(t.Context(), "set/blob")
		_, errStat := s.Stat(t.Context(), "set/blob")
		_, errList := s.List(t.Context(), "set")
		_, errTop := s.List(t.Context(), "")
		for what, err := range map[string]error{
			"Present": s.Present(), "Open": errOpen, "Stat": errStat, "List": errList, "List of the top": errTop,
			"Put": put(t, s, "set/new", "x"), "Rename": s.Rename(t.Context(), "set", "other"),
		} {
			// "Not there" would mean that there never was such a set.
			if !errors.Is(err, store.ErrGone) || errors.Is(err, store.ErrNotExist) || !strings.Contains(err.Error(), mount) {
				t.Errorf("%q: %s: %v", dir, what, err)
			}
		}
		if left := disk.Files(); len(left) > 0 {
			t.Errorf("on the empty mount point: %v", left)
		}
		disk.Remount()
		must(t, put(t, s, "set/new", "x"))
		if entries, err := s.List(t.Context(), "set"); err != nil || len(entries) != 2 {
			t.Errorf("%v, %v", entries, err)
		}
		must(t, s.Delete(t.Context(), "set"))
	}
}

// A write that loses its place in the middle gets no name.
func TestGoneDuringPut(t *testing.T) {
	mount := t.TempDir()
	disk := storetest.Mount(t, mount, 1<<20)
	s := open(t, mount)
	err := s.Put(t.Context(), "set/blob", func(w io.Writer) error {
		disk.Unmount()
		_, err := io.WriteString(w, "half")
		return err
	})
	if !errors.Is(err, store.ErrGone) || len(disk.Files()) > 0 {
		t.Errorf("%v, %v", err, disk.Files())
	}
	disk.Remount()
	if left := disk.Files(); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// A disk that is really full: the error names the file and the reason, and nothing is left.
func TestNoSpace(t *testing.T) {
	mount := t.TempDir()
	disk := storetest.Mount(t, mount, 1<<20)
	s := open(t, mount)
	for _, leave := range []int64{0, 8 << 10} {
		disk.Fill(leave)
		err := put(t, s, "set/sub/blob", strings.Repeat("x", 64<<10))
		if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "set/sub") {
			t.Errorf("%d bytes left: %v", leave, err)
		}
		if left := disk.Files(); len(left) > 0 {
			t.Errorf("%d bytes left: %v", leave, left)
		}
		disk.Free()
		must(t, put(t, s, "set/sub/blob", strings.Repeat("x", 64<<10)))
		must(t, s.Delete(t.Context(), "set"))
	}
}

// What is read-only can be read, and says why it cannot be written.
func TestReadOnly(t *testing.T) {
	mount := t.TempDir()
	disk := storetest.Mount(t, mount, 1<<20)
	s := open(t, mount)
	must(t, put(t, s, "set/blob", "x"))
	disk.ReadOnly()
	s = open(t, mount)
	if entries, err := s.List(t.Context(), "set"); err != nil || len(entries) != 1 {
		t.Errorf("%v, %v", entries, err)
	}
	for what, err := range map[string]error{
		"Put": put(t, s, "set/new", "x"), "Put in a new directory": put(t, s, "new/blob", "x"),
		"Rename": s.Rename(t.Context(), "set", "other"), "Delete": s.Delete(t.Context(), "set"),
	} {
		if !errors.Is(err, syscall.EROFS) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
