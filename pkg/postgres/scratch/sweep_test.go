package scratch

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Wherever the owner is killed, one Sweep ends the server and removes everything.
func TestSweepAfterKill(t *testing.T) {
	for _, at := range []string{"made", "claimed", "initdb runs", "initialized", "launched", "ready", "ended"} {
		for _, survive := range []bool{false, true} {
			if survive && at != "launched" && at != "ready" {
				continue // there is no server that could survive
			}
			t.Run(fmt.Sprintf("%s survive=%v", at, survive), func(t *testing.T) {
				dir := t.TempDir()
				h := startHelper(t, dir, at, survive)
				if at == "ended" {
					h.ready(t)
					_ = h.stdin.Close()
				}
				h.killed(t)
				entries, err := os.ReadDir(dir)
				if err != nil || len(entries) != 1 {
					t.Fatalf("the kill left %v, %v", entries, err)
				}
				removed, err := Sweep(t.Context(), dir, nil)
				if err != nil || len(removed) != 1 || filepath.Base(removed[0]) != entries[0].Name() {
					t.Errorf("swept %v, %v", removed, err)
				}
				mustBeClean(t, dir)
			})
		}
	}
}

// Nor does it matter when.
func TestSweepAfterKillAnyTime(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for range 4 {
		dir := t.TempDir()
		h := startHelper(t, dir, "", random.IntN(2) == 0)
		_ = h.stdin.Close() // it stops as soon as it has started
		after := time.Duration(random.IntN(1500)) * time.Millisecond
		time.Sleep(after)
		_ = h.cmd.Process.Kill()
		_ = h.cmd.Wait()
		// A fork that was under way shares the lock until its exec, hence more than one.
		for range 100 {
			if _, err := Sweep(t.Context(), dir, nil); err != nil {
				t.Errorf("after %v: %v", after, err)
			}
			if entries, err := os.ReadDir(dir); err == nil && len(entries) == 0 {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		mustBeClean(t, dir)
	}
}

// The server ends with its owner even if nobody ever sweeps.
func TestServerEndsWithOwner(t *testing.T) {
	dir := t.TempDir()
	h := startHelper(t, dir, "", false)
	path := filepath.Join(dir, h.ready(t))
	if running, err := workers(path); err != nil || len(running) == 0 {
		t.Fatalf("no server seen: %v", err)
	}
	_ = h.cmd.Process.Kill()
	h.killed(t)
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		running, err := workers(path)
		if err != nil {
			t.Fatal(err)
		}
		if len(running) == 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatal("server lives on")
		}
	}
	if _, err := Sweep(t.Context(), dir, nil); err != nil {
		t.Fatal(err)
	}
	mustBeClean(t, dir)
}

// The cluster of a process that runs is left alone, whoever sweeps.
func TestSweepLeavesLiveAlone(t *testing.T) {
	dir := t.TempDir()
	mine := start(t, Options{Dir: dir})
	h := startHelper(t, dir, "", false)
	name := h.ready(t)
	removed, err := Sweep(t.Context(), dir, nil)
	if err != nil || len(removed) != 0 {
		t.Errorf("swept %v, %v", removed, err)
	}
	theirs := strings.Replace(mine.ConnString("postgres"), filepath.Base(mine.run.path), name, 1)
	for _, conninfo := range []string{mine.ConnString("postgres"), theirs} {
		if got := query(t, connect(t, conninfo), "SELECT 'lives'"); got != "lives" {
			t.Errorf("got %q", got)
		}
	}
	_ = h.stdin.Close()
	if err := h.cmd.Wait(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
		t.Error("the other process did not remove its cluster")
	}
}

// A sweep that runs all the time does not disturb those who start.
func TestSweepDuringStart(t *testing.T) {
	dir := t.TempDir()
	done := make(chan struct{})
	var sweeping sync.WaitGroup
	sweeping.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			if _, err := Sweep(t.Context(), dir, nil); err != nil {
				t.Error(err)
				return
			}
		}
	})
	var starting sync.WaitGroup
	for range 2 {
		starting.Go(func() {
			tries := 0
			o := Options{Dir: dir, Runner: system(), step: func(step string) {
				if step == "made" && tries < 3 {
					tries++
					time.Sleep(5 * time.Millisecond) // let the sweep take the unclaimed directory
				}
			}}
			c, err := Start(t.Context(), o)
			if err != nil {
				t.Error(err)
				return
			}
			if err := c.Stop(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	starting.Wait()
	close(done)
	sweeping.Wait()
	mustBeClean(t, dir)
}

// A program that has not come to its data directory yet is ended, too.
func TestSweepEndsMarked(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "forgectl-pg-0123abcd")
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sleep", "3600")
	cmd.Env = []string{"PATH=/bin", markVariable + "=" + path}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	// Start returns within the kernel's exec, a moment before the new environment can be read.
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", cmd.Process.Pid))
		if err == nil && strings.Contains(string(environ), markVariable) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("no environment: %q, %v", environ, err)
		}
	}
	removed, err := Sweep(t.Context(), dir, nil)
	if err != nil || len(removed) != 1 {
		t.Errorf("swept %v, %v", removed, err)
	}
	select { // it was killed; who waits for it may hear of it later
	case <-ended:
	case <-time.After(time.Minute):
		t.Error("the program lives on")
	}
}

// Only directories of ours are swept, and only servers in them are ended: not whoever has the number in
// postmaster.pid, and not somebody who merely stands there.
func TestSweepInnocent(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "forgectl-pg-0123abcd", dataName)
	keep := []string{"forgectl-pg-0123", "forgectl-pg-XXXXXXXX", "precious"}
	for _, d := range append(keep, filepath.Join("forgectl-pg-0123abcd", dataName)) {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	link := filepath.Join(dir, "forgectl-pg-89abcdef")
	if err := os.Symlink(filepath.Join(dir, "precious"), link); err != nil {
		t.Fatal(err)
	}
	var bystanders []*exec.Cmd
	for _, cwd := range []string{dir, data} {
		cmd := exec.Command("sleep", "3600")
		cmd.Dir = cwd
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		bystanders = append(bystanders, cmd)
	}
	pidFile := fmt.Sprintf("%d\n%s\n", bystanders[0].Process.Pid, data)
	if err := os.WriteFile(filepath.Join(data, "postmaster.pid"), []byte(pidFile), 0o600); err != nil {
		t.Fatal(err)
	}
	removed, err := Sweep(t.Context(), dir, nil)
	if err != nil || len(removed) != 1 || removed[0] != filepath.Dir(data) {
		t.Errorf("swept %v, %v", removed, err)
	}
	for _, cmd := range bystanders {
		if err := cmd.Process.Signal(syscall.Signal(0)); err != nil {
			t.Errorf("a bystander was ended: %v", err)
		}
	}
	for _, d := range append(keep, filepath.Base(link)) {
		if _, err := os.Lstat(filepath.Join(dir, d)); err != nil {
			t.Errorf("removed: %v", err)
		}
	}
	if removed, err := Sweep(t.Context(), filepath.Join(dir, "missing"), nil); err != nil || removed != nil {
		t.Errorf("missing directory: %v, %v", removed, err)
	}
}

// A server that was killed is noticed, and neither it nor its shared memory remains after Stop.
func TestStopDeadServer(t *testing.T) {
	dir := t.TempDir()
	c := start(t, Options{Dir: dir})
	segment := readSegment(c.DataDir)
	if segment == nil || !segmentExists(t, segment) {
		t.Fatalf("no segment seen: %+v", segment)
	}
	text, err := os.ReadFile(filepath.Join(c.DataDir, "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(first)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-c.Exited()
	if err := c.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	mustBeClean(t, dir)
	if segmentExists(t, segment) {
		t.Error("shared memory is left")
	}
}

func segmentExists(t *testing.T, s *segment) bool {
	t.Helper()
	list, err := os.ReadFile("/proc/sysvipc/shm")
	if errors.Is(err, os.ErrNotExist) {
		t.Fatal("no System V shared memory here")
	}
	for line := range strings.Lines(string(list)) {
		if f := strings.Fields(line); len(f) > 1 && f[1] == strconv.FormatUint(s.id, 10) {
			return true
		}
	}
	return false
}
