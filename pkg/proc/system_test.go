package proc_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"

	"github.com/bmad-forge/forgectl/pkg/proc"
)

// What goes in comes out, whatever its size and kind of stream.
func TestRunStreams(t *testing.T) {
	in := bytes.Repeat([]byte("forge "), 1<<20)
	file := filepath.Join(t.TempDir(), "in")
	if err := os.WriteFile(file, in, 0o600); err != nil {
		t.Fatal(err)
	}
	opened, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	outFile, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer outFile.Close()
	var buf bytes.Buffer

	tests := []struct {
		name string
		in   io.Reader
		out  io.Writer
		got  func() []byte
		want []byte
	}{
		{"copied", bytes.NewReader(in), &buf, buf.Bytes, in},
		{"files", opened, outFile, func() []byte { b, _ := os.ReadFile(outFile.Name()); return b }, in},
		{"nothing", nil, nil, func() []byte { return nil }, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := proc.System{}.Run(t.Context(), proc.Cmd{Path: "cat", Stdin: tt.in, Stdout: tt.out})
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(tt.got(), tt.want) {
				t.Errorf("got %d bytes, want %d", len(tt.got()), len(tt.want))
			}
		})
	}
}

// A failure says which program, how, and why, with the end of stderr.
func TestRunFailure(t *testing.T) {
	many := "for i in $(seq 1 50); do echo line $i >&2; done; exit 4"
	tests := []struct {
		name, script, message string
		code, lines           int
		signal                os.Signal
	}{
		{"code alone", "exit 3", "sh: exit status 3", 3, 0, nil},
		{"last line", "echo one >&2; echo two >&2; exit 1", "sh: exit status 1: two", 1, 2, nil},
		{"error before detail", "echo 'sh: error: no rights' >&2; echo 'detail: x' >&2; exit 1", "sh: exit status 1: error: no rights", 1, 2, nil},
		{"no newline", "printf end >&2; exit 1", "sh: exit status 1: end", 1, 1, nil},
		{"tail", many, "sh: exit status 4: line 50", 4, 20, nil},
		{"signal", "kill -9 $$", "sh: ended by signal: killed", -1, 0, syscall.SIGKILL},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := proc.System{}.Run(t.Context(), shell(tt.script))
			var e *proc.Error
			if !errors.As(err, &e) {
				t.Fatalf("got %v, want *proc.Error", err)
			}
			if e.Error() != tt.message || e.ExitCode != tt.code || len(e.Stderr) != tt.lines || e.Signal != tt.signal {
				t.Errorf("got %q, code %d, %d lines, signal %v", e.Error(), e.ExitCode, len(e.Stderr), e.Signal)
			}
		})
	}
}

// What cannot be started is told apart from what failed, and names the thing that is missing.
func TestStartFailure(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	cancelled, cancel := context.WithCancelCause(t.Context())
	why := errors.New("not today")
	cancel(why)
	tests := []struct {
		name string
		ctx  context.Context
		cmd  proc.Cmd
		want error
		text string
	}{
		{"not in PATH", t.Context(), proc.Cmd{Path: "no-such-program"}, proc.ErrNotFound, "no-such-program is not in"},
		{"no such file", t.Context(), proc.Cmd{Path: missing}, proc.ErrNotFound, missing},
		{"no such directory", t.Context(), proc.Cmd{Path: "true", Dir: missing}, fs.ErrNotExist, "enter directory"},
		{"directory is a file", t.Context(), proc.Cmd{Path: "true", Dir: "/etc/passwd"}, syscall.ENOTDIR, "/etc/passwd"},
		{"context over", cancelled, proc.Cmd{Path: "true"}, why, "true: not today"},
		{"secret in environment", t.Context(), proc.Cmd{Path: "true", Env: []string{"PGPASSWORD=x"}}, proc.ErrSecretEnv, "PGPASSWORD"},
		{"malformed environment", t.Context(), proc.Cmd{Path: "true", Env: []string{"X"}}, nil, "NAME=value"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := proc.System{}.Run(tt.ctx, tt.cmd)
			if err == nil || (tt.want != nil && !errors.Is(err, tt.want)) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("got %v, want %v with %q", err, tt.want, tt.text)
			}
		})
	}
}

// A source that breaks is the error, and the child never takes it for the end of its input.
func TestBrokenStdin(t *testing.T) {
	broken := errors.New("source broke")
	mark := filepath.Join(t.TempDir(), "saw-the-end")
	cmd := shell(`trap '' TERM; echo ready; cat >/dev/null; : >"$1"`, mark)
	out := newFirstLine()
	cmd.Stdout, cmd.Stdin = out, io.MultiReader(strings.NewReader("BEGIN;\n"), after(out.line), iotest.ErrReader(broken))
	err := proc.System{Grace: short}.Run(t.Context(), cmd)
	if !errors.Is(err, broken) {
		t.Errorf("got %v, want %v", err, broken)
	}
	if _, err := os.Stat(mark); err == nil {
		t.Error("the child saw an end of file")
	}
}

// after is an empty source that ends when the line has come.
type after <-chan string

func (a after) Read([]byte) (int, error) {
	<-a
	return 0, io.EOF
}

// A child that does not want all of its input is no failure.
func TestUnreadStdin(t *testing.T) {
	cmd := proc.Cmd{Path: "true", Stdin: bytes.NewReader(make([]byte, 8<<20))}
	if err := (proc.System{}).Run(t.Context(), cmd); err != nil {
		t.Fatal(err)
	}
}

type failingWriter struct{ err error }

func (f failingWriter) Write([]byte) (int, error) { return 0, f.err }

type shortWriter struct{}

func (shortWriter) Write(p []byte) (int, error) { return len(p) - 1, nil }

// A consumer that breaks stops the child and is the error.
func TestBrokenStdout(t *testing.T) {
	full := errors.New("no space")
	for _, tt := range []struct {
		w    io.Writer
		want error
	}{{failingWriter{full}, full}, {shortWriter{}, io.ErrShortWrite}} {
		err := proc.System{}.Run(t.Context(), proc.Cmd{Path: "yes", Stdout: tt.w})
		if !errors.Is(err, tt.want) {
			t.Errorf("got %v, want %v", err, tt.want)
		}
	}
}

func TestOutput(t *testing.T) {
	out, err := proc.Output(t.Context(), proc.System{}, shell("printf hello"))
	if err != nil || string(out) != "hello" {
		t.Errorf("got %q, %v", out, err)
	}
	_, err = proc.Output(t.Context(), proc.System{}, proc.Cmd{Path: "yes"})
	if !errors.Is(err, proc.ErrTooMuchOutput) {
		t.Errorf("endless output: got %v", err)
	}
}

// Descriptors begin at 3, in order.
func TestFiles(t *testing.T) {
	var files []*os.File
	for i := range 3 {
		f, err := proc.Memfd("part", fmt.Appendf(nil, "%d", i), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		files = append(files, f)
	}
	cmd := shell("cat /proc/self/fd/3 /proc/self/fd/4 /proc/self/fd/5")
	cmd.Files = files
	out, err := proc.Output(t.Context(), proc.System{}, cmd)
	if err != nil || string(out) != "012" {
		t.Errorf("got %q, %v", out, err)
	}
}
