package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/config"
	"github.com/bmad-forge/forgectl/pkg/job"
	"github.com/bmad-forge/forgectl/pkg/prune"
)

// pruneAfter prunes the group of a backup that has just been made, if
// backup.prune says so. The backup is good whatever happens here, so trouble is
// a warning.
func (a *App) pruneAfter(ctx context.Context, run *job.Run, repo *repository, written catalog.Set) prune.Result {
	g := written.Group
	if a.loaded.Backup.Prune != config.PruneAuto {
		return prune.Result{}
	}
	plan, err := prune.Decide(ctx, a.pruning(repo, run, g))
	if err != nil {
		run.Warn(fmt.Sprintf("prune %s: %v", g, err))
		return prune.Result{}
	}
	for _, w := range a.planWarnings(plan, written.Ref) {
		run.Warn(w)
	}
	done, err := a.pruneGroup(ctx, run, repo, g, plan)
	if err != nil {
		run.Warn(err.Error())
	}
	noteRemoved(run, done)
	return done
}

// pruneWithParts prunes full sets after a new one, and at once the groups of what
// those that went referred to: nothing else may want it any more.
func (a *App) pruneWithParts(ctx context.Context, run *job.Run, repo *repository, written catalog.Set) prune.Result {
	total := a.pruneAfter(ctx, run, repo, written)
	var groups []catalog.Group
	for _, s := range total.Removed {
		for _, ref := range s.Refers() {
			if !slices.Contains(groups, ref.Group) {
				groups = append(groups, ref.Group)
			}
		}
	}
	if len(groups) == 0 {
		return total
	}
	plan, err := prune.Decide(ctx, a.pruning(repo, run, groups...))
	if err == nil {
		var parts prune.Result
		parts, err = a.pruneGroups(ctx, run, repo, plan)
		total.Removed = append(total.Removed, parts.Removed...)
	}
	if err != nil {
		run.Warn("prune what removed full sets referred to: " + err.Error())
	}
	noteRemoved(run, total)
	return total
}
