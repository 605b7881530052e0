package main

import (
	"context"
	"fmt"
	"time"

	"github.com/bmad-forge/forgectl/pkg/job"
	"github.com/bmad-forge/forgectl/pkg/postgres/dumpfile"
	"github.com/bmad-forge/forgectl/pkg/recovery"
	"github.com/bmad-forge/forgectl/pkg/restore"
)

func (a *App) restoreDatabase(ctx context.Context, o restoreOptions) error {
	var repo *repository
	live := o.name.group.Database
	target := live
	if o.into != "" {
		target = o.into
	}
	return a.operate(ctx, operation{
		Spec:  job.Spec{Operation: "restore db", Target: target},
		Check: o.dryRun,
		Open: func(ctx context.Context) (lock string, err error) {
			if repo, err = a.Repository(ctx); err != nil || o.into != "" || o.dryRun {
				return "", err
			}
			return a.restoreLock(live)
		},
		Do: func(ctx context.Context, run *job.Run) (result, error) {
			release, err := repo.use("restore db", o.name.group)
			if err != nil {
				return result{}, err
			}
			defer release()
			options, show, err := a.exchangeOptions(ctx, run, live)
			if err == nil {
				err = a.sourceOptions(ctx, repo, run, o, &options)
			}
			if err != nil {
				return result{}, fmt.Errorf("restore %s: %w", target, err)
			}
			defer show.progress.done()
			start := time.Now()
			done, asked, err := a.restore(ctx, o, options, show)
			if err != nil {
				return result{}, fmt.Errorf("restore %s as %s: %w", o.source(options), target, err)
			}
			show.progress.done()
			return restored(run, done, o.dryRun, a.recoveredIn(done, o, time.Since(start)-asked)), nil
		},
	})
}

// source is what is restored, for messages.
func (o restoreOptions) source(options restore.Options) string {
	if o.file != "" {
		return o.file
	}
	return options.Set.Ref.String()
}

// sourceOptions say what is restored.
func (a *App) sourceOptions(ctx context.Context, repo *repository, run *job.Run, o restoreOptions, options *restore.Options) (err error) {
	options.Catalog, options.Into, options.Tables, options.Trusted = repo.Catalog, o.into, o.tables, o.trust
	if o.file != "" {
		unlock, err := a.Unlocker()
		if err == nil {
			options.File, err = dumpfile.Open(ctx, o.file, dumpfile.Options{Unlock: unlock})
		}
		if err == nil {
			a.onClose(options.File)
		}
		return err
	}
	if options.Provenance, err = a.Provenance(); err != nil {
		return err
	}
	if options.Set, err = a.setToRestore(ctx, repo, run, o.name, o.at); err != nil {
		return err
	}
	options.Unlock, err = a.Unlocker()
	return err
}

// restore calls the one of the four that was asked for. asked is how long the
// operator took to answer.
func (a *App) restore(ctx context.Context, o restoreOptions, options restore.Options, show steps) (r restore.Result, asked time.Duration, err error) {
	switch {
	case o.into != "" && o.dryRun:
		r.Plan, err = restore.PlanInto(ctx, options)
		return r, 0, err
	case o.into != "":
		r, err = restore.Into(ctx, options)
		return r, 0, err
	case o.dryRun:
		r.Plan, err = restore.PlanReplace(ctx, options)
		return r, 0, err
	}
	options.Confirm = func(ctx context.Context, p restore.Plan) error {
		show.progress.done()
		start := time.Now()
		defer func() { asked = time.Since(start) }()
		return a.confirmRestore(ctx, p)
	}
	r, err = restore.Replace(ctx, options)
	return r, asked, err
}

// recoveredIn is how long a whole database took, from the first byte that was
// read, next to what was promised; nil when nothing was, or not about this.
func (a *App) recoveredIn(done restore.Result, o restoreOptions, took time.Duration) *recoveryTime {
	promised := a.loaded.Recovery.RTO
	if promised == 0 || o.dryRun || done.Choice != nil {
		return nil
	}
	return &recoveryTime{Seconds: took.Seconds(), Promised: promised.Seconds(), Kept: recovery.Judge(took, promised) != recovery.Broken}
}
