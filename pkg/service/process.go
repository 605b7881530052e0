package service

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"syscall"
	"time"
)

// process is one that was found by its number.
type process struct {
	pid   int
	start uint64 // in clock ticks since the machine was started: number and start together are unique
}

// readPIDFile finds the process that a pid file names; nil when there is none.
// Whenever that is not certain it is an error.
func readPIDFile(path string) (*process, error) {
	pid, err := pidIn(path)
	if err != nil || pid == 0 {
		return nil, err
	}
	found, err := lookUpProcess(pid)
	if err != nil {
		return nil, cannotTell(err)
	}
	if found == nil {
		return nil, nil // left behind by one that did not clean up
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // it has just gone
	}
	if err != nil {
		return nil, cannotTell(err)
	}
	boot, err := bootTime()
	if err != nil {
		return nil, cannotTell(err)
	}
	// A process writes the file after it was started. One that is younger is
	// somebody else who got the number, or somebody set the clock.
	const doubt = 2 * time.Second
	if born := boot.Add(ticks(found.start)); born.After(info.ModTime().Add(doubt)) {
		return nil, &UnavailableError{
			Manager: PIDFile,
			Err:     fmt.Errorf("%s names process %d, which was started after the file was written: it may be another program", path, pid),
			Hint:    fmt.Sprintf("look at it with ps -fp %d, and remove the file if that is not the application", pid),
		}
	}
	return found, nil
}

func cannotTell(err error) error {
	return &UnavailableError{Manager: PIDFile, Err: err, Hint: "forgectl must be able to read the pid file and /proc"}
}

// pidIn reads the number; 0 when there is no file.
func pidIn(path string) (int, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, cannotTell(err)
	}
	defer func() { _ = file.Close() }()
	text, err := io.ReadAll(io.LimitReader(file, 64))
	if err != nil {
		return 0, cannotTell(err)
	}
	first, _, _ := bytes.Cut(bytes.TrimSpace(text), []byte("\n"))
	pid, err := strconv.Atoi(string(bytes.TrimSpace(first)))
	if err != nil || pid <= 1 {
		return 0, cannotTell(fmt.Errorf("%s does not hold the number of a process: %q", path, first))
	}
	return pid, nil
}

// lookUpProcess is nil for a number that nobody has, and for a process that has
// ended but was not yet reaped by its parent.
func lookUpProcess(pid int) (*process, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		if err := syscall.Kill(pid, 0); errors.Is(err, syscall.ESRCH) {
			return nil, nil
		}
		return nil, fmt.Errorf("process %d is there, but cannot be seen in /proc", pid)
	}
	if err != nil {
		return nil, err
	}
	// The second field is the program's name in parentheses, which may hold
	// anything; 3 is the state, 22 the start.
	end := bytes.LastIndexByte(text, ')')
	fields := bytes.Fields(text[end+1:])
	if end < 0 || len(fields) < 20 {
		return nil, fmt.Errorf("/proc/%d/stat is not understood", pid)
	}
	if state := fields[0][0]; state == 'Z' || state == 'X' {
		return nil, nil
	}
	start, err := strconv.ParseUint(string(fields[19]), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("/proc/%d/stat: %w", pid, err)
	}
	return &process{pid: pid, start: start}, nil
}

// ticks are what the kernel shows times in: a hundredth of a second on every
// architecture that Linux tells programs about.
func ticks(n uint64) time.Duration { return time.Duration(n) * (time.Second / 100) }

func bootTime() (time.Time, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return time.Time{}, err
	}
	for line := range bytes.Lines(text) {
		if value, found := bytes.CutPrefix(line, []byte("btime ")); found {
			seconds, err := strconv.ParseInt(string(bytes.TrimSpace(value)), 10, 64)
			return time.Unix(seconds, 0), err
		}
	}
	return time.Time{}, errors.New("/proc/stat does not say when the machine was started")
}
