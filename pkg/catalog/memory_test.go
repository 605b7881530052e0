package catalog_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/bmad-forge/forgectl/pkg/catalog"
)

// Promise: a repository that holds nothing where there were sets is refused, with what was there and what to remove if that
// is meant; one that was never written to is not, nor another one of the same host, nor one that holds sets again.
func TestMemoryOfEmptied(t *testing.T) {
	t.Parallel()
	dir, state := t.TempDir(), filepath.Join(t.TempDir(), "state/repositories")
	c := newCatalog(openLocal(t, dir))
	m, other := catalog.Memory{Dir: state, Repository: "/srv/a"}, catalog.Memory{Dir: state, Repository: "/srv/b"}
	must(t, m.Check(t.Context(), c))
	must(t, m.Keep(t.Context(), c)) // of nothing
	must(t, m.Check(t.Context(), c))

	mustWrite(t, c, forge)
	mustWrite(t, c, catalog.Group{Kind: catalog.KindConfig})
	must(t, m.Keep(t.Context(), c))
	must(t, m.Check(t.Context(), c))

	must(t, os.Rename(filepath.Join(dir, "database"), filepath.Join(dir, ".database")))
	must(t, m.Check(t.Context(), c)) // something is there
	must(t, os.Rename(filepath.Join(dir, "config"), filepath.Join(dir, ".config")))
	var emptied *catalog.EmptiedError
	if err := m.Check(t.Context(), c); !errors.As(err, &emptied) {
		t.Fatalf("error %v", err)
	}
	if emptied.Sets != 2 || emptied.At.Before(start) || emptied.At.After(start.Add(time.Hour)) {
		t.Errorf("%+v", emptied)
	}
	must(t, other.Check(t.Context(), c))
	must(t, os.Remove(emptied.File))
	must(t, m.Check(t.Context(), c))
}

// Promise: what is remembered is no state that anything depends on: damaged, cut off or of nothing, nobody is kept from a
// repository by it, and the next run writes it anew; a repository that is emptied on purpose is forgotten.
func TestMemoryDamaged(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	c := newCatalog(openLocal(t, t.TempDir()))
	set := mustWrite(t, c, forge)
	m := catalog.Memory{Dir: state, Repository: "/srv/a"}
	must(t, m.Keep(t.Context(), c))
	files, err := filepath.Glob(state + "/*.json")
	must(t, err)
	if len(files) != 1 {
		t.Fatalf("%q", files)
	}
	whole, err := os.ReadFile(files[0])
	must(t, err)
	must(t, c.Remove(t.Context(), set.Ref))
	if err := m.Check(t.Context(), c); !errors.As(err, new(*catalog.EmptiedError)) {
		t.Errorf("whole: %v", err)
	}
	for _, text := range []string{"", "{", `{"sets": "many"}`, `{"sets": 0}`, string(whole[:len(whole)/2])} {
		must(t, os.WriteFile(files[0], []byte(text), 0o600))
		if err := m.Check(t.Context(), c); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
	must(t, m.Keep(t.Context(), c))
	if left, err := os.ReadDir(state); err != nil || len(left) > 0 {
		t.Errorf("of an emptied repository: %v, %v", left, err)
	}
}
