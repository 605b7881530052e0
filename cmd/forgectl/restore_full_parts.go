package main

import (
	"context"
	"os"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/job"
	"github.com/bmad-forge/forgectl/pkg/restore"
)

// fullDisplay is the displays of the parts that have begun, of which one is in use.
type fullDisplay struct{ begun []*stages }

func (d *fullDisplay) begin(s *stages) {
	d.done()
	d.begun = append(d.begun, s)
}

func (d *fullDisplay) done() {
	for _, s := range d.begun {
		s.done()
	}
}

// fullOptions say how each part is restored: as by its own command, with its locks.
func (a *App) fullOptions(run *job.Run, repo *repository, o *restore.FullOptions) (*fullDisplay, error) {
	display := &fullDisplay{}
	o.Database = func(ctx context.Context, _ catalog.Set) (restore.Options, error) {
		options, show, err := a.exchangeOptions(ctx, run, o.Live)
		display.begin(show.progress)
		if err == nil {
			options.Unlock, err = a.Unlocker()
		}
		return options, err
	}
	o.Media = func(context.Context, catalog.Set) (restore.MediaOptions, error) {
		options, show, err := a.mediaOptions(run)
		display.begin(show.progress)
		return options, err
	}
	o.Config = func(ctx context.Context, s catalog.Set) (restore.ConfigOptions, error) {
		display.done()
		return a.restoreConfigOptions(ctx, repo, run, restoreConfigOptions{name: setName{s.Group, s.ID}})
	}
	o.Hold = func(groups ...catalog.Group) (func(), error) { return repo.use("restore full", groups...) }
	o.Lock = a.lockPart
	o.Confirm = func(ctx context.Context, p restore.FullPlan) error {
		display.done()
		return a.confirmFull(ctx, p)
	}
	var err error
	o.Provenance, err = a.Provenance()
	return display, err
}

// lockPart takes the lock that the command of a part takes.
func (a *App) lockPart(kind catalog.Kind) (release func(), err error) {
	lock := a.mediaLock
	if kind == catalog.KindConfig {
		lock = a.configLock
	}
	path, err := lock()
	if err != nil {
		return nil, err
	}
	free, err := holdLock(path, "restore full")
	if err != nil {
		return nil, err
	}
	return func() { _ = free() }, nil // the kernel does it at the latest when this process ends
}

// configLock is held while configuration files are written.
func (a *App) configLock() (string, error) {
	host, _ := os.Hostname()
	return a.restoreLock("config-files/" + host)
}
