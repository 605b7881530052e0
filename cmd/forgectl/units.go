package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/bmad-forge/forgectl/pkg/atomicfile"
	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/config"
	"github.com/bmad-forge/forgectl/pkg/health"
	"github.com/bmad-forge/forgectl/pkg/restore"
	"github.com/bmad-forge/forgectl/pkg/service"
)

// units are the configured units of the application, as a restore wants them.
type units struct {
	manager service.Manager
	names   []string
	wait    service.Wait
}

// Units are what has to stand still while a database is exchanged; nil where
// forgectl touches none.
func (a *App) Units() (restore.Units, error) {
	cfg, err := a.Config()
	if err != nil {
		return nil, err
	}
	if cfg.Service.Manager == config.ManagerNone {
		return nil, nil
	}
	m, err := service.New(service.Options{
		Manager: cfg.Service.Manager, Runner: a.Proc(), Start: cfg.Service.Start, Stop: cfg.Service.Stop, Restart: cfg.Service.Restart,
	})
	if err != nil {
		return nil, withCode(exitUnknown, err)
	}
	u := units{manager: m, names: cfg.Service.Units}
	if cfg.Health.URL != "" {
		u.wait.Settle = -1 // the health check sees more than a unit that stays up for a while
	}
	return u, nil
}

func (u units) Running(ctx context.Context) ([]string, error) {
	running, err := service.Running(ctx, u.manager, u.names)
	return append([]string{}, running...), err // nil means that nobody was asked
}

func (u units) Stop(ctx context.Context, names []string) error {
	_, err := service.StopAll(ctx, u.manager, names, u.wait)
	return err
}

func (u units) Start(ctx context.Context, names []string) error {
	return service.StartAll(ctx, u.manager, names, u.wait)
}

// Gate asks the application for its health until it is well; nil where it has no
// address to ask at.
func (a *App) Gate(report func(step, detail string)) restore.Gate {
	h := a.loaded.Health
	if h.URL == "" {
		return nil
	}
	return func(ctx context.Context) error {
		_, err := health.Gate(ctx, health.GateOptions{
			Options: health.Options{URL: h.URL, Timeout: h.Timeout}, Deadline: h.Wait, Interval: 250 * time.Millisecond,
			Progress: func(at health.Attempt) {
				if !at.Report.Healthy() {
					report("ask", at.Report.String())
				}
			},
		})
		if errors.Is(err, health.ErrNoURL) {
			return nil
		}
		return err
	}
}

// intents is where exchanges that are going on are remembered.
func (a *App) intents() restore.Intents {
	return restore.Intents{Dir: filepath.Join(a.loaded.StateDir, "intents")}
}

// restoreLock is the lock of everything that exchanges one live database.
func (a *App) restoreLock(database string) (string, error) {
	return a.stateLock("restore-" + catalog.EscapeName(database))
}

// mediaLock is the lock of everything that exchanges live files.
func (a *App) mediaLock() (string, error) { return a.stateLock("media-restore") }

// stateLock is a lock of this host.
func (a *App) stateLock(name string) (string, error) {
	dir := filepath.Join(a.loaded.StateDir, "locks")
	if err := atomicfile.MkdirAll(dir, 0o700); err != nil {
		return "", withCode(exitUnknown, fmt.Errorf("make %s: %w", dir, plainPath(err)))
	}
	return filepath.Join(dir, name+".lock"), nil
}
