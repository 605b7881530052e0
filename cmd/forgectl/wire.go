package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/insight"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch"
	"github.com/bmad-forge/forgectl/pkg/remember"
)

// wired are the commands that work on what the configuration names. This file is the only place that opens servers,
// repository.go the sets, keys.go what seals, signs and opens them.
func wired(app *App) []*cobra.Command {
	return []*cobra.Command{newBackupCmd(app), newRestoreCmd(app), newVacuumCmd(app), newDBCmd(app), newCacheCmd(app)}
}

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

// insight connects to the configured database to look at it.
func (a *App) insight(ctx context.Context) (*insight.Session, error) {
	e, err := a.BackupEndpoint(ctx)
	if err != nil {
		return nil, err
	}
	s, err := insight.Open(ctx, insight.Options{Endpoint: e, Memory: remember.Store{Dir: filepath.Join(a.loaded.StateDir, "remember")}, Now: a.Now})
	if err == nil {
		a.onClose(s)
	}
	return s, err
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

// Scratch says where throwaway servers live.
func (a *App) Scratch() (scratch.Options, error) {
	cfg, err := a.Config()
	if err != nil {
		return scratch.Options{}, err
	}
	return scratch.Options{Dir: cfg.ScratchDir, OSUser: cfg.Database.AdminOSUser, Runner: a.Proc(), Logger: a.Logger()}, nil
}
