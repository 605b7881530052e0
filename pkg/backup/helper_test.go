package backup_test

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bmad-forge/forgectl/pkg/backup"
	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
	"github.com/bmad-forge/forgectl/pkg/proc"
	"github.com/bmad-forge/forgectl/pkg/seal"
	"github.com/bmad-forge/forgectl/pkg/seal/sealtest"
	"github.com/bmad-forge/forgectl/pkg/store/local"
	"github.com/bmad-forge/forgectl/pkg/verify"
)

func TestMain(m *testing.M) {
	if spec := os.Getenv(killEnv); spec != "" {
		backUpAndDie(spec)
	}
	if spec := os.Getenv(mediaKillEnv); spec != "" {
		backUpMediaAndDie(spec)
	}
	if spec := os.Getenv(killFullEnv); spec != "" {
		backUpFullAndDie(spec)
	}
	os.Exit(scratchtest.Run(m))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// clock goes on by a second whenever it is read: no set waits for the next one.
func clock() func() time.Time {
	var mu sync.Mutex
	now := time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC)
	return func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		now = now.Add(time.Second)
		return now
	}
}

// repository is an empty one, and where it lies.
func repository(t testing.TB) (*catalog.Catalog, string) {
	t.Helper()
	dir := t.TempDir()
	return repositoryIn(t, dir), dir
}

func repositoryIn(t testing.TB, dir string) *catalog.Catalog {
	t.Helper()
	store, err := local.Open(dir, local.Options{})
	must(t, err)
	t.Cleanup(func() { store.Close() })
	return catalog.New(store, catalog.Options{Now: clock(), Host: "web1", Version: "1.0.0"})
}

// files are all files below dir.
func files(t testing.TB, dir string) []string {
	t.Helper()
	var all []string
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			all = append(all, strings.TrimPrefix(path, dir+"/"))
		}
		return err
	}))
	return all
}

// options are those of an ordinary run.
func options(e *postgres.Endpoint, c *catalog.Catalog) backup.DatabaseOptions {
	runner := scratchtest.Runner()
	return backup.DatabaseOptions{SetOptions: backup.SetOptions{Catalog: c}, Endpoint: e, Runner: runner, Finder: postgres.ToolFinder{Runner: runner}}
}

func group(e *postgres.Endpoint) catalog.Group {
	return catalog.Group{Kind: catalog.KindDatabase, Database: e.Database()}
}

// drill restores a set into a throwaway server and compares.
func drill(t testing.TB, c *catalog.Catalog, set catalog.Set, u seal.Unlocker) {
	t.Helper()
	runner := scratchtest.Runner()
	v, err := verify.Verify(t.Context(), verify.Options{
		Catalog: c, Unlock: u, Level: catalog.LevelDrill, Runner: runner, Finder: postgres.ToolFinder{Runner: runner},
		Scratch: scratch.Options{Dir: t.TempDir()},
	}, set)
	must(t, err)
	if !v.OK || len(v.Warnings) > 0 {
		t.Errorf("drill of %s: %v, warnings %q", set.Ref, v.Err(), v.Warnings)
	}
}

// pair is a key in its two forms.
type pair struct{ public, secret *seal.Key }

func newPair(t testing.TB, name string) pair {
	t.Helper()
	public, secret := sealtest.Pair(t, name)
	return pair{public, secret}
}

// unlocker opens with the secret key.
func (p pair) unlocker() seal.Unlocker { return &seal.Keyring{Keys: []*seal.Key{p.secret}} }

// held is a runner whose programs wait, when they are those of heldTools, until
// look has returned.
type held struct {
	proc.Runner
	look func(c proc.Cmd, pid int)
}

func (h held) Run(ctx context.Context, c proc.Cmd) error {
	p, err := h.Start(ctx, c)
	if err != nil {
		return err
	}
	return p.Wait()
}

func (h held) Start(ctx context.Context, c proc.Cmd) (proc.Process, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer w.Close()
	defer r.Close()
	given := c
	given.Files = append(slices.Clone(c.Files), r)
	given.Env = append(slices.Clone(c.Env), fmt.Sprintf("HOLD=%d", 2+len(given.Files)))
	p, err := h.Runner.Start(ctx, given)
	if err == nil {
		h.look(c, p.PID())
	}
	return p, err
}

// heldTools are the client programs behind scripts that wait for a held runner.
func heldTools(t testing.TB, runner proc.Runner) postgres.ToolFinder {
	t.Helper()
	dir, err := os.MkdirTemp("", "forgectl-tools-")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o755)) // for the user that programs run as
	for _, name := range []string{"pg_dump", "pg_dumpall", "pg_restore"} {
		script := "#!/bin/sh\nread -r _ <&\"$HOLD\"\nexec /usr/lib/postgresql/15/bin/" + name + " \"$@\"\n"
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755))
	}
	return postgres.ToolFinder{Runner: runner, Debian: dir}
}

// background is a test whose context has not ended when it cleans up.
type background struct{ testing.TB }

func (background) Context() context.Context { return context.Background() }
