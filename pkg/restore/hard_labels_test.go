package restore_test

import (
	"context"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/postgres/scratch"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
)

// Promise: security labels come back, of every kind of object and of the database
// itself; a drill loads the library that knows them. Debian has no provider that
// works without SELinux, so the test builds one.
func TestHardLabels(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	library := filepath.Join(dir, "label.so")
	gcc, err := exec.LookPath("gcc")
	if err != nil {
		scratchtest.Skip(t, "gcc is missing: scripts/setup installs it")
	}
	if out, err := exec.CommandContext(t.Context(), gcc, "-Wall", "-shared", "-fPIC", "-o", library, filepath.Join("testdata", "hard", "label.c")).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	s, err := scratch.Start(t.Context(), scratch.Options{Dir: shortDir(t), Runner: scratchtest.Runner(), Locale: "C.UTF-8", PreloadLibraries: []string{library}})
	must(t, err)
	t.Cleanup(func() {
		if err := s.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	hard{
		name: "labels", database: "labels", files: []string{"labels"},
		after: []string{`SECURITY LABEL FOR "forge labels" ON DATABASE %s IS E'of the\ndatabase'`},
		same: []string{
			"SELECT count(*) FROM pg_seclabels WHERE objtype <> 'database'",
			"SELECT string_agg(format('%s: %s', provider, label), ', ' ORDER BY provider) FROM pg_shseclabel WHERE classoid = 'pg_database'::regclass AND objoid = (SELECT oid FROM pg_database WHERE datname = current_database())",
		},
	}.run(t, s)
}
