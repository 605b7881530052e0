package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/bmad-forge/forgectl/pkg/job"
	"github.com/bmad-forge/forgectl/pkg/restore"
	"github.com/bmad-forge/forgectl/pkg/ui"
)

func newRestoreUndoCmd(app *App) *cobra.Command {
	var dryRun, files bool
	cmd := &cobra.Command{
		Use:   "undo",
		Short: "Go back to the database, or the files, from before the last restore",
		Long: `Puts the database that was live before the last restore (NAME_before_TIME) back into
its place. The units that run are stopped, the names are swapped in one transaction,
the units are started, and the health check is asked: when the application is not well,
that is a WARNING, and nothing is put back. What was live is kept as NAME_undone_TIME:
what was written to it since the restore is only there. Undoing an undo goes forward
again. The plan is shown first, and the name of the database has to be typed (or --yes).

With --media it is the files of media.path that go back: what the last restore kept in
NAME_before_TIME changes places again with what is live, which is kept in
NAME_undone_TIME. No unit is stopped.

With -o json: {"database", "back", "kept", "downtime_seconds", "gap_seconds",
"sessions_ended", "dry_run"}; with --media {"directory", "paths", "back", "kept",
"dry_run"}.`,
		Example: `  forgectl restore undo --dry-run
  forgectl restore undo
  forgectl restore undo --media`,
		Annotations: operationCodes(),
		Args:        cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if files {
				return app.undoMedia(cmd.Context(), dryRun)
			}
			return app.undoRestore(cmd.Context(), dryRun)
		},
	}
	databaseFlag(app, cmd)
	mediaFlag(cmd, &files)
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "show the plan, change nothing")
	return cmd
}

// undoneRestore is the JSON of forgectl restore undo.
type undoneRestore struct {
	Database string  `json:"database"`
	Back     string  `json:"back"`
	Kept     string  `json:"kept"`
	Downtime float64 `json:"downtime_seconds"`
	Gap      float64 `json:"gap_seconds"`
	Ended    int     `json:"sessions_ended"`
	DryRun   bool    `json:"dry_run"`
}

func (a *App) undoRestore(ctx context.Context, dryRun bool) error {
	group, err := a.databaseGroup()
	if err != nil {
		return err
	}
	live := group.Database
	return a.operate(ctx, operation{
		Spec:  job.Spec{Operation: "restore undo", Target: live},
		Check: dryRun,
		Open:  func(context.Context) (string, error) { return a.restoreLock(live) },
		Do: func(ctx context.Context, run *job.Run) (result, error) {
			o, show, err := a.exchangeOptions(ctx, run, live)
			if err != nil {
				return result{}, fmt.Errorf("undo the restore of %s: %w", live, err)
			}
			defer show.progress.done()
			o.ConfirmUndo = func(ctx context.Context, p restore.UndoPlan) error {
				return a.confirmPlan(ctx, func(s *ui.Streams) error { return undoTable(s, p) }, fmt.Sprintf("Replace the live database %s by %s?", live, p.Back.Name), live)
			}
			var done restore.UndoResult
			if dryRun {
				done.UndoPlan, err = restore.PlanUndo(ctx, o)
			} else {
				done, err = restore.Undo(ctx, o)
			}
			if err != nil {
				return result{}, err
			}
			return undone(run, live, done, dryRun), nil
		},
	})
}

func undone(run *job.Run, live string, done restore.UndoResult, dryRun bool) result {
	shown := undoneRestore{live, done.Back.Name, done.Aside, done.Downtime.Seconds(), done.Gap.Seconds(), done.Ended, dryRun}
	run.Fact("kept", shown.Kept)
	if !dryRun && done.Unwell != nil {
		run.Warn(fmt.Sprintf("%s is live again, but the application is not well with it: %v", done.Back.Name, done.Unwell))
	}
	return result{JSON: shown, Text: func(s *ui.Streams) error {
		if dryRun {
			return undoTable(s, done.UndoPlan)
		}
		_, err := fmt.Fprintf(s.Out, "%s  is again what %s was\nnew connections waited %s at most; what was live is kept as %s\n", s.Bold(ui.Printable(live)), ui.Printable(shown.Back),
			ui.Duration(done.Gap), s.Bold(ui.Printable(shown.Kept)))
		return err
	}}
}

func undoTable(s *ui.Streams, p restore.UndoPlan) error {
	t := s.Table(ui.Column{Title: "PLAN"}, ui.Column{Title: "VALUE"})
	t.Row("back", p.Back.Name+", "+ui.Bytes(p.Back.Bytes)+", moved aside by the restore of "+p.Back.Origin.Set)
	for _, session := range p.Live.Sessions {
		t.Row("connected now", session.String())
	}
	units := unitList(p.Units)
	t.Row("stop", units)
	t.Row("swap", p.Live.Name+" becomes "+p.Aside+" and is kept; "+p.Back.Name+" becomes "+p.Live.Name)
	if len(p.Units) > 0 {
		t.Row("start", units+", then ask the health check")
	}
	t.Row("note", "what was written since the restore is only in "+p.Aside+" then")
	return t.Flush()
}
