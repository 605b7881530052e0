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
	pid, info, err := pidIn(path)
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
	return found, mayName(path, info, pid)
}

// mayName keeps root from ending a process for somebody who could not end it
// himself: whoever can write a pid file can write any number. Root may name every
// process, everybody else his own.
func mayName(path string, info fs.FileInfo, pid int) error {
	st, ok := info.Sys().(*syscall.Stat_t)
	if os.Geteuid() != 0 || ok && st.Uid == 0 {
		return nil
	}
	// Not the owner of /proc/PID: that is root for a process that gave up rights.
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return cannotTell(err)
	}
	for line := range bytes.Lines(status) {
		if ids, found := bytes.CutPrefix(line, []byte("Uid:")); found && ok {
			for id := range bytes.FieldsSeq(ids) {
				if string(id) == strconv.FormatUint(uint64(st.Uid), 10) {
					return nil
				}
			}
		}
	}
	return &UnavailableError{
		Manager: PIDFile,
		Err:     fmt.Errorf("%s names process %d, which does not belong to the owner of the file", path, pid),
		Hint:    fmt.Sprintf("look at it with ps -fp %d; the file must belong to root, or to the user of the application", pid),
	}
}

func cannotTell(err error) error {
	return &UnavailableError{Manager: PIDFile, Err: err, Hint: "forgectl must be able to read the pid file and /proc"}
}

// pidIn reads the number and says whose the file is; 0 when there is none. For
// root a link is none: whoever can make one could have it lead to another
// program's file.
func pidIn(path string) (int, fs.FileInfo, error) {
	flags := os.O_RDONLY | syscall.O_NONBLOCK
	if os.Geteuid() == 0 {
		flags |= syscall.O_NOFOLLOW
	}
	file, err := os.OpenFile(path, flags, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil, nil
	}
	if err != nil {
		return 0, nil, cannotTell(err)
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return 0, nil, cannotTell(err)
	}
	text, err := io.ReadAll(io.LimitReader(file, 64))
	if err != nil {
		return 0, nil, cannotTell(err)
	}
	first, _, _ := bytes.Cut(bytes.TrimSpace(text), []byte("\n"))
	pid, err := strconv.Atoi(string(bytes.TrimSpace(first)))
	if err != nil || pid <= 1 {
		return 0, nil, cannotTell(fmt.Errorf("%s does not hold the number of a process: %q", path, first))
	}
	return pid, info, nil
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
