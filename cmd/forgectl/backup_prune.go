package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

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
	switch {
	case o.kind != "" && !catalog.Kind(o.kind).Valid():
		return a.misuse("--kind %s: want database, media, config or full", o.kind)
	case o.kind != "" && o.kind != string(catalog.KindDatabase) && o.database != "":
		return a.misuse("--kind %s and --database were given: which is it?", o.kind)
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
	if o.kind+o.database != "" {
		target = strings.Trim(o.kind+"/"+o.database, "/")
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
	groups, err := repo.Groups(ctx, catalog.Kind(o.kind))
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

// prunedSet is one set in the JSON of forgectl backup prune.
type prunedSet struct {
	Set        string       `json:"set"`
	Kind       catalog.Kind `json:"kind"`
	Database   string       `json:"database,omitempty"`
	ID         catalog.ID   `json:"id"`
	Started    time.Time    `json:"started"`
	AgeSeconds int64        `json:"age_seconds"`
	Bytes      int64        `json:"bytes"`
	Keep       bool         `json:"keep"`
	Why        []string     `json:"why"`
	Removed    bool         `json:"removed"`
}

// prunedList is the JSON of forgectl backup prune.
type prunedList struct {
	Sets       []prunedSet `json:"sets"`
	Removed    int         `json:"removed"`
	FreedBytes int64       `json:"freed_bytes"`
	DryRun     bool        `json:"dry_run"`
}

func (a *App) prunedSets(plan prune.Plan, done prune.Result) []prunedSet {
	shown := []prunedSet{}
	for _, d := range plan.Decisions {
		for _, k := range done.Kept {
			if k.Set.Ref == d.Set.Ref {
				d = k
			}
		}
		s := d.Set
		shown = append(shown, prunedSet{
			Set: s.Ref.String(), Kind: s.Kind, Database: s.Database, ID: s.ID, Started: s.Began(a.Now()), Bytes: s.Bytes,
			AgeSeconds: int64(a.Now().Sub(s.Began(a.Now())).Seconds()), Keep: d.Keep, Why: d.Reasons,
			Removed: slices.ContainsFunc(done.Removed, func(r catalog.Set) bool { return r.Ref == s.Ref }),
		})
	}
	return shown
}

func (a *App) prunedResult(plan prune.Plan, done prune.Result, dryRun bool) result {
	shown := prunedList{Sets: a.prunedSets(plan, done), Removed: len(done.Removed), FreedBytes: done.Bytes(), DryRun: dryRun}
	remove := plan.Remove()
	return result{JSON: shown, Text: func(s *ui.Streams) error {
		if !dryRun {
			_, err := fmt.Fprintf(s.Out, "%s removed, %d kept\n", countSets(shown.Removed, shown.FreedBytes), len(shown.Sets)-shown.Removed)
			return err
		}
		if err := pruneTable(s, shown.Sets); err != nil || !s.OutTTY {
			return err
		}
		_, err := fmt.Fprintf(s.Out, "%s would be removed: this is a dry run\n", countSets(len(remove), totalBytes(remove)))
		return err
	}}
}

func pruneTable(s *ui.Streams, sets []prunedSet) error {
	t := s.Table(ui.Column{Title: "SET"}, ui.Column{Title: "AGE", Right: true}, ui.Column{Title: "SIZE", Right: true}, ui.Column{Title: "DECISION"}, ui.Column{Title: "WHY"})
	for _, p := range sets {
		decision := s.Good("keep")
		if !p.Keep {
			decision = s.Bad("remove")
		}
		t.Row(p.Set, ui.Age(time.Duration(p.AgeSeconds)*time.Second), ui.Bytes(p.Bytes), decision, strings.Join(p.Why, ", "))
	}
	return t.Flush()
}
