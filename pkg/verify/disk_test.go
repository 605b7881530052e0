package verify_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/catalog/catalogtest"
	"github.com/bmad-forge/forgectl/pkg/store"
	"github.com/bmad-forge/forgectl/pkg/store/storetest"
	"github.com/bmad-forge/forgectl/pkg/verify"
)

// onDisk moves the set to a small file system of its own.
func onDisk(t *testing.T, s *copied) (*copied, *storetest.Disk) {
	t.Helper()
	mount := t.TempDir()
	disk := storetest.Mount(t, mount, 4<<20)
	return &copied{*catalogtest.CopyTo(t, mount, s.Root(), s.Ref)}, disk
}

// Promise: a verdict that finds no room beside the set, or a read-only one, is
// given all the same, with a warning that says why it is not recorded; nothing
// half is left there. With room it is recorded.
func TestNoRoomForVerdict(t *testing.T) {
	t.Parallel()
	s, disk := onDisk(t, copySet(t, true))
	for _, damaged := range []bool{false, true} {
		if damaged {
			data := s.Read("RECOVER.md")
			data[0] ^= 1
			s.Write("RECOVER.md", data)
		}
		disk.Fill(0)
		v, err := verify.Verify(t.Context(), s.options(catalog.LevelDecode), s.Set())
		must(t, err)
		if v.OK == damaged || len(v.Warnings) != 1 || !strings.Contains(v.Warnings[0], "no space left on device") || !strings.Contains(v.Warnings[0], s.Dir) {
			t.Errorf("%v, %q", v.OK, v.Warnings)
		}
		disk.Free()
		s.unrecorded()
	}
	v, err := verify.Verify(t.Context(), s.options(catalog.LevelDecode), s.Set())
	if err != nil || len(v.Warnings) > 0 {
		t.Errorf("with room: %v, %q", err, v.Warnings)
	}
	s.failedCheck(catalog.LevelDecode, "RECOVER.md")
	disk.ReadOnly()
	v, err = verify.Verify(t.Context(), s.options(""), s.Set())
	if err != nil || len(v.Warnings) != 1 || !strings.Contains(v.Warnings[0], "read-only") {
		t.Errorf("read-only: %v, %q", err, v.Warnings)
	}
}

// Promise: a repository that is unmounted during a verification is an error and
// never a verdict, neither good nor bad; nothing is written to the mount point.
func TestUnmounted(t *testing.T) {
	t.Parallel()
	s, disk := onDisk(t, copySet(t, true))
	for stage, level := range map[string]string{"checksum": "", "decode": catalog.LevelDecode, "load": catalog.LevelDrill} {
		o := s.options(level)
		gone := false
		o.Progress = func(at string, done, _ int64) {
			if at == stage && done > 0 && !gone {
				gone = true
				disk.Unmount()
			}
		}
		v, err := verify.Verify(t.Context(), o, s.Set())
		if !gone || !errors.Is(err, store.ErrGone) || errors.Is(err, catalog.ErrDamaged) || v.OK || len(v.Damage) > 0 {
			t.Errorf("%s: gone %v: %v, %+v", stage, gone, err, v)
		}
		if left := disk.Files(); len(left) > 0 {
			t.Errorf("%s: on the mount point: %q", stage, left)
		}
		disk.Remount()
		s.unrecorded()
		empty(t, o.Scratch.Dir)
	}
	v, err := verify.Verify(t.Context(), s.options(catalog.LevelDecode), s.Set())
	if err != nil || !v.OK {
		t.Errorf("when it is back: %v, %v", err, v.Err())
	}
}

// Promise: a drill whose scratch directory runs full says so, whenever that
// happens; it is no verdict on the set, and no server is left. With room the
// same set passes.
func TestScratchFull(t *testing.T) {
	t.Parallel()
	s := copySet(t, true)
	dir := scratchDir(t)
	disk := storetest.Mount(t, dir, 200<<20)
	must(t, os.Chmod(dir, 0o755))
	for _, c := range []struct {
		step  string
		leave int64
	}{{"hashed", 0}, {"server started", 0}, {"server started", 1 << 20}, {"loaded pre-data", 0}, {"loaded data", 0}} {
		o := s.options(catalog.LevelDrill)
		o.Scratch.Dir = dir
		filled := false
		o.Step = func(name string) {
			if name == c.step && !filled {
				filled = true
				disk.Fill(c.leave)
			}
		}
		v, err := verify.Verify(t.Context(), o, s.Set())
		if !filled {
			t.Fatalf("no step %q: %v", c.step, err)
		}
		disk.Free()
		if err == nil && v.OK && c.step == "loaded data" {
			continue // that little was left to do
		}
		if err == nil || v.OK || len(v.Damage) > 0 {
			t.Errorf("%+v: %v, %+v", c, err, v)
		} else if !strings.Contains(strings.ToLower(err.Error()), "no space left on device") {
			t.Errorf("%+v does not say why: %v", c, err)
		}
		s.unrecorded()
		empty(t, dir)
	}
	o := s.options(catalog.LevelDrill)
	o.Scratch.Dir = dir
	v, err := verify.Verify(t.Context(), o, s.Set())
	if err != nil || !v.OK {
		t.Errorf("with room: %v, %v", err, v.Err())
	}
}
