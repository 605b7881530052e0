package verify_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
	"github.com/bmad-forge/forgectl/pkg/proc/proctest"
	"github.com/bmad-forge/forgectl/pkg/store/local"
	"github.com/bmad-forge/forgectl/pkg/verify"
)

// killEnv makes the test binary drill a set and kill itself at a step.
const killEnv = "VERIFY_TEST_KILL" // <step>|<repository>|<set>|<scratch directory>

func drillAndDie(spec string) {
	part := strings.Split(spec, "|")
	ctx := context.Background()
	s, err := local.Open(part[1], local.Options{})
	if err != nil {
		panic(err)
	}
	c := catalog.New(s, catalog.Options{})
	ref, err := catalog.ParseRef(part[2])
	if err != nil {
		panic(err)
	}
	set, err := c.Get(ctx, ref)
	if err != nil {
		panic(err)
	}
	runner := scratchtest.Runner()
	_, err = verify.Verify(ctx, verify.Options{
		Catalog: c, Level: catalog.LevelDrill, Runner: runner, Finder: postgres.ToolFinder{Runner: runner}, Scratch: scratch.Options{Dir: part[3]},
		Step: proctest.DieAt(part[0]),
	}, set)
	fmt.Println("ended", err)
	os.Exit(1)
}

// Promise: a drill that is killed, at whatever step, says nothing about the set
// and leaves no process; the next one removes the plain data that is left, says
// so, and works.
func TestDrillKilled(t *testing.T) {
	t.Parallel()
	for _, step := range []string{"hashed", "server started", "loaded pre-data", "loaded data", "loaded post-data"} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			s := copySet(t, false)
			o := s.options(catalog.LevelDrill)
			repository := strings.TrimSuffix(s.Dir, "/"+s.Ref.Dir())
			proctest.Killed(t, fmt.Sprintf("%s=%s|%s|%s|%s", killEnv, step, repository, s.Ref, o.Scratch.Dir))
			for deadline := time.Now().Add(time.Minute); runs(t, o.Scratch.Dir) != ""; time.Sleep(10 * time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatalf("still runs: %s", runs(t, o.Scratch.Dir))
				}
			}
			s.unrecorded()
			want := 1
			if step == "hashed" {
				want = 0
			}
			v, err := verify.Verify(t.Context(), o, s.Set())
			must(t, err)
			if !v.OK || len(v.Warnings) > 0 || len(v.Removed) != want {
				t.Errorf("%v, warnings %q, removed %q", v.Err(), v.Warnings, v.Removed)
			}
			empty(t, o.Scratch.Dir)
		})
	}
}

// runs is a process that works in a scratch directory.
func runs(t testing.TB, dir string) string {
	t.Helper()
	processes, err := filepath.Glob("/proc/[0-9]*/cmdline")
	must(t, err)
	for _, p := range processes {
		if line, _ := os.ReadFile(p); bytes.Contains(line, []byte(dir)) {
			return strings.ReplaceAll(string(line), "\x00", " ")
		}
	}
	return ""
}
