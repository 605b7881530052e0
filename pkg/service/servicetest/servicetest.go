// Package servicetest stands in for systemd, on machines where that does not
// run: it puts an executable systemctl into a directory, which keeps the state
// of units in files and can really start and stop their commands.
//
// New is for tests, and ends everything with the test. A demo needs no Go: it
// copies systemctl.sh, whose head says how units are described, and stops its
// units at the end (or writes its process id to the file "owner").
//
// States, exit codes and messages follow systemd 252. What it cannot stand for
// is in the comment of package service.
package servicetest

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bmad-forge/forgectl/pkg/proc"
)

//go:embed systemctl.sh
var script []byte

// Bus is what a call meets instead of systemd.
type Bus string

// The ways in which systemd cannot be reached, or refuses.
const (
	Reachable Bus = ""
	NoSystemd Bus = "nosystemd" // another init, as in a container: code 1
	NoBus     Bus = "nobus"     // code 1
	Chroot    Bus = "chroot"    // does nothing, says so and succeeds
	Denied    Bus = "denied"    // answers, but does not let anything be changed: code 4
)

// Systemctl is an installed stand-in.
type Systemctl struct {
	Dir string // to be put in front of PATH

	tb testing.TB
}

// Install puts the stand-in into a directory, which must exist. Close ends what
// it started.
func Install(dir string) (*Systemctl, error) {
	s := &Systemctl{Dir: dir}
	if err := os.MkdirAll(s.root(), 0o755); err != nil {
		return nil, fmt.Errorf("install stand-in for systemctl: %w", err)
	}
	// The commands end with this process even when it is killed.
	if err := os.WriteFile(filepath.Join(s.root(), "owner"), []byte(strconv.Itoa(os.Getpid())), 0o644); err != nil {
		return nil, fmt.Errorf("install stand-in for systemctl: %w", err)
	}
	// No child may be forked while the file is open for writing: what a process
	// has open like that cannot be executed.
	syscall.ForkLock.RLock()
	err := os.WriteFile(filepath.Join(dir, "systemctl"), script, 0o755)
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, fmt.Errorf("install stand-in for systemctl: %w", err)
	}
	return s, nil
}

// New installs the stand-in for the time of a test.
func New(tb testing.TB) *Systemctl {
	tb.Helper()
	s, err := Install(tb.TempDir())
	if err != nil {
		tb.Fatal(err)
	}
	s.tb = tb
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

func (s *Systemctl) root() string { return filepath.Join(s.Dir, "systemctl.d") }

func (s *Systemctl) file(unit, name string) string {
	if !strings.Contains(unit, ".") {
		unit += ".service"
	}
	return filepath.Join(s.root(), unit, name)
}

// Environ is an environment in which "systemctl" is the stand-in.
func (s *Systemctl) Environ() []string {
	return []string{"PATH=" + s.Dir + ":/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"}
}

// Runner runs programs in that environment.
func (s *Systemctl) Runner() proc.Runner { return proc.System{Environ: s.Environ()} }

// Add makes a unit, which is inactive. Lines are those of its unit file, such
// as "ExecStart=sleep 60"; without any only its state is kept.
func (s *Systemctl) Add(unit string, lines ...string) {
	s.check(os.MkdirAll(filepath.Dir(s.file(unit, "unit")), 0o755))
	s.write(unit, "unit", strings.Join(lines, "\n")+"\n")
}

// Running makes units that are active.
func (s *Systemctl) Running(units ...string) {
	for _, unit := range units {
		s.Add(unit)
		s.Become(unit, "active", "running", "success")
	}
}

// Become puts a unit into a state, whatever happened before.
func (s *Systemctl) Become(unit, active, sub, result string) {
	temp := s.file(unit, "state.new")
	s.check(os.WriteFile(temp, fmt.Appendf(nil, "ActiveState=%s\nSubState=%s\nResult=%s\nMainPID=0\n", active, sub, result), 0o644))
	s.check(os.Rename(temp, s.file(unit, "state")))
}

// Invocation says that systemd has started the unit once more.
func (s *Systemctl) Invocation(unit, id string) { s.write(unit, "invocation", id) }

// HoldStart keeps the next start at "activating" until release is called.
func (s *Systemctl) HoldStart(unit string) (release func()) { return s.hold(unit, "hold-start") }

// HoldStop keeps the next stop at "deactivating" until release is called.
func (s *Systemctl) HoldStop(unit string) (release func()) { return s.hold(unit, "hold-stop") }

func (s *Systemctl) hold(unit, name string) func() {
	s.write(unit, name, "")
	return func() { s.check(os.Remove(s.file(unit, name))) }
}

// FailStart lets every start fail, with systemd's word for the reason: timeout,
// protocol or exit-code.
func (s *Systemctl) FailStart(unit, result string) { s.write(unit, "fail-start", result) }

// ComeBack lets the unit run again right after each of the next stops.
func (s *Systemctl) ComeBack(unit string, times int) {
	s.write(unit, "come-back", strconv.Itoa(times))
}

// Log adds a line to what "systemctl status" shows.
func (s *Systemctl) Log(unit, line string) { s.write(unit, "log", line+"\n") }

// Meet lets every call from now on meet b.
func (s *Systemctl) Meet(b Bus) {
	s.check(os.WriteFile(filepath.Join(s.root(), "bus"), []byte(b), 0o644))
}

// State is the unit's ActiveState.
func (s *Systemctl) State(unit string) string {
	text, err := os.ReadFile(s.file(unit, "state"))
	if errors.Is(err, fs.ErrNotExist) {
		return "inactive"
	}
	s.check(err)
	first, _, _ := strings.Cut(string(text), "\n")
	return strings.TrimPrefix(first, "ActiveState=")
}

// MainPID is the process of a unit's command; 0 when there is none.
func (s *Systemctl) MainPID(unit string) int { return pidIn(s.file(unit, "main")) }

// Close ends every command that is still running. It does not use the stand-in,
// which may be told to hang.
func (s *Systemctl) Close() error {
	var left []string
	for _, name := range []string{"runner", "main"} { // first who would start it again
		files, err := filepath.Glob(filepath.Join(s.root(), "*", name))
		if err != nil {
			return err
		}
		for _, file := range files {
			if pid := pidIn(file); pid > 1 && !endGroup(pid) {
				left = append(left, fmt.Sprintf("%s (%d)", file, pid))
			}
		}
	}
	if len(left) > 0 {
		return fmt.Errorf("these do not end: %s", strings.Join(left, ", "))
	}
	return nil
}

// endGroup kills a process group and waits until nobody in it runs.
func endGroup(pid int) bool {
	for range 500 {
		if err := syscall.Kill(-pid, syscall.SIGKILL); errors.Is(err, syscall.ESRCH) || zombie(pid) {
			return true
		}
		time.Sleep(10 * time.Millisecond)
	}
	return false
}

// zombie is for machines whose first process does not reap.
func zombie(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && bytes.Contains(text, []byte(") Z "))
}

func pidIn(file string) int {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	pid, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	return pid
}

func (s *Systemctl) write(unit, name, text string) {
	s.check(os.WriteFile(s.file(unit, name), []byte(text), 0o644))
}

func (s *Systemctl) check(err error) {
	switch {
	case err == nil:
	case s.tb != nil:
		s.tb.Helper()
		s.tb.Fatal(err)
	default:
		panic(err)
	}
}
