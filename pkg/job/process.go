package job

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
)

// identity names a living process in a way that its pid's next owner does not
// share: the boot of the machine and the tick at which the process started.
// Empty where the kernel does not tell.
func identity(pid int) string {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	// The second field is the program's name in parentheses and may hold
	// anything; the state is the first field behind it, the start the 20th.
	i := bytes.LastIndexByte(stat, ')')
	if i < 0 {
		return ""
	}
	fields := strings.Fields(string(stat[i+1:]))
	if len(fields) < 20 {
		return ""
	}
	if fields[0] == "Z" || fields[0] == "X" {
		return "dead"
	}
	return strings.TrimSpace(string(boot)) + "/" + fields[19]
}

// gone reports whether the process of a record is known to have ended. In doubt
// (another host, a kernel that hides other users' processes) it has not.
func (r *Runner) gone(rec Record) bool {
	if rec.Host != r.Host || rec.PID <= 0 {
		return false
	}
	if errors.Is(syscall.Kill(rec.PID, 0), syscall.ESRCH) {
		return true
	}
	now := identity(rec.PID)
	return now != "" && rec.Process != "" && now != rec.Process
}
