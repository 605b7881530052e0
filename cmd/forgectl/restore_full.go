package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/job"
	"github.com/bmad-forge/forgectl/pkg/restore"
)

type restoreFullOptions struct {
	name    setName
	at      time.Time
	without []catalog.Kind
	dryRun  bool
}

func newRestoreFullCmd(app *App) *cobra.Command {
	var o restoreFullOptions
	var at string
	var without []string
	kinds := []string{string(catalog.KindMedia), string(catalog.KindConfig)}
	cmd := &cobra.Command{
		Use:   "full [ID|latest]",
		Short: "Restore database, media and configuration of one recovery point",
		Long: `Restores what a full set refers to. All three are planned first, as by restore db,
restore media and restore config, and shown; one confirmation, by the name of the
database, is for all. Then, in this order:

  1. The database is loaded beside the live one, and compared. Nothing is in service yet,
     and this is what takes longest and fails most.
  2. The media are built beside the live ones, compared, and exchanged with them.
  3. The configuration files that differ are written; what they replace is kept.
  4. The units are stopped, the database takes the live one's place, the units are
     started, and the health check is asked.

So units start with all three in place, and what fails in step 1, or while the media are
built, leaves everything as it was. The database comes last, because its exchange is the
one that takes itself back when the application is not well; media and configuration then
stay as they are, and the commands that put them back are named.

A full set that refers to a set which is missing or was exchanged is refused. --without
leaves out media or config (repeatable). The release that was live is shown; deploying it
is up to you. "latest" (the default) is the newest full set that is good with all it
refers to; --at takes the newest that was started at or before a time.

With -o json: {"set", "release", "parts": [what the commands of the parts print],
"undo": [], "dry_run"}.`,
		Example: `  forgectl restore full --dry-run
  forgectl restore full 20261123T020000Z
  forgectl restore full --at '2026-11-23 12:00' --without config`,
		Annotations:       operationCodes(),
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: app.completeSetsOf(catalog.KindFull),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if at != "" && len(args) > 0 {
				return app.misuse("--at and a set were given: which is it?")
			}
			for _, kind := range without {
				if !slices.Contains(kinds, kind) {
					return app.misuse("--without %s: want media or config", kind)
				}
				o.without = append(o.without, catalog.Kind(kind))
			}
			if o.name, err = app.parseSetOf(catalog.KindFull, append(args, latest)[0]); err != nil {
				return err
			}
			if o.at, err = app.parseAt(at); err != nil {
				return err
			}
			return app.restoreFull(cmd.Context(), o)
		},
	}
	jobsFlag(cmd)
	f := cmd.Flags()
	f.StringSliceVar(&without, "without", nil, "leave out this `KIND`, media or config; may be repeated")
	complete(cmd, "without", cobra.FixedCompletions(kinds, cobra.ShellCompDirectiveNoFileComp))
	chooseFlags(cmd, &at, &o.dryRun)
	return cmd
}

func (a *App) restoreFull(ctx context.Context, o restoreFullOptions) error {
	group, err := a.databaseGroup()
	if err != nil {
		return err
	}
	var repo *repository
	return a.operate(ctx, operation{
		Spec:  job.Spec{Operation: "restore full", Target: group.Database},
		Check: o.dryRun,
		Open: func(ctx context.Context) (lock string, err error) {
			if repo, err = a.Repository(ctx); err != nil || o.dryRun {
				return "", err
			}
			return a.restoreLock(group.Database)
		},
		Do: func(ctx context.Context, run *job.Run) (result, error) {
			what := o.name.String()
			set, err := a.setToRestore(ctx, repo, run, o.name, o.at)
			if set.ID != "" {
				what = set.Ref.String()
			}
			var done result
			if err == nil {
				done, err = a.doRestoreFull(ctx, run, repo, o, restore.FullOptions{Catalog: repo.Catalog, Set: set, Live: group.Database, Without: o.without})
			}
			if err != nil {
				return result{}, fmt.Errorf("restore %s: %w", what, err)
			}
			return done, nil
		},
	})
}

func (a *App) doRestoreFull(ctx context.Context, run *job.Run, repo *repository, o restoreFullOptions, options restore.FullOptions) (result, error) {
	display, err := a.fullOptions(run, repo, &options)
	if err != nil {
		return result{}, err
	}
	do := restore.Full
	if o.dryRun {
		do = restore.PlanFull
	}
	done, err := do(ctx, options)
	display.done()
	for _, w := range done.Warnings {
		run.Warn(options.Set.Ref.String() + ": " + w)
	}
	if err != nil {
		return result{}, fullRestoreError(err, done)
	}
	return a.restoredFull(run, done, o.dryRun), nil
}
