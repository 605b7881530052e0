package proctest

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/proc"
)

// DieAt is for a test binary that runs once more on behalf of a test: at the step of that name it kills itself, as kill -9
// does.
func DieAt(step string) func(name string) {
	return func(name string) {
		if name == step {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
}

// Killed runs the test binary once more, with a variable (NAME=value) in its environment that tells it what to do, and
// returns when it was killed. Otherwise the test fails.
func Killed(t testing.TB, variable string) {
	t.Helper()
	var said []string
	var out strings.Builder
	err := proc.System{Environ: os.Environ()}.Run(t.Context(), proc.Cmd{
		Path: "/proc/self/exe", Name: "the test binary", Env: []string{variable, "GORACE=atexit_sleep_ms=0"},
		Stdout: &out, Stderr: func(line string) { said = append(said, line) },
	})
	var failed *proc.Error
	if !errors.As(err, &failed) || failed.Signal != syscall.SIGKILL {
		t.Fatalf("%s was not killed: %v\n%s\n%s", variable, err, out.String(), strings.Join(said, "\n"))
	}
}
