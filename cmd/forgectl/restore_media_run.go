package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/bmad-forge/forgectl/pkg/job"
	"github.com/bmad-forge/forgectl/pkg/restore"
)

// mediaOptions are what all commands have in common that exchange the live files.
func (a *App) mediaOptions(run *job.Run) (restore.MediaOptions, steps, error) {
	cfg, err := a.Config()
	s := steps{a, a.Stages(), a.Now()}
	if err != nil {
		return restore.MediaOptions{}, s, err
	}
	host, _ := os.Hostname()
	return restore.MediaOptions{
		Live: cfg.Media.Path, Intents: a.intents(), Host: host, PID: os.Getpid(),
		Logger: run.Log, Now: a.Now, Report: s.report, Progress: s.progress.report,
	}, s, nil
}

func (a *App) restoreMedia(ctx context.Context, o restoreMediaOptions) error {
	var repo *repository
	cfg, err := a.Config()
	if err != nil {
		return err
	}
	target := cfg.Media.Path
	if o.to != "" {
		target = o.to
	}
	return a.operate(ctx, operation{
		Spec:  job.Spec{Operation: "restore media", Target: target},
		Check: o.dryRun,
		Open: func(ctx context.Context) (lock string, err error) {
			if repo, err = a.Repository(ctx); err != nil || o.to != "" || o.dryRun {
				return "", err
			}
			return a.mediaLock()
		},
		Do: func(ctx context.Context, run *job.Run) (result, error) {
			release, err := repo.use("restore media", o.name.group)
			if err != nil {
				return result{}, err
			}
			defer release()
			options, show, err := a.mediaOptions(run)
			if err == nil {
				options.Catalog, options.Paths, options.To = repo.Catalog, o.paths, o.to
				options.Provenance, err = a.Provenance()
			}
			if err == nil {
				options.Set, err = a.setToRestore(ctx, repo, run, o.name, o.at)
			}
			if err != nil {
				return result{}, fmt.Errorf("restore %s: %w", target, err)
			}
			defer show.progress.done()
			var done restore.MediaResult
			if o.dryRun {
				done.MediaPlan, err = restore.PlanMedia(ctx, options)
			} else {
				if o.to == "" {
					options.Confirm = func(ctx context.Context, p restore.MediaPlan) error {
						show.progress.done()
						return a.confirmMedia(ctx, p)
					}
				}
				done, err = restore.Media(ctx, options)
			}
			if err != nil {
				return result{}, fmt.Errorf("restore %s as %s: %w", options.Set.Ref, target, err)
			}
			show.progress.done()
			return restoredMedia(run, done, o.dryRun), nil
		},
	})
}

// mediaFlag turns a command about the live database into one about the live files.
func mediaFlag(cmd *cobra.Command, files *bool) {
	cmd.Flags().BoolVar(files, "media", false, "the files of media.path, not the database")
	cmd.MarkFlagsMutuallyExclusive("media", "database")
}

// aboutMedia is an operation on the live files.
func (a *App) aboutMedia(ctx context.Context, name string, check bool, do func(ctx context.Context, run *job.Run, o restore.MediaOptions, show steps) (result, error)) error {
	cfg, err := a.Config()
	if err != nil {
		return err
	}
	return a.operate(ctx, operation{
		Spec:  job.Spec{Operation: name, Target: cfg.Media.Path},
		Check: check,
		Open:  func(context.Context) (string, error) { return a.mediaLock() },
		Do: func(ctx context.Context, run *job.Run) (result, error) {
			o, show, err := a.mediaOptions(run)
			if err != nil {
				return result{}, err
			}
			defer show.progress.done()
			return do(ctx, run, o, show)
		},
	})
}
