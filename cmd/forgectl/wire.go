package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/bmad-forge/forgectl/pkg/atomicfile"
	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/config"
	"github.com/bmad-forge/forgectl/pkg/lock"
	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch"
	"github.com/bmad-forge/forgectl/pkg/proc"
	"github.com/bmad-forge/forgectl/pkg/seal"
	"github.com/bmad-forge/forgectl/pkg/store/local"
)

// wired are the commands that work on what the configuration names: servers,
// repositories. This file is the only place that opens those.
func wired(app *App) []*cobra.Command {
	return []*cobra.Command{newBackupCmd(app), newRestoreCmd(app), newVacuumCmd(app)}
}

// repository is the place of the sets, opened once for a command.
type repository struct {
	*catalog.Catalog
	store *local.Store
	path  string
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
	r := &repository{catalog.New(s, catalog.Options{Now: a.Now, Version: buildInfo().Version, Logger: a.Logger()}), s, cfg.Repository}
	if err := r.Probe(ctx); err != nil {
		return nil, repositoryError(cfg.Repository, err)
	}
	return r, nil
}

func repositoryError(path string, err error) error {
	err = withCode(exitUnknown, fmt.Errorf("open repository %s: %w", path, plainPath(err)))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return withHint(err, "is it mounted? if it is new: install -d -m 0700 %s", shellWord(path))
	case errors.Is(err, fs.ErrPermission):
		return withHint(err, "run it as root or as the owner of the repository")
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

// Finder looks for PostgreSQL programs.
func (a *App) Finder() postgres.ToolFinder {
	return postgres.ToolFinder{Runner: a.Proc(), Path: a.environ("PATH")}
}

// environ is a variable of the environment that the configuration was loaded
// with, the application's file included.
func (a *App) environ(name string) string {
	environ := a.Environ
	if a.loaded != nil {
		environ = a.loaded.Environ
	}
	value := ""
	for _, kv := range environ {
		if v, ok := strings.CutPrefix(kv, name+"="); ok {
			value = v
		}
	}
	return value
}

// BackupEndpoint is where and as whom the configured database is read. It
// contacts nothing unless several hosts are configured.
func (a *App) BackupEndpoint(ctx context.Context) (*postgres.Endpoint, error) {
	cfg, err := a.Config()
	if err != nil {
		return nil, err
	}
	password, err := a.secret(ctx, cfg.Database.PasswordFile, cfg.Database.PasswordCommand)
	if err != nil {
		return nil, fmt.Errorf("database password: %w", err)
	}
	return a.endpoint(ctx, postgres.Target{URL: cfg.Database.URL, Database: cfg.Database.Name, Password: string(password)})
}

// MaintenanceEndpoint is where and as whom the configured database is vacuumed.
// The password of database.url is that of another role when there is another URL.
func (a *App) MaintenanceEndpoint(ctx context.Context) (*postgres.Endpoint, error) {
	cfg, err := a.Config()
	if err != nil {
		return nil, err
	}
	if cfg.Database.MaintenanceURL == cfg.Database.URL {
		return a.BackupEndpoint(ctx)
	}
	return a.endpoint(ctx, postgres.Target{URL: cfg.Database.MaintenanceURL, Database: cfg.Database.Name})
}

// AdminEndpoint is where and as whom databases are made.
func (a *App) AdminEndpoint(ctx context.Context) (*postgres.Endpoint, error) {
	cfg, err := a.Config()
	if err != nil {
		return nil, err
	}
	return a.endpoint(ctx, postgres.Target{URL: cfg.Database.AdminURL})
}

func (a *App) endpoint(ctx context.Context, t postgres.Target) (*postgres.Endpoint, error) {
	t.OSUser, t.Environ = a.loaded.Database.AdminOSUser, a.loaded.Environ
	// pgx reads PG* where libpq does, in the process: what the application's
	// environment file says must stand there too.
	for _, kv := range a.loaded.Environ {
		if name, value, _ := strings.Cut(kv, "="); strings.HasPrefix(name, "PG") {
			if err := os.Setenv(name, value); err != nil {
				return nil, fmt.Errorf("set %s: %w", name, err)
			}
		}
	}
	e, err := postgres.Resolve(ctx, t)
	if err != nil {
		return nil, err
	}
	a.secrets = append(a.secrets, e.Password())
	return e, nil
}

// secret reads a password from a file or from what a command prints; nil when
// neither is configured.
func (a *App) secret(ctx context.Context, file, command string) ([]byte, error) {
	switch {
	case file != "":
		return config.ReadSecret(file)
	case command != "":
		out, err := proc.Output(ctx, a.Proc(), proc.Cmd{Path: "/bin/sh", Args: []string{"-c", command}, Name: "command"})
		if err != nil {
			return nil, err
		}
		out = bytes.TrimRight(out, "\r\n")
		if len(out) == 0 {
			return nil, errors.New("the command printed nothing")
		}
		return out, nil
	}
	return nil, nil
}

func compression(cfg *config.Loaded) seal.Level {
	return map[string]seal.Level{
		config.CompressionFastest: seal.Fastest, config.CompressionDefault: seal.Default, config.CompressionBetter: seal.Better,
	}[cfg.Backup.Compression]
}

// Sealing is how sets are written, with every recipient found and read.
func (a *App) Sealing(ctx context.Context) (seal.Options, error) {
	cfg, err := a.Config()
	if err != nil {
		return seal.Options{}, err
	}
	o := seal.Options{Jobs: cfg.Backup.Jobs, Level: compression(cfg)}
	add := func(keys ...*seal.Key) {
		for _, k := range keys {
			known := false
			for _, r := range o.Recipients {
				known = known || r.Fingerprint() == k.Fingerprint()
			}
			if !known {
				o.Recipients = append(o.Recipients, k)
			}
		}
	}
	for _, file := range cfg.Backup.Encrypt.RecipientFiles {
		keys, err := seal.ReadKeyFile(file)
		if err != nil {
			return o, withHint(withCode(exitUnknown, fmt.Errorf("read recipient %s: %w", file, plainPath(err))), "forgectl config show backup.encrypt.recipient_files")
		}
		add(keys...)
	}
	for _, name := range cfg.Backup.Encrypt.Recipients {
		key, err := a.gpg().Find(ctx, name, a.Now())
		if err != nil {
			return o, withCode(exitUnknown, fmt.Errorf("recipient: %w", err))
		}
		add(key)
	}
	return o, nil
}

func (a *App) gpg() seal.GPG {
	return seal.GPG{Runner: a.Proc(), Home: a.loaded.Backup.Encrypt.GNUPGHome}
}

// Unlocker opens sealed sets with the configured keys, then with gpg.
func (a *App) Unlocker() (seal.Unlocker, error) {
	cfg, err := a.Config()
	if err != nil {
		return nil, err
	}
	ring := &seal.Keyring{}
	for _, file := range cfg.Backup.Decrypt.SecretKeyFiles {
		keys, err := seal.ReadKeyFile(file)
		if err != nil {
			return nil, withHint(withCode(exitUnknown, fmt.Errorf("read secret key %s: %w", file, plainPath(err))), "forgectl config show backup.decrypt.secret_key_files")
		}
		ring.Keys = append(ring.Keys, keys...)
	}
	if d := cfg.Backup.Decrypt; d.PassphraseFile != "" || d.PassphraseCommand != "" {
		ring.Passphrase = func(ctx context.Context) ([]byte, error) { return a.secret(ctx, d.PassphraseFile, d.PassphraseCommand) }
	}
	chain := []seal.Unlocker{ring}
	if cfg.Backup.Decrypt.GPG == config.GPGAuto {
		chain = append(chain, a.gpg().Unlocker())
	}
	return seal.Chain(chain...), nil
}

// Scratch says where throwaway servers live.
func (a *App) Scratch() (scratch.Options, error) {
	cfg, err := a.Config()
	if err != nil {
		return scratch.Options{}, err
	}
	return scratch.Options{Dir: cfg.ScratchDir, OSUser: cfg.Database.AdminOSUser, Runner: a.Proc(), Logger: a.Logger()}, nil
}

// freeBelow is the space of the file system that a directory is, or would be, on.
func freeBelow(dir string) (int64, error) {
	for {
		var fs unix.Statfs_t
		err := unix.Statfs(dir, &fs)
		switch {
		case err == nil:
			return int64(fs.Bavail) * fs.Bsize, nil
		case !errors.Is(err, unix.ENOENT) || dir == filepath.Dir(dir):
			return 0, err
		}
		dir = filepath.Dir(dir)
	}
}
