package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/bmad-forge/forgectl/pkg/proc"
)

// bench is the place in which everything happens.
type bench struct {
	dir   string // removed by close, unless kept
	kept  bool
	runs  int
	scale int

	forgectl string // the binary
	runner   proc.Runner
	server   *server
	changes  int // of the tree of files
}

func open(keep string) (*bench, error) {
	b := &bench{dir: keep, kept: keep != "", runner: proc.System{Environ: os.Environ(), Grace: time.Minute}}
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
	if err := os.MkdirAll(b.dir, 0o700); err != nil {
		return nil, err
	}
	return b, os.Chmod(b.dir, 0o711) //nolint:gosec // the server's user has to pass through
}

func (b *bench) close() error {
	if b.server != nil {
		b.server.end()
	}
	if b.kept {
		return nil
	}
	return os.RemoveAll(b.dir)
}

func (b *bench) path(name string) string { return filepath.Join(b.dir, name) }

// shell runs a line as an operator would type it, with errors and broken pipes noticed.
func (b *bench) shell(ctx context.Context, line string) error {
	return b.command(ctx, "bash", "-euo", "pipefail", "-c", line)
}

// command runs a program in the place, with the connection of the server in its environment.
func (b *bench) command(ctx context.Context, program string, args ...string) error {
	_, err := b.output(ctx, program, args...)
	return err
}

// output is command, and what the program wrote.
func (b *bench) output(ctx context.Context, program string, args ...string) (string, error) {
	env := []string{"LC_ALL=C.UTF-8", "GNUPGHOME=" + b.path("gnupg")}
	if b.server != nil {
		env = append(env, "PGHOST="+b.server.socket, "PGUSER=postgres", "PGDATABASE=bench", "PATH="+b.server.binaries+":"+os.Getenv("PATH"))
	}
	out, err := proc.Output(ctx, b.runner, proc.Cmd{Path: program, Args: args, Env: env, Dir: b.dir})
	if err != nil {
		return "", fmt.Errorf("%s: %w", strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(out)), nil
}

// server is a PostgreSQL with the settings that initdb gives, but for where it listens.
type server struct {
	binaries string
	socket   string // its directory
	process  proc.Process
	stop     context.CancelFunc
}

func (b *bench) startServer(ctx context.Context) error {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		return errors.New("no PostgreSQL server here: run scripts/setup")
	}
	s := &server{binaries: filepath.Dir(found[len(found)-1]), socket: b.path("server")}
	data := filepath.Join(s.socket, "data")
	as, err := serverDir(s.socket)
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(s.socket, "ready")); err != nil {
		init := proc.Cmd{Path: filepath.Join(s.binaries, "initdb"), As: as, Dir: "/", Args: []string{
			"--pgdata=" + data, "--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8",
		}}
		if err := b.runner.Run(ctx, init); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(s.socket, "ready"), nil, 0o600); err != nil {
			return err
		}
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx)) // it ends after those who use it
	s.stop = stop
	s.process, err = b.runner.Start(running, proc.Cmd{
		Path: filepath.Join(s.binaries, "postgres"), As: as, Dir: "/", StopSignal: syscall.SIGINT,
		Args: []string{"-D", data, "-c", "listen_addresses=", "-c", "unix_socket_directories=" + s.socket},
	})
	if err != nil {
		stop()
		return err
	}
	b.server = s
	return b.await(ctx)
}

// await returns when the server answers.
func (b *bench) await(ctx context.Context) error {
	for deadline := time.Now().Add(time.Minute); ; {
		err := b.command(ctx, "psql", "-XAtc", "SELECT 1", "postgres")
		if err == nil || ctx.Err() != nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// serverDir makes a directory for the user that the server runs as: it refuses root.
func serverDir(dir string) (*proc.Credential, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil || os.Geteuid() != 0 {
		return nil, err
	}
	as, err := proc.LookupUser("postgres")
	if err != nil {
		return nil, fmt.Errorf("%w: run scripts/setup", err)
	}
	return as, os.Chown(dir, int(as.UID), int(as.GID))
}

func (s *server) end() {
	s.stop()
	_ = s.process.Wait() // by the signal that it was sent
}
