package main

import (
	"context"
	"errors"
	"time"

	"github.com/bmad-forge/forgectl/pkg/job"
	"github.com/bmad-forge/forgectl/pkg/rediscache"
	"github.com/bmad-forge/forgectl/pkg/rediscache/warm"
)

// modelsReach is how long the database may take to name the application's models,
// which are good to know, and no more.
const modelsReach = 5 * time.Second

// release is what can be told of the current release: its Django as it was given, as
// redis.warm has it, or as the release pins it; its models as the database has them.
func (a *App) release(ctx context.Context, run *job.Run, o cacheFlushOptions) (rediscache.Release, error) {
	r := rediscache.Release{Django: o.django, Without: o.classes}
	var unpinned error
	if r.Django == "" {
		r.Django, unpinned = a.releaseDjango()
		if unpinned != nil && !errors.Is(unpinned, warm.ErrDjangoVersion) {
			return r, withHint(withCode(exitUnknown, unpinned), "name it: --stale --django VERSION")
		}
	}
	var err error
	if r.Models, err = a.applicationModels(ctx); err != nil {
		run.Log.Info("models that are gone are not looked for", "error", err)
	}
	if r.Django == "" && r.Models == nil && len(r.Without) == 0 {
		return r, withHint(withCode(exitUnknown, unpinned), "name it: --stale --django VERSION")
	}
	run.Fact("django", r.Django)
	run.Fact("models", len(r.Models))
	return r, nil
}

// releaseDjango is the version that the configuration names, or else the release.
func (a *App) releaseDjango() (string, error) {
	for _, e := range a.loaded.Redis.Warm {
		if e.DjangoVersion != "" {
			return e.DjangoVersion, nil
		}
	}
	return warm.DjangoVersion(a.loaded.App.Root)
}

// applicationModels asks the database; nil when it does not know.
func (a *App) applicationModels(ctx context.Context) (map[string]bool, error) {
	ctx, cancel := context.WithTimeout(ctx, modelsReach)
	defer cancel()
	endpoint, err := a.BackupEndpoint(ctx)
	if err != nil {
		return nil, err
	}
	conn, err := endpoint.Connect(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	return warm.Models(ctx, conn)
}
