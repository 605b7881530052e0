package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/bmad-forge/forgectl/pkg/atomicfile"
	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/lock"
	"github.com/bmad-forge/forgectl/pkg/proc"
	"github.com/bmad-forge/forgectl/pkg/store/local"
)

// repository is the place of the sets, opened once for a command.
type repository struct {
	*catalog.Catalog
	store  *local.Store
	path   string
	memory catalog.Memory
}

// Repository opens the configured repository, which must exist: one that is not
// there is more likely not mounted than new.
func (a *App) Repository(ctx context.Context) (*repository, error) {
	cfg, err := a.Config()
	if err != nil {
		return nil, err
	}
	s, err := local.Open(cfg.Repository, local.Options{})
	if err != nil {
		return nil, repositoryError(cfg.Repository, err)
	}
	a.onClose(s)
	r := &repository{
		catalog.New(s, catalog.Options{Now: a.Now, Version: buildInfo().Version, Logger: a.Logger(), RequireSigned: cfg.Verify.RequireSignature}), s, cfg.Repository,
		catalog.Memory{Dir: filepath.Join(cfg.StateDir, "repositories"), Repository: cfg.Repository},
	}
	err = r.Probe(ctx)
	if err == nil {
		err = r.memory.Check(ctx, r.Catalog)
	}
	if err != nil {
		return nil, repositoryError(cfg.Repository, err)
	}
	return r, nil
}

func repositoryError(path string, err error) error {
	err = withCode(exitUnknown, fmt.Errorf("open repository %s: %w", path, plainPath(err)))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return withHint(err, "is it mounted? if it is new: install -d -m 0700 %s", proc.ShellWord(path))
	case errors.Is(err, fs.ErrPermission):
		return withHint(err, "run it as root or as the owner of the repository")
	}
	var emptied *catalog.EmptiedError
	if errors.As(err, &emptied) {
		return withHint(err, "is it mounted? if an empty one is meant: rm %s", proc.ShellWord(emptied.File))
	}
	return withHint(err, "forgectl config show repository")
}

// plainPath drops the path that came with an error of the system: it has been
// named.
func plainPath(err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return err
}

// lock is where a lock of the group lies as a file. Where nothing can be written
// nothing can be removed either, and there is no lock: "".
func (r *repository) lock(name string) (string, error) {
	path := filepath.Join(r.path, filepath.FromSlash(name))
	// Not below an empty mount point.
	if err := r.store.Present(); err != nil {
		return "", err
	}
	if err := unix.Access(r.path, unix.W_OK); errors.Is(err, unix.EROFS) {
		return "", nil
	}
	if err := atomicfile.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", repositoryError(r.path, err)
	}
	return path, nil
}

// useLock is the lock that is shared while sets of the group are read. A group
// that has no directory holds nothing to protect.
func (r *repository) useLock(g catalog.Group) (string, error) {
	if _, err := os.Stat(filepath.Join(r.path, filepath.FromSlash(g.Dir()))); err != nil {
		return "", nil //nolint:nilerr // the listing that follows says what is wrong
	}
	return r.lock(g.UseLock())
}

// take holds a lock of a group alone until it is released.
func (r *repository) take(name string) (release func() error, err error) {
	path, err := r.lock(name)
	if err != nil || path == "" {
		return func() error { return nil }, err
	}
	return holdLock(path, "backup prune")
}

// holdLock holds a lock alone until it is released.
func holdLock(path, operation string) (release func() error, err error) {
	l, err := lock.Acquire(path, lock.Holder{User: userName(), Operation: operation})
	if err != nil {
		return nil, err
	}
	return l.Release, nil
}

// free is the space that an ordinary user can still fill.
func (r *repository) free(ctx context.Context) (int64, error) { return r.store.Free(ctx) }
