package maintain

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
	"github.com/bmad-forge/forgectl/pkg/store/storetest"
)

func freeIn(dir string) (int64, error) {
	var fs unix.Statfs_t
	err := unix.Statfs(dir, &fs)
	return int64(fs.Bavail) * fs.Bsize, err
}

// Promise: a table for whose copy its own tablespace has no room is left and
// named, with how much is lacking where; smaller ones there, and those on other
// file systems, are done. What makes no copy needs no room.
func TestSpace(t *testing.T) {
	server := scratchtest.Server(t)
	dir, err := os.MkdirTemp("", "forgectl-space-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "small")
	if err := os.Mkdir(path, 0o755); err != nil {
		t.Fatal(err)
	}
	disk := storetest.Mount(t, path, 8<<20)
	if server.User != nil {
		if err := os.Chown(path, int(server.User.UID), int(server.User.GID)); err != nil {
			t.Fatal(err)
		}
	}
	space := scratchtest.Name("space")
	admin := scratchtest.Admin(t)
	scratchtest.Exec(t, admin, "CREATE TABLESPACE "+space+" LOCATION '"+path+"'")
	name := scratchtest.Name("test")
	scratchtest.Exec(t, admin, "CREATE DATABASE "+name+" TEMPLATE template0")
	scratchtest.Drop(t, name)
	e := admin.WithDatabase(name)
	fill := `SELECT g AS id, repeat('x', 500) AS note FROM generate_series(1, %) g`
	scratchtest.Exec(t, e,
		"CREATE TABLE large TABLESPACE "+space+" AS "+strings.ReplaceAll(fill, "%", "9000"),
		"CREATE TABLE little TABLESPACE "+space+" AS "+strings.ReplaceAll(fill, "%", "100"),
		"CREATE TABLE elsewhere AS "+strings.ReplaceAll(fill, "%", "9000"))
	o := options(e)
	o.Action, o.Force, o.Free = Full, true, freeIn
	r := must(t, o)
	wantOutcome(t, r, "public.elsewhere", Done)
	wantOutcome(t, r, "public.little", Done)
	if len(r.Tables) != 2 {
		t.Errorf("%d tables were done", len(r.Tables))
	}
	if w := r.Warnings(); len(w) != 1 || !strings.HasPrefix(w[0], "public.large is left: a copy of it needs 4 9") || !strings.HasSuffix(w[0], " are free in "+path+"\nmake room there") {
		t.Errorf("%q", w)
	}
	// Room that went between the plan and the table's turn.
	o.Tables, o.Schemas = []string{"little"}, nil
	calls := 0
	o.Free = func(dir string) (int64, error) {
		if calls++; calls == 3 { // of the data directory, of the plan, of the work
			disk.Fill(0)
		}
		return freeIn(dir)
	}
	if got := wantOutcome(t, must(t, o), "public.little", Skipped); got.Why != errNoSpace.Error() {
		t.Error(got.Why)
	}
	disk.Free()
	o.Action, o.Tables, o.Free = Vacuum, []string{"large"}, freeIn
	wantOutcome(t, must(t, o), "public.large", Done)
	scratchtest.Exec(t, admin, "DROP DATABASE "+name+" WITH (FORCE)", "DROP TABLESPACE "+space)
}
