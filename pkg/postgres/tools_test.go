package postgres_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
)

// install puts a program into dir that prints a version, or fails when there is none.
func install(t *testing.T, dir, program, prints string) {
	t.Helper()
	script := "#!/bin/sh\necho '" + prints + "'\n"
	if prints == "" {
		script = "#!/bin/sh\nexit 1\n"
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, program), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
}

// Promise: the programs of the server's own major version are taken, else the
// smallest newer ones, wherever they are; where there are none the error says
// which were needed and which are there.
func TestFindTools(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	versions := filepath.Join(root, "versions")
	for major, minor := range map[string]string{"13": "13.14", "15": "15.18", "17": "17.2", "9.6": "9.6.24"} {
		install(t, filepath.Join(versions, major, "bin"), "pg_dump", "pg_dump (PostgreSQL) "+minor)
	}
	install(t, filepath.Join(versions, "14", "bin"), "pg_dump", "") // cannot be run
	install(t, filepath.Join(versions, "16", "bin"), "pg_restore", "pg_restore (PostgreSQL) 16.1")
	if err := os.WriteFile(filepath.Join(versions, "16", "bin", "pg_dump"), []byte("not executable"), 0o644); err != nil {
		t.Fatal(err)
	}
	install(t, filepath.Join(root, "own"), "pg_dump", "pg_dump (PostgreSQL) 18beta1")
	install(t, filepath.Join(root, "config"), "pg_config", filepath.Join(root, "compiled"))
	install(t, filepath.Join(root, "compiled"), "pg_dump", "pg_dump (PostgreSQL) 19.1")
	// Debian's wrapper would choose a version by itself.
	install(t, filepath.Join(root, "wrapper"), "pg_wrapper", "pg_dump (PostgreSQL) 20.1")
	if err := os.Symlink("pg_wrapper", filepath.Join(root, "wrapper", "pg_dump")); err != nil {
		t.Fatal(err)
	}
	path := strings.Join([]string{filepath.Join(root, "wrapper"), "", "relative", filepath.Join(root, "own"), filepath.Join(root, "config"), filepath.Join(root, "nowhere")}, ":")
	f := postgres.ToolFinder{Runner: scratchtest.Runner(), Path: path, Debian: filepath.Join(versions, "*", "bin")}
	for need, want := range map[int]string{
		10: "versions/13/bin 13.14", 13: "versions/13/bin 13.14", 14: "versions/15/bin 15.18", 15: "versions/15/bin 15.18",
		16: "versions/17/bin 17.2", 18: "own 18.0", 19: "compiled 19.1",
	} {
		tools, err := f.Find(t.Context(), "pg_dump", need)
		rel, _ := filepath.Rel(root, tools.Dir)
		if err != nil || rel+" "+tools.Version.String() != want || tools.Path("psql") != filepath.Join(tools.Dir, "psql") {
			t.Errorf("for %d: %s %s, %v", need, rel, tools.Version, err)
		}
	}
	if tools, err := f.Find(t.Context(), "pg_dump", 20); !errors.Is(err, postgres.ErrNoTools) {
		t.Errorf("for 20: %s, %v", tools.Dir, err)
	}
	_, err := f.Find(t.Context(), "pg_restore", 17)
	var missing *postgres.ToolsError
	if !errors.As(err, &missing) || !errors.Is(err, postgres.ErrNoTools) || err.Error() != "find pg_restore for PostgreSQL 17: only 16.1 is installed, which is older" {
		t.Errorf("got %v", err)
	}
	_, err = f.Find(t.Context(), "pg_basebackup", 15)
	if !errors.As(err, &missing) || len(missing.Found) > 0 || err.Error() != "find pg_basebackup for PostgreSQL 15: none is installed" {
		t.Errorf("got %v", err)
	}
	ended, end := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	end(enough)
	if _, err := f.Find(ended, "pg_dump", 15); !errors.Is(err, enough) {
		t.Errorf("after the end: %v", err)
	}
}

// Promise: a program in the current directory is not run, whatever PATH says.
func TestFindToolsNotHere(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	install(t, dir, "pg_dump", "pg_dump (PostgreSQL) 15.1")
	install(t, dir, "pg_config", dir)
	for _, path := range []string{"", ".", ":", "./"} {
		f := postgres.ToolFinder{Runner: scratchtest.Runner(), Path: path, Debian: filepath.Join(dir, "none", "*")}
		if _, err := f.Find(t.Context(), "pg_dump", 15); !errors.Is(err, postgres.ErrNoTools) {
			t.Errorf("PATH %q: %v", path, err)
		}
	}
}

// Promise: the programs of the server that the tests run on are found.
func TestFindRealTools(t *testing.T) {
	t.Parallel()
	facts, err := postgres.Facts(t.Context(), scratchtest.Open(t, scratchtest.Admin(t)))
	if err != nil {
		t.Fatal(err)
	}
	for _, program := range []string{"pg_dump", "pg_dumpall", "pg_restore", "psql"} {
		tools, err := postgres.ToolFinder{Runner: scratchtest.Runner(), Path: os.Getenv("PATH")}.Find(t.Context(), program, facts.Version.Major())
		if err != nil || tools.Version.Major() != facts.Version.Major() {
			t.Errorf("%s: %v, %v", program, tools, err)
		}
	}
}
