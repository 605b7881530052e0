package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/bmad-forge/forgectl/pkg/job"
	"github.com/bmad-forge/forgectl/pkg/proc"
	"github.com/bmad-forge/forgectl/pkg/restore"
	"github.com/bmad-forge/forgectl/pkg/ui"
)

func (a *App) restoreConfig(ctx context.Context, o restoreConfigOptions) error {
	var repo *repository
	looks := o.diff || o.dryRun || o.to != ""
	host, _ := os.Hostname()
	return a.operate(ctx, operation{
		Spec:  job.Spec{Operation: "restore config", Target: host},
		Check: o.diff || o.dryRun,
		Open: func(ctx context.Context) (lock string, err error) {
			if repo, err = a.Repository(ctx); err != nil || looks {
				return "", err
			}
			return a.configLock()
		},
		Do: func(ctx context.Context, run *job.Run) (result, error) {
			release, err := repo.use("restore config", o.name.group)
			if err != nil {
				return result{}, err
			}
			defer release()
			options, err := a.restoreConfigOptions(ctx, repo, run, o)
			if err != nil {
				return result{}, fmt.Errorf("restore configuration files: %w", err)
			}
			done, diffs, err := a.doRestoreConfig(ctx, o, options, host)
			shown := a.restoredConfig(run, o, done, diffs)
			if err != nil {
				err = fmt.Errorf("restore configuration files from %s: %w", options.Set.Ref, err)
				if done.Kept != "" && len(done.Done) > 0 {
					return shown, withHint(withCode(exitCritical, fmt.Errorf("%w; %s of %d were restored", err, things(len(done.Done), "entry"), len(done.Changes()))),
						"the same again does the rest; to go back: sh %s", proc.ShellWord(filepath.Join(done.Kept, restore.UndoName)))
				}
				return result{}, err
			}
			return shown, nil
		},
	})
}

func (a *App) restoreConfigOptions(ctx context.Context, repo *repository, run *job.Run, o restoreConfigOptions) (r restore.ConfigOptions, err error) {
	r = restore.ConfigOptions{
		Catalog: repo.Catalog, Paths: o.paths, Aside: filepath.Join(a.loaded.StateDir, "replaced"), Logger: run.Log, Now: a.Now,
	}
	if r.Provenance, err = a.Provenance(); err != nil {
		return r, err
	}
	if r.Set, err = a.setToRestore(ctx, repo, run, o.name, o.at); err != nil {
		return r, err
	}
	if host, _ := os.Hostname(); r.Set.Manifest != nil && r.Set.Manifest.Host != host {
		run.Warn(fmt.Sprintf("%s was taken on %s, and this is %s", r.Set.Ref, r.Set.Manifest.Host, host))
	}
	r.Unlock, err = a.Unlocker()
	return r, err
}

// doRestoreConfig calls the one of the four that was asked for.
func (a *App) doRestoreConfig(ctx context.Context, o restoreConfigOptions, options restore.ConfigOptions, host string) (r restore.ConfigResult, diffs map[string]string, err error) {
	switch {
	case o.to != "":
		r.ConfigPlan, err = restore.ConfigTo(ctx, options, o.to)
	case o.diff:
		diffs = map[string]string{}
		r.ConfigPlan, err = restore.DiffConfig(ctx, options, func(f restore.ConfigFile) error {
			diffs[f.Path] = configDiff(f, o.reveal, a.scrub)
			return nil
		})
	case o.dryRun:
		r.ConfigPlan, err = restore.PlanConfig(ctx, options)
	default:
		options.Confirm = func(ctx context.Context, p restore.ConfigPlan) error {
			return a.confirmPlan(ctx, func(s *ui.Streams) error { return configPlanText(s, p) }, fmt.Sprintf("Change %s of the configuration of %s?", things(len(p.Changes()), "file"), host), host)
		}
		r, err = restore.Config(ctx, options)
	}
	return r, diffs, err
}
