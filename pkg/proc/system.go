package proc

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

const defaultGrace = 5 * time.Second

// System runs real programs. The zero value has an empty environment but for a default PATH.
type System struct {
	Environ []string      // the parent's (os.Environ); only an allow-list of it is handed on
	Grace   time.Duration // between StopSignal and KILL, and for pipes that others keep open; default 5 s
	Logger  *slog.Logger  // nil: silent
}

// Run implements Runner.
func (s System) Run(ctx context.Context, c Cmd) error {
	p, err := s.Start(ctx, c)
	if err != nil {
		return err
	}
	return p.Wait()
}

// Start implements Runner.
func (s System) Start(ctx context.Context, c Cmd) (Process, error) {
	p, err := s.start(ctx, c)
	if err != nil {
		return nil, &Error{Name: c.DisplayName(), ExitCode: -1, Err: err}
	}
	return p, nil
}

func (s System) start(ctx context.Context, c Cmd) (*child, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	as, err := otherUser(c.As)
	if err != nil {
		return nil, err
	}
	env, err := environment(s.Environ, as, c.Env)
	if err != nil {
		return nil, err
	}
	path, err := lookPath(c.Path, envList(env).get("PATH"))
	if err != nil {
		return nil, err
	}
	dir, err := workDir(c.Dir, as)
	if err != nil {
		return nil, err
	}
	p := newChild(c, s.grace(), s.logger())
	attr := &os.ProcAttr{Dir: dir, Env: env, Sys: sysProcAttr(c, as)}
	argv := append([]string{path}, c.Args...)
	return p, p.start(ctx, path, argv, attr)
}

func (s System) grace() time.Duration {
	if s.Grace > 0 {
		return s.Grace
	}
	return defaultGrace
}

func (s System) logger() *slog.Logger {
	if s.Logger != nil {
		return s.Logger
	}
	return slog.New(slog.DiscardHandler)
}

// otherUser is as when it is really another user than this one: without root, naming oneself needs no switch.
func otherUser(as *Credential) (*Credential, error) {
	euid := os.Geteuid()
	if as == nil || int(as.UID) == euid {
		return nil, nil
	}
	if euid != 0 {
		return nil, fmt.Errorf("run as %s: only root can become another user: %w", as.User, syscall.EPERM)
	}
	return as, nil
}

// workDir checks the directory here, because the kernel's answer would be the same as for a missing program.
func workDir(dir string, as *Credential) (string, error) {
	if dir == "" {
		if as != nil {
			return "/", nil // the current one may be closed to that user
		}
		return "", nil
	}
	info, err := os.Stat(dir)
	if err != nil {
		return "", fmt.Errorf("enter directory: %w", err)
	}
	if !info.IsDir() {
		return "", fmt.Errorf("enter directory: %w", &os.PathError{Op: "chdir", Path: filepath.Clean(dir), Err: syscall.ENOTDIR})
	}
	return dir, nil
}

func sysProcAttr(c Cmd, as *Credential) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: c.DeathSignal}
	if attr.Pdeathsig == 0 {
		attr.Pdeathsig = syscall.SIGKILL
	}
	if as != nil {
		attr.Credential = &syscall.Credential{Uid: as.UID, Gid: as.GID, Groups: as.Groups}
	}
	return attr
}
