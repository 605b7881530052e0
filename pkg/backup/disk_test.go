package backup_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/backup"
	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
	"github.com/bmad-forge/forgectl/pkg/store"
	"github.com/bmad-forge/forgectl/pkg/store/storetest"
)

// diskRepository is a repository on a small file system of its own.
func diskRepository(t *testing.T) (*catalog.Catalog, *storetest.Disk) {
	t.Helper()
	dir := t.TempDir()
	disk := storetest.Mount(t, dir, 4<<20)
	return repositoryIn(t, dir), disk
}

// Promise: a repository that is unmounted during a backup ends it, wherever it
// is; nothing is written to the empty mount point, no set appears, and the next
// run works when the repository is back.
func TestRepositoryUnmounted(t *testing.T) {
	t.Parallel()
	e := scratchtest.Database(t, small)
	c, disk := diskRepository(t)
	for _, name := range steps[:len(steps)-1] {
		step, happened := at(t, name, disk.Unmount)
		o := options(e, c)
		o.Step = step
		_, err := backup.Database(t.Context(), o)
		happened()
		if !errors.Is(err, store.ErrGone) || !strings.Contains(err.Error(), disk.Path) {
			t.Errorf("%s: %v", name, err)
		}
		if left := disk.Files(); len(left) > 0 {
			t.Errorf("%s: on the empty mount point: %q", name, left)
		}
		disk.Remount()
		nothingLeft(t, disk.Path)
	}
	_, err := backup.Database(t.Context(), options(e, c))
	must(t, err)
}

// Promise: a read-only repository is found before anything is dumped or locked.
func TestRepositoryReadOnly(t *testing.T) {
	t.Parallel()
	e := scratchtest.Database(t, small)
	_, disk := diskRepository(t)
	disk.ReadOnly()
	o := options(e, repositoryIn(t, disk.Path))
	run := witness(t)
	o.Runner, o.Finder.Runner = run, run
	o.Step = func(name string) { t.Errorf("went on to %q", name) }
	if _, err := backup.Database(t.Context(), o); !errors.Is(err, syscall.EROFS) || len(dumped(run)) > 0 {
		t.Errorf("%v, ran %q", err, dumped(run))
	}
}

// Promise: nothing goes through the directory for temporary files: neither a
// full nor a missing one matters.
func TestNoTemporaryDirectory(t *testing.T) {
	e := scratchtest.Database(t, small)
	c, _ := repository(t)
	o := options(e, c)
	full := storetest.Mount(t, t.TempDir(), 1<<20)
	full.Fill(0)
	for _, dir := range []string{full.Path, filepath.Join(full.Path, "missing")} {
		t.Setenv("TMPDIR", dir)
		if f, err := os.CreateTemp("", "x"); err == nil {
			if _, err = f.WriteString("x"); err == nil {
				t.Fatalf("%s takes files", dir)
			}
		}
		_, err := backup.Database(context.WithoutCancel(t.Context()), o)
		must(t, err)
	}
}
