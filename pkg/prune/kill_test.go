package prune_test

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/prune"
	"github.com/bmad-forge/forgectl/pkg/retention"
	"github.com/bmad-forge/forgectl/pkg/store"
	"github.com/bmad-forge/forgectl/pkg/store/local"
)

// killEnv makes the test binary prune a repository and kill itself at a call of the store.
const killEnv = "PRUNE_TEST_KILL" // <directory>:<number of the call>:before|after

func TestMain(m *testing.M) {
	if spec := os.Getenv(killEnv); spec != "" {
		pruneAndDie(spec)
	}
	flag.Parse()
	os.Exit(m.Run())
}

// steppedStore calls step before and after each call that changes something.
type steppedStore struct {
	*local.Store
	step func(when string)
}

func (s *steppedStore) around(do func() error) error {
	s.step("before")
	err := do()
	s.step("after")
	return err
}

func (s *steppedStore) Put(ctx context.Context, name string, write func(io.Writer) error) error {
	return s.around(func() error { return s.Store.Put(ctx, name, write) })
}

func (s *steppedStore) Delete(ctx context.Context, name string) error {
	return s.around(func() error { return s.Store.Delete(ctx, name) })
}

func (s *steppedStore) Rename(ctx context.Context, from, to string) error {
	return s.around(func() error { return s.Store.Rename(ctx, from, to) })
}

// The repository that is pruned: ten nights, of which the rules keep two, and two more for other reasons.
var tenNights = retention.Policy{Last: 2}

func pruneAndDie(spec string) {
	part := strings.Split(spec, ":")
	var n int64
	fmt.Sscan(part[1], &n)
	inner, err := local.Open(part[0], local.Options{})
	if err != nil {
		panic(err)
	}
	var calls atomic.Int64
	s := &steppedStore{inner, func(when string) {
		if when == part[2] && calls.Add(1) == n {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}}
	o := prune.Options{Catalog: catalog.New(s, catalog.Options{}), Policy: tenNights, Groups: []catalog.Group{forge}, Lock: in(part[0])}
	plan, err := prune.Decide(context.Background(), o)
	if err == nil {
		_, err = prune.Apply(context.Background(), o, forge, plan)
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(0)
}

// Promise: a kill at any step leaves every set whole or gone, and all that were to stay; the next run finishes the
// work and cleans up.
func TestKill(t *testing.T) {
	template := t.TempDir()
	r := newRepository(openLocal(t, template))
	sets := r.nights(t, forge, 10)
	r.check(t, sets[0], "pin")
	r.check(t, sets[8], "failed")
	r.check(t, sets[8], "pin")
	stay := []string{string(sets[0].ID), string(sets[7].ID), string(sets[8].ID), string(sets[9].ID)}

	killed := map[string]int{}
	leftovers := 0
	for _, when := range []string{"before", "after"} {
		for n := 1; ; n++ {
			dir := t.TempDir()
			must(t, os.CopyFS(dir, os.DirFS(template)))
			s := openLocal(t, dir)
			r := newRepository(s)
			cmd := exec.CommandContext(t.Context(), "/proc/self/exe")
			cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s:%d:%s", killEnv, dir, n, when), "GORACE=atexit_sleep_ms=0")
			out, err := cmd.CombinedOutput()
			if err == nil {
				equal(t, "left by a run that was not killed", r.left(t, forge), stay)
				break
			}
			if cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
				t.Fatalf("%v\n%s", err, out)
			}
			killed[when]++
			list, err := r.List(t.Context(), forge)
			must(t, err)
			for _, set := range list {
				if ok, why := set.Good(); !ok && !set.Pinned() {
					t.Errorf("%s %d: %s: %s", when, n, set, why)
				}
			}
			for _, id := range stay {
				if !slices.Contains(r.left(t, forge), id) {
					t.Errorf("%s %d: %s is gone", when, n, id)
				}
			}
			o := r.options(t, tenNights, forge)
			o.Lock = in(dir)
			got, err := prune.Apply(t.Context(), o, forge, decided(t, o))
			must(t, err)
			leftovers += len(got.Swept)
			equal(t, "left in the end", inGroup(t, s), stay)
		}
	}
	// Six sets, for each what an earlier run left is removed, then it is renamed, then deleted.
	if killed["before"] != 18 || killed["after"] != 18 || leftovers < 12 {
		t.Errorf("kill points hit: %v, with something left to sweep: %d", killed, leftovers)
	}
}

// inGroup is everything in the group's directory but the lock.
func inGroup(t *testing.T, s store.Store) []string {
	t.Helper()
	entries, err := s.List(t.Context(), forge.Dir())
	must(t, err)
	var found []string
	for _, e := range entries {
		if e.Name != ".in-use" {
			found = append(found, e.Name)
		}
	}
	return found
}
