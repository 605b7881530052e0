package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/bmad-forge/forgectl/pkg/job"
	"github.com/bmad-forge/forgectl/pkg/postgres/cutover"
	"github.com/bmad-forge/forgectl/pkg/ui"
)

func newRestoreDropOldCmd(app *App) *cobra.Command {
	var dryRun, files bool
	cmd := &cobra.Command{
		Use:   "drop-old",
		Short: "List and drop the databases, or files, that restores left",
		Long: `Lists what restores of the database left: NAME_before_TIME (was live until a
restore), NAME_failed_TIME (restored, but the application was not well with it),
NAME_undone_TIME (was live until an undo) and NAME_restore_TIME (left by a restore
that died while loading). After confirmation, by typing the name of the live
database (or --yes), they are dropped for good. A database is only dropped if its
comment says that a restore left it, and nobody is connected to it; never the live
one, and nothing while an interrupted restore is open.

With --media it is the directories beside media.path: NAME_before_TIME,
NAME_undone_TIME, and NAME_restore_TIME of a restore that died. One is only removed if
the origin.json in it says that a restore left it.

With -o json: {"dropped": [{"name", "role", "set", "bytes", "sessions", "dropped"}],
"dry_run"}; "sessions" is for databases.`,
		Example: `  forgectl restore drop-old --dry-run
  forgectl restore drop-old
  forgectl restore drop-old --media`,
		Annotations: operationCodes(),
		Args:        cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if files {
				return app.dropOldMedia(cmd.Context(), dryRun)
			}
			return app.dropOld(cmd.Context(), dryRun)
		},
	}
	databaseFlag(app, cmd)
	mediaFlag(cmd, &files)
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "list them, drop nothing")
	return cmd
}

// droppedDatabase is one database in the JSON of forgectl restore drop-old.
type droppedDatabase struct {
	Name     string       `json:"name"`
	Role     cutover.Role `json:"role"`
	Set      string       `json:"set"`
	Bytes    int64        `json:"bytes"`
	Sessions int          `json:"sessions"`
	Dropped  bool         `json:"dropped"`
}

func (a *App) dropOld(ctx context.Context, dryRun bool) error {
	group, err := a.databaseGroup()
	if err != nil {
		return err
	}
	live := group.Database
	return a.operate(ctx, operation{
		Spec:  job.Spec{Operation: "restore drop-old", Target: live},
		Check: dryRun,
		Open:  func(context.Context) (string, error) { return a.restoreLock(live) },
		Do: func(ctx context.Context, run *job.Run) (result, error) {
			admin, err := a.AdminEndpoint(ctx)
			if err != nil {
				return result{}, err
			}
			if open, err := a.intents().Open(ctx, live); err != nil || open != nil {
				return result{}, openError(live, open, err)
			}
			kept, err := cutover.ListKept(ctx, admin, live)
			if err != nil {
				return result{}, err
			}
			if dryRun || len(kept) == 0 {
				return keptResult(kept, nil, dryRun), nil
			}
			list := func(s *ui.Streams) error { return keptTable(s, kept, nil) }
			if err := a.confirmPlan(ctx, list, fmt.Sprintf("Drop %s for good? There is no undo.", things(len(kept), "database")), live); err != nil {
				return result{}, err
			}
			dropped := map[string]bool{}
			var errs []error
			for _, k := range kept {
				if err := cutover.Drop(ctx, admin, k); err != nil {
					errs = append(errs, err)
					continue
				}
				dropped[k.Name] = true
				run.Log.Info("dropped", "database", k.Name)
			}
			run.Fact("dropped", len(dropped))
			return keptResult(kept, dropped, false), all(errs...)
		},
	})
}

func keptResult(kept []cutover.Kept, dropped map[string]bool, dryRun bool) result {
	shown := []droppedDatabase{}
	for _, k := range kept {
		shown = append(shown, droppedDatabase{k.Name, k.Origin.Forgectl, k.Origin.Set, k.Bytes, k.Sessions, dropped[k.Name]})
	}
	return result{
		JSON: map[string]any{"dropped": shown, "dry_run": dryRun},
		Text: func(s *ui.Streams) error {
			if len(kept) == 0 {
				_, err := fmt.Fprintln(s.Out, "no restore left a database")
				return err
			}
			return keptTable(s, kept, dropped)
		},
	}
}

func keptTable(s *ui.Streams, kept []cutover.Kept, dropped map[string]bool) error {
	t := s.Table(ui.Column{Title: "DATABASE"}, ui.Column{Title: "SIZE", Right: true}, ui.Column{Title: "CONNECTED", Right: true}, ui.Column{Title: "WHAT IT IS"})
	what := map[cutover.Role]string{
		cutover.Before:    "was live until the restore of",
		cutover.Failed:    "restored, but the application was not well with it:",
		cutover.Undone:    "was live until an undo; last restore:",
		cutover.Candidate: "left by a restore that died:",
	}
	for _, k := range kept {
		size := "unknown"
		if k.Bytes >= 0 {
			size = ui.Bytes(k.Bytes)
		}
		text := what[k.Origin.Forgectl] + " " + k.Origin.Set
		if dropped[k.Name] {
			text = s.Good("dropped") + "; " + text
		}
		t.Row(k.Name, size, fmt.Sprint(k.Sessions), text)
	}
	return t.Flush()
}
