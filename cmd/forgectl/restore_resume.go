package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/bmad-forge/forgectl/pkg/job"
	"github.com/bmad-forge/forgectl/pkg/restore"
	"github.com/bmad-forge/forgectl/pkg/ui"
)

func newRestoreResumeCmd(app *App) *cobra.Command {
	var files bool
	cmd := &cobra.Command{
		Use:   "resume",
		Short: "End a restore whose process died",
		Long: `A restore that is killed while it exchanges the live database leaves a record of
what it was doing, and maybe the application's units standing. This command ends what
was begun. When the names were not swapped yet, the old database is live, as it has
been all the time: the units are started again, and the restored database is dropped.
When they were, the units are started and the health check is asked; the old database
comes back when the application is not well. The same for an undo.

With --media it ends a restore of files, or an undo: when nothing has changed places yet,
what was live stays and the restored files are removed; otherwise the rest of the paths
is exchanged too.

Without such a record there is nothing to do, and in a pipe nothing is said.

With -o json: {"database", "action", "stage", "outcome", "live"}, with --media
"directory" in place of "database"; outcome is finished, undone or nothing open, live is
restored, old or other.`,
		Example: `  forgectl doctor
  forgectl restore resume
  forgectl restore resume --media`,
		Annotations: operationCodes(),
		Args:        cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if files {
				return app.resumeMedia(cmd.Context())
			}
			return app.resumeRestore(cmd.Context())
		},
	}
	databaseFlag(app, cmd)
	mediaFlag(cmd, &files)
	return cmd
}

// resumedRestore is the JSON of forgectl restore resume.
type resumedRestore struct {
	Database string `json:"database"`
	Action   string `json:"action"`
	Stage    string `json:"stage"`
	Outcome  string `json:"outcome"`
	Live     string `json:"live"`
}

func (a *App) resumeRestore(ctx context.Context) error {
	group, err := a.databaseGroup()
	if err != nil {
		return err
	}
	live := group.Database
	return a.operate(ctx, operation{
		Spec: job.Spec{Operation: "restore resume", Target: live},
		Open: func(context.Context) (string, error) { return a.restoreLock(live) },
		Do: func(ctx context.Context, run *job.Run) (result, error) {
			open, err := a.intents().Open(ctx, live)
			if err != nil {
				return result{}, fmt.Errorf("resume the restore of %s: %w", live, err)
			}
			if open == nil {
				return result{JSON: resumedRestore{Database: live, Outcome: "nothing open"}, Text: func(s *ui.Streams) error {
					_, err := fmt.Fprintf(s.Out, "no restore of %s is open\n", ui.Printable(live))
					return err
				}}, nil
			}
			o, show, err := a.exchangeOptions(ctx, run, live)
			if err != nil {
				return result{}, err
			}
			defer show.progress.done()
			done, err := restore.Resume(ctx, o, *open)
			if err != nil && !errors.As(err, new(*restore.ReturnedError)) {
				return result{}, fmt.Errorf("resume the %s of %s: %w", open.Action, live, err)
			}
			shown := resumedRestore{live, open.Action, string(open.Stage), string(done.Outcome), done.Live}
			run.Fact("outcome", shown.Outcome)
			if done.Unwell != nil {
				run.Warn(fmt.Sprintf("the application is not well: %v", done.Unwell))
			}
			return result{JSON: shown, Text: func(s *ui.Streams) error {
				_, err := fmt.Fprintf(s.Out, "the %s of %s is %s: the %s database is live, its units run\n", open.Action, s.Bold(ui.Printable(live)), shown.Outcome, shown.Live)
				return err
			}}, err
		},
	})
}

// openError is that an interrupted restore stands in the way.
func openError(live string, open *restore.Intent, err error) error {
	if err == nil {
		err = &restore.OpenError{Live: live, Since: open.Started}
	}
	return err
}
