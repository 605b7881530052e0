package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// bench is the place in which everything happens.
type bench struct {
	dir   string // removed by close, unless kept
	kept  bool
	runs  int
	scale int

	forgectl string // the binary
	server   *server
}

func open(keep string) (*bench, error) {
	b := &bench{dir: keep, kept: keep != ""}
	binary, err := filepath.Abs("bin/forgectl")
	if err == nil {
		_, err = os.Stat(binary)
	}
	if err != nil {
		return nil, fmt.Errorf("bin/forgectl is not built: run make bench: %w", err)
	}
	b.forgectl = binary
	if keep == "" {
		// Not TMPDIR, which may be memory; and short, since the path of a socket is bounded.
		if b.dir, err = os.MkdirTemp("/var/tmp", "forgectl-bench-"); err != nil {
			return nil, err
		}
	} else if b.dir, err = filepath.Abs(keep); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(b.dir, 0o711); err != nil {
		return nil, err
	}
	return b, os.Chmod(b.dir, 0o711) // the server's user has to pass through
}

func (b *bench) close() error {
	var err error
	if b.server != nil {
		err = b.server.stop()
	}
	if !b.kept {
		err = errors.Join(err, os.RemoveAll(b.dir))
	}
	return err
}

func (b *bench) path(name string) string { return filepath.Join(b.dir, name) }

// shell runs a line as an operator would type it, with errors and broken pipes noticed.
func (b *bench) shell(ctx context.Context, line string) error {
	return b.command(ctx, "bash", "-euo", "pipefail", "-c", line)
}

// command runs a program in the place, with the connection of the server in its environment. What it says comes with
// the error.
func (b *bench) command(ctx context.Context, program string, args ...string) error {
	_, err := b.output(ctx, program, args...)
	return err
}

func (b *bench) output(ctx context.Context, program string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = b.dir
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "GNUPGHOME="+b.path("gnupg"))
	if b.server != nil {
		cmd.Env = append(cmd.Env, "PGHOST="+b.server.socket, "PGUSER=postgres", "PGDATABASE=bench", "PATH="+b.server.binaries+":"+os.Getenv("PATH"))
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", program, strings.Join(args, " "), err, bytes.TrimSpace(append(stdout.Bytes(), stderr.Bytes()...)))
	}
	return strings.TrimSpace(stdout.String()), nil
}

// server is a PostgreSQL with the settings that initdb gives, but for where it listens.
type server struct {
	binaries string
	socket   string // its directory
	cmd      *exec.Cmd
}

func (b *bench) startServer(ctx context.Context) error {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		return errors.New("no PostgreSQL server here: run scripts/setup")
	}
	s := &server{binaries: filepath.Dir(found[len(found)-1]), socket: b.path("server")}
	as, err := serverUser()
	if err != nil {
		return err
	}
	data := filepath.Join(s.socket, "data")
	program := func(name string, args ...string) *exec.Cmd {
		cmd := exec.Command(filepath.Join(s.binaries, name), args...)
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as, Setpgid: true}
		return cmd
	}
	if err := os.MkdirAll(s.socket, 0o700); err != nil {
		return err
	}
	if as != nil {
		if err := os.Chown(s.socket, int(as.Uid), int(as.Gid)); err != nil {
			return err
		}
	}
	if _, err := os.Stat(filepath.Join(data, "PG_VERSION")); err != nil {
		out, err := program("initdb", "--pgdata="+data, "--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8").CombinedOutput()
		if err != nil {
			return fmt.Errorf("initdb: %w\n%s", err, out)
		}
	}
	s.cmd = program("postgres", "-D", data, "-c", "listen_addresses=", "-c", "unix_socket_directories="+s.socket)
	log, err := os.Create(b.path("server.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	s.cmd.Stdout, s.cmd.Stderr = log, log
	if err := s.cmd.Start(); err != nil {
		return err
	}
	b.server = s
	for {
		if err = b.command(ctx, "psql", "-XAtc", "SELECT 1", "postgres"); err == nil || ctx.Err() != nil {
			return err
		}
		if !s.alive() {
			return fmt.Errorf("the server did not start, see %s: %w", log.Name(), err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// serverUser is as whom the server runs: it refuses root.
func serverUser() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("%w: run scripts/setup", err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, err
}

func (s *server) alive() bool {
	var status syscall.WaitStatus
	pid, err := syscall.Wait4(s.cmd.Process.Pid, &status, syscall.WNOHANG, nil)
	return err == nil && pid == 0
}

func (s *server) stop() error {
	if err := s.cmd.Process.Signal(syscall.SIGINT); err != nil {
		return err
	}
	return s.cmd.Wait()
}
