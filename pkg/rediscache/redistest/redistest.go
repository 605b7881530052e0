// Package redistest gives tests a real Redis: redis-server from the system's
// packages, with a directory, a port and a socket of its own, ended with the test.
//
// Nothing is saved to disk unless a test asks for it. Where redis-server is
// missing a test is skipped, and fails where CI is set: scripts/setup installs it.
package redistest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"github.com/bmad-forge/forgectl/pkg/proc"
)

// patience is how long a server may take to answer on a machine that has other
// work.
const patience = time.Minute

// Server is a redis-server that runs.
type Server struct {
	Dir    string
	Port   int
	Socket string
	PID    int

	process proc.Process
	stop    context.CancelFunc
	ended   chan struct{}
	log     string
}

// Start starts a server with further arguments, such as "--requirepass", "x", and
// waits until it answers, if only with a refusal.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	if err := Available(); err != nil {
		skip(t, err)
	}
	// The path of a socket is bounded, and that of a test's own directory long.
	dir, err := os.MkdirTemp("", "redistest-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return StartIn(t, dir, args...)
}

// StartIn is Start in a directory of the caller's, where a dump may lie.
func StartIn(t testing.TB, dir string, args ...string) *Server {
	t.Helper()
	for range 10 {
		s, err := launch(dir, args)
		if err == nil {
			t.Cleanup(s.Kill)
			return s
		}
		// Somebody else took the port since it was found free.
		if !errors.Is(err, errPort) {
			t.Fatal(err)
		}
	}
	t.Fatal("no free port for redis-server after ten attempts")
	return nil
}

// Available says why there is no redis-server.
func Available() error {
	for dir := range strings.SplitSeq(os.Getenv("PATH"), ":") {
		if _, err := os.Stat(filepath.Join(dir, "redis-server")); err == nil {
			return nil
		}
	}
	return errors.New("redis-server is not installed (scripts/setup installs it)")
}

// skip leaves a test out, but not in CI.
func skip(t testing.TB, why error) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf("cannot be left out in CI: %v", why)
	}
	t.Skip(why)
}

var errPort = errors.New("the port is taken")

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port, nil
}

func launch(dir string, args []string) (*Server, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	s := &Server{Dir: dir, Port: port, Socket: filepath.Join(dir, "redis.sock"), log: filepath.Join(dir, "log"), ended: make(chan struct{})}
	_ = os.Remove(s.log)
	base := []string{
		"--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--unixsocket", s.Socket, "--dir", dir, "--logfile", s.log,
		"--save", "", "--appendonly", "no", "--daemonize", "no", "--databases", "16", "--enable-debug-command", "local",
	}
	return s, s.run("redis-server", append(base, args...))
}

// run starts the program and waits until it can be reached.
func (s *Server) run(program string, args []string) error {
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	var err error
	s.process, err = proc.System{Environ: os.Environ()}.Start(ctx, proc.Cmd{Path: program, Args: args, StopSignal: syscall.SIGKILL})
	if err != nil {
		stop()
		return err
	}
	s.PID = s.process.PID()
	go func() {
		_ = s.process.Wait() // by the signal that it was sent
		close(s.ended)
	}()
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		if s.listens() {
			return nil
		}
		select {
		case <-s.ended:
			log, _ := os.ReadFile(s.log)
			if strings.Contains(string(log), "Address already in use") {
				return errPort
			}
			return fmt.Errorf("%s ended: %s", program, log)
		default:
		}
		if time.Now().After(deadline) {
			s.Kill()
			return fmt.Errorf("%s does not listen after %s", program, patience)
		}
	}
}

// listens reports whether both the port and the socket are there; the socket comes last.
func (s *Server) listens() bool {
	port, err := net.Dial("tcp", s.Addr())
	if err != nil {
		return false
	}
	_ = port.Close()
	if s.Socket == "" {
		return true
	}
	socket, err := net.Dial("unix", s.Socket)
	if err != nil {
		return false
	}
	_ = socket.Close()
	return true
}

// Addr is host and port.
func (s *Server) Addr() string { return "127.0.0.1:" + strconv.Itoa(s.Port) }

// URL is how the server is reached by TCP.
func (s *Server) URL() string { return "redis://" + s.Addr() + "/0" }

// SocketURL is how it is reached by its socket.
func (s *Server) SocketURL() string { return "unix://" + s.Socket }

// Client is another client, by the socket, as the default user without a password.
func (s *Server) Client(t testing.TB) *redis.Client {
	t.Helper()
	logging.Disable()
	c := redis.NewClient(&redis.Options{Network: "unix", Addr: s.Socket, ReadTimeout: patience, WriteTimeout: patience, MaxRetries: -1, DisableIdentity: true})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// Kill ends the server at once, as a crash would. It may be called again.
func (s *Server) Kill() {
	s.stop()
	<-s.ended
}

// Freeze keeps the server from answering, with its connections open, until Thaw.
func (s *Server) Freeze(t testing.TB) { s.signal(t, syscall.SIGSTOP) }

// Thaw is the end of Freeze.
func (s *Server) Thaw(t testing.TB) { s.signal(t, syscall.SIGCONT) }

func (s *Server) signal(t testing.TB, sig syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(s.PID, sig); err != nil {
		t.Fatal(err)
	}
}

// Wait polls until f is true, for a minute.
func Wait(t testing.TB, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("still not after %s: %s", patience, what)
		}
	}
}
