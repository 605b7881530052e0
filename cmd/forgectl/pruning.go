package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/config"
	"github.com/bmad-forge/forgectl/pkg/job"
	"github.com/bmad-forge/forgectl/pkg/proc"
	"github.com/bmad-forge/forgectl/pkg/prune"
	"github.com/bmad-forge/forgectl/pkg/retention"
)

// pruning is what backup.keep says about groups. run may be nil as long as
// nothing is removed.
func (a *App) pruning(repo *repository, run *job.Run, groups ...catalog.Group) prune.Options {
	k := a.loaded.Backup.Keep
	o := prune.Options{
		Catalog: repo.Catalog, Groups: groups, Lock: repo.take, Now: a.Now(),
		Policy: retention.Policy{Within: k.Within, Last: k.Last, Daily: k.Daily, Weekly: k.Weekly, Monthly: k.Monthly, Yearly: k.Yearly, Min: k.Min},
	}
	if requires := a.loaded.Backup.PruneRequires; requires != config.RequiresNone {
		o.Policy.Requires = requires
	}
	if run != nil {
		o.Logger = run.Log
	}
	return o
}

// planWarnings is why less is removed than the rules say, with what to do about
// it. Of a group that only the given set freezes nothing is said: whoever has
// just written it has been told.
func (a *App) planWarnings(plan prune.Plan, told catalog.Ref) []string {
	warnings := slices.Clone(plan.Warnings)
	for _, f := range plan.Frozen {
		if len(f.Sets) == 1 && f.Sets[0].Ref == told {
			continue
		}
		more := ""
		if n := len(f.Sets) - 1; n > 0 {
			more = fmt.Sprintf(" (and %s more)", countSets(n, 0))
		}
		warnings = append(warnings, fmt.Sprintf("pruning of %s is frozen: %s%s; %s", f.Group, joinReason(f.Sets[0].Ref.String()+" is suspect", f.Sets[0].Suspicion().Reason), more, acceptHint(f.Sets[0].Ref)))
	}
	for _, g := range plan.Unproven {
		requires := a.loaded.Backup.PruneRequires
		command := "forgectl backup verify latest --level " + requires
		if requires == catalog.LevelDrill {
			command = "forgectl backup verify latest --drill"
		}
		if g.Database != a.loaded.Database.Name {
			command += " --database " + proc.ShellWord(g.Database)
		}
		warnings = append(warnings, fmt.Sprintf("nothing of %s is removed: no newer good set has passed a %s, as backup.prune_requires wants it; run: %s", g, requires, command))
	}
	return warnings
}

// pruneGroups removes what the plan says, group by group. A group in which a
// backup is being made is an error, and does not keep the others waiting.
func (a *App) pruneGroups(ctx context.Context, run *job.Run, repo *repository, plan prune.Plan) (prune.Result, error) {
	var total prune.Result
	var errs []error
	var groups []catalog.Group
	for _, s := range plan.Remove() {
		if !slices.Contains(groups, s.Group) {
			groups = append(groups, s.Group)
		}
	}
	for _, g := range groups {
		done, err := a.pruneLocked(ctx, run, repo, g, plan)
		total.Removed = append(total.Removed, done.Removed...)
		total.Kept = append(total.Kept, done.Kept...)
		if err != nil {
			errs = append(errs, err)
		}
		if err != nil && ctx.Err() != nil {
			break
		}
	}
	noteRemoved(run, total)
	return total, all(errs...)
}

func (a *App) pruneLocked(ctx context.Context, run *job.Run, repo *repository, g catalog.Group, plan prune.Plan) (done prune.Result, err error) {
	release, err := repo.take(g.WriteLock())
	if err != nil {
		return done, fmt.Errorf("prune %s: %w", g, err)
	}
	defer func() { err = all(err, release()) }()
	return a.pruneGroup(ctx, run, repo, g, plan)
}

// pruneGroup removes what the plan says of a group whose write lock is held.
func (a *App) pruneGroup(ctx context.Context, run *job.Run, repo *repository, g catalog.Group, plan prune.Plan) (prune.Result, error) {
	done, err := prune.Apply(ctx, a.pruning(repo, run, g), g, plan)
	for _, swept := range done.Swept {
		run.Log.Info("removed what a dead run left", "set", swept)
	}
	if n := len(done.Skipped); n > 0 {
		run.Warn(fmt.Sprintf("%s of %s should go, but stay for now: %v", countSets(n, 0), g, done.Skipped[0].Err))
	}
	if n := len(done.Failed); n > 0 && err == nil {
		err = done.Failed[0].Err
		if n > 1 {
			err = fmt.Errorf("%w; %s more could not be removed either", err, countSets(n-1, 0))
		}
	}
	if err != nil {
		err = fmt.Errorf("prune %s: %w", g, err)
	}
	return done, err
}

func noteRemoved(run *job.Run, done prune.Result) {
	if len(done.Removed) == 0 {
		return
	}
	run.Fact("removed", setNames(done.Removed))
	run.Fact("freed_bytes", done.Bytes())
}

func setNames(sets []catalog.Set) []string {
	names := []string{}
	for _, s := range sets {
		names = append(names, s.Ref.String())
	}
	return names
}

func totalBytes(sets []catalog.Set) int64 { return prune.Result{Removed: sets}.Bytes() }
