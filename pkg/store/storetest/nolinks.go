package storetest

import (
	"os"
	"runtime"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/bmad-forge/forgectl/pkg/proc"
)

// noLinksEnv names the test that a process without links is to run.
const noLinksEnv = "STORETEST_NO_LINKS"

// NoLinks runs the calling test again, in a process of its own for which the kernel refuses hard links, and renames
// that never replace: what file systems such as exFAT, and some of NFS and FUSE, cannot do. There it returns true.
func NoLinks(t *testing.T) bool {
	t.Helper()
	if os.Getenv(noLinksEnv) == t.Name() {
		refuseLinks(t)
		return true
	}
	out, err := proc.Output(t.Context(), proc.System{}, proc.Cmd{
		Path: "/proc/self/exe", Args: []string{"-test.run=^" + t.Name() + "$"}, Env: append(os.Environ(), noLinksEnv+"="+t.Name()),
	})
	if err != nil {
		t.Errorf("without links: %v\n%s", err, out)
	}
	return false
}

// refuseLinks is for good, and for all threads of the process.
func refuseLinks(t *testing.T) {
	t.Helper()
	fail := func(errno unix.Errno) uint32 { return unix.SECCOMP_RET_ERRNO | uint32(errno) }
	program := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // the number of the system call
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_LINKAT, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: fail(unix.EPERM)},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_RENAMEAT2, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: fail(unix.EINVAL)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	filter := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	if _, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&filter))); errno != 0 {
		t.Fatalf("seccomp: %v", errno)
	}
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/a", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(dir+"/a", dir+"/b"); err == nil {
		t.Fatal("there are links")
	}
}
