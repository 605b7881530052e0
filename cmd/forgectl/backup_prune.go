package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/job"
	"github.com/bmad-forge/forgectl/pkg/prune"
	"github.com/bmad-forge/forgectl/pkg/ui"
)

type pruneOptions struct {
	listOptions
	dryRun bool
}

func newBackupPruneCmd(app *App) *cobra.Command {
	var o pruneOptions
	cmd := &cobra.Command{
		Use:   "prune",
		Short: "Remove the sets that backup.keep no longer wants",
		Long: `Removes sets for good, in each kind and each database by itself, and says why each
one stays or goes. A set stays when at least one rule of backup.keep wants it, when it
is pinned (forgectl backup pin), when a full set that stays refers to it, or when this
forgectl cannot judge it. Age counts back from the newest good set. The newest good set
always stays, and sets that failed or are damaged stay as long as they are newer than
that.

While a set is suspect, nothing of its kind or database is removed, which is a WARNING:
forgectl backup accept ends that. With backup.prune_requires a set of a database goes
only when a newer good one has passed such a verification; that nothing goes for want of
one is a WARNING as well.

On a terminal the plan is shown and the word "prune" has to be typed. Without one
nothing is removed unless --yes is given. Before each set is removed it is decided
again, by what is true then; while somebody reads sets of its group it stays, which is
a WARNING. Nothing is touched that forgectl did not write.

With backup.prune: auto (the default) each backup does this for its own sets.

With -o json: {"sets": [{"set", "kind", "database", "id", "started", "age_seconds",
"bytes", "keep", "why": [], "removed"}], "removed", "freed_bytes", "dry_run"}.`,
		Example: `  forgectl backup prune --dry-run
  forgectl backup prune --database bmad_forge
  30 4 * * 0 bmad-forge forgectl backup prune --yes    (a line of /etc/cron.d/bmad-forge)`,
		Annotations: operationCodes(),
		Args:        cobra.NoArgs,
		RunE:        func(cmd *cobra.Command, _ []string) error { return app.pruneBackups(cmd.Context(), o) },
	}
	groupFlags(app, cmd, &o.listOptions)
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "print what would be removed, and why, and change nothing")
	return cmd
}

func (a *App) pruneBackups(ctx context.Context, o pruneOptions) error {
	if err := a.checkListOptions(o.listOptions); err != nil {
		return err
	}
	repo, plan, err := a.planPrune(ctx, o.listOptions)
	if err == nil && o.dryRun {
		for _, w := range a.planWarnings(plan, catalog.Ref{}) {
			a.warn(w)
		}
		return a.show(a.prunedResult(plan, prune.Result{}, true))
	}
	if remove := plan.Remove(); err == nil && len(remove) > 0 {
		if err := a.confirmPrune(ctx, plan, remove); err != nil {
			return fmt.Errorf("prune: %w", err)
		}
	}
	target := "all sets"
	if narrowed := strings.Trim(o.kind.value+"/"+o.database, "/"); narrowed != "" {
		target = narrowed
	}
	return a.operate(ctx, operation{
		Spec: job.Spec{Operation: "backup prune", Target: target},
		Open: func(context.Context) (string, error) { return "", err },
		Do: func(ctx context.Context, run *job.Run) (result, error) {
			for _, w := range a.planWarnings(plan, catalog.Ref{}) {
				run.Warn(w)
			}
			done, err := a.pruneGroups(ctx, run, repo, plan)
			return a.prunedResult(plan, done, false), err
		},
	})
}

// planPrune decides about the groups that were asked for.
func (a *App) planPrune(ctx context.Context, o listOptions) (*repository, prune.Plan, error) {
	repo, err := a.Repository(ctx)
	if err != nil {
		return nil, prune.Plan{}, err
	}
	groups, err := repo.Groups(ctx, o.of())
	if err != nil {
		return nil, prune.Plan{}, err
	}
	if o.database != "" {
		groups = slices.DeleteFunc(groups, func(g catalog.Group) bool { return g.Database != o.database })
		if len(groups) == 0 { // in cron, a name that is spelled wrong must not look like nothing to do
			return nil, prune.Plan{}, fmt.Errorf("prune: database %s has none: %w", o.database, catalog.ErrNotFound)
		}
	}
	plan, err := prune.Decide(ctx, a.pruning(repo, nil, groups...))
	if err != nil {
		err = fmt.Errorf("prune: %w", err)
	}
	return repo, plan, err
}

// confirmPrune shows the plan to whoever is asked, and asks.
func (a *App) confirmPrune(ctx context.Context, plan prune.Plan, remove []catalog.Set) error {
	table := func(s *ui.Streams) error { return pruneTable(s, a.prunedSets(plan, prune.Result{})) }
	return a.confirmPlan(ctx, table, "Remove "+countSets(len(remove), totalBytes(remove))+" for good?", "prune")
}
