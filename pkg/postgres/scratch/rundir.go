package scratch

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/bmad-forge/forgectl/pkg/atomicfile"
	"github.com/bmad-forge/forgectl/pkg/proc"
)

const (
	dataName = "data"

	// socketBase holds the socket's directory when the cluster's own would not do.
	socketBase = "/tmp"
	// socketFile is the longest that the server puts into it.
	socketFile = "/.s.PGSQL.65535"
	// maxSocketPath is sun_path without its final zero (unix(7)).
	maxSocketPath = 107
)

var runName = regexp.MustCompile(`^forgectl-pg-[0-9a-f]{8}$`)

// runDir is the directory of one cluster, with the lock that says whose it is.
type runDir struct {
	path   string
	data   string
	socket string

	// view is path as the server sees it. The user of the server may be unable to enter the parents of path, as
	// below a state directory of root's; then handle, an open descriptor of path, is passed as number 3 and the
	// server goes through that.
	view   string
	handle *os.File

	lock *os.File // path, opened and flocked by the process that the cluster belongs to
}

var errBusy = errors.New("belongs to a process that runs")

// newRunDir makes a directory for user below o.Dir and claims it.
func newRunDir(ctx context.Context, o Options, user *proc.Credential) (*runDir, error) {
	base, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("make directory %s: %w", o.Dir, err)
	}
	if err := atomicfile.MkdirAll(base, 0o700); err != nil {
		return nil, err
	}
	for range 100 {
		path := filepath.Join(base, newName())
		err := os.Mkdir(path, 0o700)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		o.step("made")
		r, err := claim(path)
		if errors.Is(err, errBusy) || errors.Is(err, fs.ErrNotExist) {
			continue // a sweep took the empty directory for a leftover
		}
		if err != nil {
			return nil, err
		}
		if err := r.prepare(ctx, o.Runner, user); err != nil {
			return nil, errors.Join(err, r.remove(ctx))
		}
		return r, nil
	}
	return nil, fmt.Errorf("make directory in %s: no name is free", base)
}

func newName() string {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails
	return "forgectl-pg-" + hex.EncodeToString(b[:])
}

// claim takes the lock of a cluster's directory: errBusy when its owner lives, fs.ErrNotExist when it is gone. It is
// a lock on the directory itself, because a file in it could be made anew while the directory is being removed.
func claim(path string) (*runDir, error) {
	lock, err := os.OpenFile(path, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = lock.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("claim %s: %w", path, errBusy)
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	// Whoever had the lock before may have removed the directory.
	mine, err1 := lock.Stat()
	there, err2 := os.Lstat(path)
	if err1 != nil || err2 != nil || !os.SameFile(mine, there) {
		_ = lock.Close()
		return nil, fmt.Errorf("claim %s: %w", path, fs.ErrNotExist)
	}
	return &runDir{path: path, view: path, data: filepath.Join(path, dataName), socket: path, lock: lock}, nil
}

// prepare makes the directory usable for the server's user and settles where its socket is.
func (r *runDir) prepare(ctx context.Context, runner proc.Runner, user *proc.Credential) error {
	if user != nil {
		if err := os.Chown(r.path, int(user.UID), int(user.GID)); err != nil {
			return err
		}
	}
	reachable, err := canEnter(ctx, runner, r.path, user)
	if err != nil {
		return err
	}
	if !reachable {
		if r.handle, err = os.Open(r.path); err != nil {
			return err
		}
		r.view = "/proc/self/fd/3"
	}
	// A comma separates hosts in a connection string, and cannot be quoted.
	if reachable && len(r.path)+len(socketFile) <= maxSocketPath && !strings.Contains(r.path, ",") {
		return nil
	}
	socket := filepath.Join(socketBase, filepath.Base(r.path))
	if err := os.Mkdir(socket, 0o700); err != nil {
		return fmt.Errorf("make directory for socket: %w", err)
	}
	r.socket = socket
	if user != nil {
		return os.Chown(socket, int(user.UID), int(user.GID))
	}
	return nil
}

// canEnter asks the kernel, as that user, because permission bits are not all there is.
func canEnter(ctx context.Context, runner proc.Runner, dir string, user *proc.Credential) (bool, error) {
	if user == nil {
		return true, nil
	}
	err := runner.Run(ctx, proc.Cmd{Path: "/bin/sh", Args: []string{"-c", `cd "$1"`, "sh", dir}, As: user})
	var failed *proc.Error
	if errors.As(err, &failed) && failed.Err == nil {
		return false, nil
	}
	return err == nil, err
}

// files are what the server's programs need open.
func (r *runDir) files() []*os.File {
	if r.handle == nil {
		return nil
	}
	return []*os.File{r.handle}
}

// remove ends what still runs in the directory, removes it, and gives up the lock.
func (r *runDir) remove(ctx context.Context) error {
	if err := endServer(ctx, r.path); err != nil {
		return err
	}
	if err := r.removeSocketDir(); err != nil {
		return err
	}
	if err := os.RemoveAll(r.path); err != nil {
		return fmt.Errorf("remove %s: %w", r.path, err)
	}
	if r.handle != nil {
		_ = r.handle.Close()
	}
	return r.lock.Close()
}

// removeSocketDir removes the directory that prepare may have made elsewhere. It is found by its name, and it
// must belong to the same user, since everybody can make names there.
func (r *runDir) removeSocketDir() error {
	path := filepath.Join(socketBase, filepath.Base(r.path))
	if path == r.path {
		return nil
	}
	dir, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	run, err := os.Stat(r.path)
	if err != nil {
		return err
	}
	if !dir.IsDir() || (owner(dir) != owner(run) && int(owner(dir)) != os.Geteuid()) {
		return nil
	}
	return os.RemoveAll(path)
}

func owner(info fs.FileInfo) uint32 { return info.Sys().(*syscall.Stat_t).Uid }
