package scratch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// endPatience is what a server gets to obey, first the request and then the kill.
const endPatience = 5 * time.Second

// markVariable is in the environment of every program that runs for a cluster, and holds its directory.
const markVariable = "FORGECTL_SCRATCH"

// endServer ends every process that works for the cluster in path: not by the number in postmaster.pid, which
// could be anybody's by now.
func endServer(ctx context.Context, path string) error {
	segment := readSegment(filepath.Join(path, dataName))
	for _, sig := range []syscall.Signal{syscall.SIGQUIT, syscall.SIGKILL} {
		gone, err := signalUntilGone(ctx, path, sig)
		if err != nil {
			return fmt.Errorf("end server in %s: %w", path, err)
		}
		if gone {
			segment.remove()
			return nil
		}
	}
	return fmt.Errorf("end server in %s: it does not end", path)
}

func signalUntilGone(ctx context.Context, path string, sig syscall.Signal) (bool, error) {
	told := map[int]bool{}
	for end := time.Now().Add(endPatience); ; {
		running, err := workers(path)
		if err != nil || len(running) == 0 {
			return err == nil, err
		}
		for _, p := range running {
			if !told[p.Pid] {
				told[p.Pid] = true
				_ = p.Signal(sig) // gone in between is just as well
			}
			_ = p.Release()
		}
		if time.Now().After(end) {
			return false, nil
		}
		select {
		case <-ctx.Done():
			return false, context.Cause(ctx)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// workers finds the processes that work for the cluster in path. Each is held by a pidfd from before it is looked
// at for good, so that what is signalled is what was seen.
func workers(path string) ([]*os.Process, error) {
	data, err := os.Stat(filepath.Join(path, dataName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var found []*os.Process
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || !worksFor(pid, path, data) {
			continue
		}
		p, err := os.FindProcess(pid)
		if err != nil {
			continue
		}
		if !worksFor(pid, path, data) {
			_ = p.Release()
			continue
		}
		found = append(found, p)
	}
	return found, nil
}

// worksFor knows initdb, and a server that has just been started, by the mark in their environment. The server's
// children write their titles over theirs, but have the data directory as their working directory, always.
func worksFor(pid int, path string, data fs.FileInfo) bool {
	base := filepath.Join("/proc", strconv.Itoa(pid))
	if env, err := os.ReadFile(filepath.Join(base, "environ")); err == nil &&
		slices.Contains(strings.Split(string(env), "\x00"), markVariable+"="+path) {
		return true
	}
	if data == nil {
		return false
	}
	cwd, err := os.Stat(filepath.Join(base, "cwd"))
	if err != nil || !os.SameFile(cwd, data) {
		return false
	}
	exe, err := os.Readlink(filepath.Join(base, "exe"))
	return err == nil && filepath.Base(strings.TrimSuffix(exe, " (deleted)")) == "postgres"
}

// segment is the small piece of System V shared memory with which a server guards its directory. A killed server
// leaves it behind.
type segment struct {
	key, id uint64 // printed as unsigned, whatever their sign
	owner   uint32
}

// readSegment takes key and id from postmaster.pid, where they are the two numbers of the seventh line.
func readSegment(data string) *segment {
	path := filepath.Join(data, "postmaster.pid")
	info, err := os.Lstat(path)
	if err != nil || !info.Mode().IsRegular() {
		return nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	lines := strings.Split(string(text), "\n")
	if len(lines) < 7 {
		return nil
	}
	s := &segment{owner: owner(info)}
	if n, err := fmt.Sscan(lines[6], &s.key, &s.id); n != 2 || err != nil {
		return nil
	}
	return s
}

// remove frees the segment if it still is the one and nobody uses it.
func (s *segment) remove() {
	if s == nil {
		return
	}
	var desc unix.SysvShmDesc
	if _, err := unix.SysvShmCtl(int(s.id), unix.IPC_STAT, &desc); err != nil {
		return
	}
	if desc.Perm.Key == int32(s.key) && desc.Perm.Cuid == s.owner && desc.Nattch == 0 {
		_, _ = unix.SysvShmCtl(int(s.id), unix.IPC_RMID, nil)
	}
}
