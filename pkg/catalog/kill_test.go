package catalog_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/store"
	"github.com/bmad-forge/forgectl/pkg/store/local"
)

// past is a clock that is always behind: nobody waits for the next second.
func past() time.Time { return start.AddDate(-20, 0, 0) }

// killEnv makes the test binary write a set and then remove an older one, and kill itself at a call.
const killEnv = "CATALOG_TEST_KILL" // <directory>:<number of the call>:before|after, or <directory>:0:

func TestMain(m *testing.M) {
	if spec := os.Getenv(killEnv); spec != "" {
		writeAndDie(spec)
	}
	flag.Parse()
	os.Exit(m.Run())
}

func writeAndDie(spec string) {
	part := strings.Split(spec, ":")
	var n int64
	fmt.Sscan(part[1], &n)
	s, err := local.Open(part[0], local.Options{})
	if err != nil {
		panic(err)
	}
	counter := &countingStore{Store: s}
	kill := func(i int64) error {
		if i == n {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
		return nil
	}
	if part[2] == "before" {
		counter.before = kill
	} else {
		counter.after = kill
	}
	c := catalog.New(around(counter), catalog.Options{Now: past})
	for {
		sets, err := c.List(context.Background(), forge)
		if err == nil {
			_, err = writeSet(context.Background(), c, forge)
		}
		if err == nil && len(sets) > 0 {
			err = c.AddCheck(context.Background(), sets[0].Ref, catalog.Check{What: catalog.CheckPin})
		}
		if err == nil && len(sets) > 0 {
			err = c.Remove(context.Background(), sets[0].Ref)
		}
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		if n > 0 {
			os.Exit(0)
		}
	}
}

// A kill at any step of writing and removing leaves only whole sets to be seen, and leftovers that Sweep
// removes.
func TestKill(t *testing.T) {
	killed := map[string]int{}
	for _, when := range []string{"before", "after"} {
		for n := 1; ; n++ {
			dir := t.TempDir()
			s := openLocal(t, dir)
			old := mustWrite(t, newCatalog(s), forge)
			cmd := exec.Command("/proc/self/exe")
			cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s:%d:%s", killEnv, dir, n, when))
			out, err := cmd.CombinedOutput()
			if err == nil {
				break
			}
			if cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
				t.Fatalf("%v\n%s", err, out)
			}
			killed[when]++
			checkAfterKill(t, s, old.Ref)
		}
	}
	if killed["before"] < 15 || killed["after"] != killed["before"] {
		t.Errorf("kill points hit: %v", killed)
	}
}

// The same at random moments, inside the calls.
func TestKillAtRandom(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	s := openLocal(t, dir)
	mustWrite(t, newCatalog(s), forge)
	for range 15 {
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s:0:", killEnv, dir))
		cmd.Stdout = os.Stdout
		must(t, cmd.Start())
		time.Sleep(10*time.Millisecond + time.Duration(random.Int64N(int64(150*time.Millisecond))))
		must(t, cmd.Process.Kill())
		cmd.Wait()
		checkAfterKill(t, s, catalog.Ref{})
	}
}

// checkAfterKill makes sure that every set that is seen is whole, and that nothing else is left after Sweep.
func checkAfterKill(t *testing.T, s store.Store, old catalog.Ref) {
	t.Helper()
	c := catalog.New(s, catalog.Options{Now: past})
	sets := listSets(t, c, forge)
	if old.ID != "" && len(sets) == 0 {
		t.Error("no set is left")
	}
	for _, set := range sets {
		if ok, why := set.Good(); !ok {
			t.Errorf("%s: %s", set, why)
		}
	}
	_, err := c.Sweep(t.Context(), forge)
	must(t, err)
	entries, err := s.List(t.Context(), forge.Dir())
	must(t, err)
	var left []string
	for _, e := range entries {
		left = append(left, e.Name)
	}
	if !slices.EqualFunc(left, sets, func(name string, set catalog.Set) bool { return name == string(set.ID) }) {
		t.Errorf("after Sweep there are %v, listed were %v", left, sets)
	}
	mustWrite(t, c, forge) // life goes on
}

// Root and the user that the repository belongs to can take turns.
func TestTurns(t *testing.T) {
	dir := t.TempDir()
	s := openLocal(t, dir)
	if os.Geteuid() != 0 {
		// An ordinary user can play one of the parts only.
		mustWrite(t, newCatalog(s), forge)
		return
	}
	const uid = 65534
	must(t, os.Chmod(filepath.Dir(dir), 0o755))
	must(t, os.Chown(dir, uid, uid))
	c := catalog.New(s, catalog.Options{})
	mustWrite(t, c, forge) // root's; the user adds one, checks and removes root's
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s:1000000:before", killEnv, dir))
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	sets := listSets(t, c, forge)
	if len(sets) != 1 {
		t.Fatalf("%v", sets)
	}
	must(t, c.AddCheck(t.Context(), sets[0].Ref, catalog.Check{What: catalog.CheckPin}))
	must(t, filepath.Walk(dir, func(path string, fi os.FileInfo, err error) error {
		want := os.FileMode(0o600)
		if fi.IsDir() {
			want = 0o700
		}
		if st := fi.Sys().(*syscall.Stat_t); path != dir && (st.Uid != uid || fi.Mode().Perm() != want) {
			t.Errorf("%s: uid %d, %v", path, st.Uid, fi.Mode())
		}
		return err
	}))
	must(t, c.Remove(t.Context(), sets[0].Ref))
}
