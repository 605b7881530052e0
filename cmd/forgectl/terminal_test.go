package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// terminal runs a program with a terminal of 80 columns at all three ends, and
// keeps what was seen there in the file "screen":
//
//	terminal [-in FILE] CODE PROGRAM [ARGS]
//
// What testscript offers itself attaches only standard input.
func terminal(ts *testscript.TestScript, neg bool, args []string) {
	var input string
	if len(args) > 2 && args[0] == "-in" {
		input, args = ts.ReadFile(args[1]), args[2:]
	}
	if neg || len(args) < 2 {
		ts.Fatalf("usage: terminal [-in FILE] CODE PROGRAM [ARGS]")
	}
	ours, theirs, err := openTerminal()
	ts.Check(err)
	defer func() { _ = ours.Close() }()

	cmd := exec.Command(args[1], args[2:]...)
	cmd.Path, err = lookPath(args[1], ts.Getenv("PATH"))
	ts.Check(err)
	cmd.Err = nil
	cmd.Dir = ts.MkAbs(".")
	for _, name := range []string{"HOME", "PATH", "TERM", "NO_COLOR", "FORGECTL_CONFIG", "FORGECTL_STATE_DIR", "TMPDIR", "GORACE", "DB_NAME", "DATABASE_URL"} {
		if v := ts.Getenv(name); v != "" {
			cmd.Env = append(cmd.Env, name+"="+v)
		}
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = theirs, theirs, theirs
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	err = cmd.Start()
	_ = theirs.Close()
	ts.Check(err)
	_, err = io.WriteString(ours, input)
	ts.Check(err)

	var seen bytes.Buffer
	// When the last end of theirs is closed this ends with EIO, and not
	// before everything was read.
	if _, err := io.Copy(&seen, ours); err != nil && !errors.Is(err, syscall.EIO) {
		ts.Fatalf("read terminal: %v", err)
	}
	_ = cmd.Wait()
	screen := strings.ReplaceAll(seen.String(), "\r\n", "\n")
	ts.Logf("[screen]\n%q", screen)
	ts.Check(os.WriteFile(ts.MkAbs("screen"), []byte(screen), 0o600))
	if got := strconv.Itoa(cmd.ProcessState.ExitCode()); got != args[0] {
		ts.Fatalf("exit code %s, want %s", got, args[0])
	}
}

func lookPath(name, path string) (string, error) {
	for _, dir := range strings.Split(path, ":") {
		file := dir + "/" + name
		if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return file, nil
		}
	}
	return "", exec.ErrNotFound
}

// openTerminal makes a pseudo-terminal: our end and the program's.
func openTerminal() (ours, theirs *os.File, err error) {
	ours, err = os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, err
	}
	fd := int(ours.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		return nil, nil, err
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		return nil, nil, err
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 80}); err != nil {
		return nil, nil, err
	}
	theirs, err = os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|syscall.O_NOCTTY, 0)
	return ours, theirs, err
}
