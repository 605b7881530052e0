package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/bmad-forge/forgectl/pkg/job"
	"github.com/bmad-forge/forgectl/pkg/ui"
)

type historyOptions struct {
	limit int
}

func newHistoryCmd(app *App) *cobra.Command {
	var o historyOptions
	cmd := &cobra.Command{
		Use:   "history [ID]",
		Short: "List past runs, or show one of them",
		Long: `Lists the runs of operations on this machine, the newest first: what ran on what,
when, for how long, how it ended, and the first thing that went wrong. With an ID
everything that was recorded of that run is shown: warnings, facts, the output of
hooks and the log.

A run that was killed before it could write its end is shown as killed. The
records are in the state directory; the newest 1000 are kept. Nothing is changed.

With -o json a list is {"runs": [RUN]} and one run is RUN: id, operation, target,
host, user, pid, version, started, finished, outcome, error, warnings, facts, hooks,
log; what is empty is left out. An outcome is one of running, ok, warning, failed,
interrupted, locked, killed and unreadable.`,
		Example: `  forgectl history
  forgectl history --limit 5 -o json
  forgectl history 20261123T020000Z-backup-db-4711`,
		Annotations: listingCodes(),
		Args:        cobra.MaximumNArgs(1),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return app.completeRuns(cmd.Context()), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				return app.showRun(cmd.Context(), args[0])
			}
			return app.listRuns(cmd.Context(), o)
		},
	}
	cmd.Flags().IntVar(&o.limit, "limit", 20, "show the newest `N` runs; 0 is all")
	complete(cmd, "limit", cobra.NoFileCompletions)
	return cmd
}

func (a *App) completeRuns(ctx context.Context) []string {
	jobs, err := a.Jobs()
	if err != nil {
		return nil
	}
	records, err := jobs.History(ctx, 50)
	if err != nil {
		return nil
	}
	var ids []string
	for _, r := range records {
		ids = append(ids, cobra.CompletionWithDesc(r.ID, r.Outcome+" "+r.Target))
	}
	return ids
}

// runList is the JSON of forgectl history.
type runList struct {
	Runs []job.Record `json:"runs"`
}

func (a *App) listRuns(ctx context.Context, o historyOptions) error {
	if o.limit < 0 {
		return a.misuse("--limit %d: must not be negative", o.limit)
	}
	jobs, err := a.Jobs()
	if err != nil {
		return err
	}
	records, err := jobs.History(ctx, o.limit)
	if err != nil {
		return err
	}
	return a.show(result{JSON: runList{records}, Text: func(s *ui.Streams) error {
		t := s.Table(ui.Column{Title: "ID"}, ui.Column{Title: "OPERATION"}, ui.Column{Title: "TARGET"}, ui.Column{Title: "STARTED"},
			ui.Column{Title: "TOOK", Right: true}, ui.Column{Title: "OUTCOME"}, ui.Column{Title: "MESSAGE"})
		for _, r := range records {
			t.Row(r.ID, r.Operation, r.Target, timestamp(r.Started), a.took(r), paintOutcome(s, r.Outcome), firstMessage(r))
		}
		return t.Flush()
	}})
}
