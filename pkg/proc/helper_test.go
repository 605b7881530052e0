package proc_test

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bmad-forge/forgectl/pkg/proc"
)

// The test binary plays the programs that no ordinary one stands for.
func TestMain(m *testing.M) {
	if role := os.Getenv("PROC_TEST_ROLE"); role != "" {
		play(role)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func play(role string) {
	switch role {
	case "stubborn": // ignores TERM
		signal.Ignore(syscall.SIGTERM)
		fmt.Println("ready")
		time.Sleep(time.Hour)
	case "parent": // starts a child that must not outlive it
		for range 20 { // threads that die must not be taken for the parent
			go runtime.LockOSThread()
		}
		p, err := proc.System{}.Start(context.Background(), proc.Cmd{Path: "sleep", Args: []string{"3600"}})
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(p.PID())
		time.Sleep(time.Hour)
	}
}

func self(t *testing.T, role string) proc.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return proc.Cmd{Path: exe, Env: []string{"PROC_TEST_ROLE=" + role}}
}

func shell(script string, args ...string) proc.Cmd {
	return proc.Cmd{Path: "/bin/sh", Args: append([]string{"-c", script, "sh"}, args...)}
}

// firstLine is a Stdout that gives the first line to whoever waits for it.
type firstLine struct {
	buf  strings.Builder
	line chan string
}

func newFirstLine() *firstLine { return &firstLine{line: make(chan string, 1)} }

func (f *firstLine) Write(p []byte) (int, error) {
	had := strings.Contains(f.buf.String(), "\n")
	f.buf.Write(p)
	if line, _, ok := strings.Cut(f.buf.String(), "\n"); ok && !had {
		f.line <- line
	}
	return len(p), nil
}

// awaitGone waits until no living process has this number; a zombie that nobody has reaped yet is gone.
func awaitGone(t *testing.T, pid string) {
	t.Helper()
	if _, err := strconv.Atoi(pid); err != nil {
		t.Fatalf("not a process number: %q", pid)
	}
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		stat, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
		if err != nil {
			return
		}
		if _, rest, ok := strings.Cut(string(stat), ") "); ok && strings.HasPrefix(rest, "Z") {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("process %s still runs", pid)
		}
	}
}
