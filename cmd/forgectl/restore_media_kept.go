package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/job"
	"github.com/bmad-forge/forgectl/pkg/restore"
	"github.com/bmad-forge/forgectl/pkg/ui"
)

// mediaFlag turns a command about the live database into one about the live files.
func mediaFlag(cmd *cobra.Command, files *bool) {
	cmd.Flags().BoolVar(files, "media", false, "the files of media.path, not the database")
	cmd.MarkFlagsMutuallyExclusive("media", "database")
}

// undoneFiles is the JSON of forgectl restore undo --media.
type undoneFiles struct {
	Directory string             `json:"directory"`
	Paths     []catalog.TreePath `json:"paths"`
	Back      string             `json:"back"`
	Kept      string             `json:"kept"`
	DryRun    bool               `json:"dry_run"`
}

// aboutMedia is an operation on the live files.
func (a *App) aboutMedia(ctx context.Context, name string, check bool, do func(ctx context.Context, run *job.Run, o restore.MediaOptions, show steps) (result, error)) error {
	cfg, err := a.Config()
	if err != nil {
		return err
	}
	return a.operate(ctx, operation{
		Spec:  job.Spec{Operation: name, Target: cfg.Media.Path},
		Check: check,
		Open:  func(context.Context) (string, error) { return a.mediaLock() },
		Do: func(ctx context.Context, run *job.Run) (result, error) {
			o, show, err := a.mediaOptions(run)
			if err != nil {
				return result{}, err
			}
			defer show.progress.done()
			return do(ctx, run, o, show)
		},
	})
}

func (a *App) undoMedia(ctx context.Context, dryRun bool) error {
	return a.aboutMedia(ctx, "restore undo", dryRun, func(ctx context.Context, run *job.Run, o restore.MediaOptions, _ steps) (result, error) {
		o.ConfirmUndo = func(ctx context.Context, p restore.MediaUndoPlan) error {
			return a.confirmPlan(ctx, func(s *ui.Streams) error { return undoMediaTable(s, p) }, fmt.Sprintf("Exchange the live files in %s for those in %s?", p.Live, p.Back.Path), filepath.Base(p.Live))
		}
		undo := restore.UndoMedia
		if dryRun {
			undo = restore.PlanUndoMedia
		}
		p, err := undo(ctx, o)
		if err != nil {
			return result{}, err
		}
		run.Fact("kept", p.Aside)
		shown := undoneFiles{Directory: p.Live, Paths: append([]catalog.TreePath{}, p.Back.Origin.Paths...), Back: p.Back.Path, Kept: p.Aside, DryRun: dryRun}
		return result{JSON: shown, Text: func(s *ui.Streams) error {
			if dryRun {
				return undoMediaTable(s, p)
			}
			_, err := fmt.Fprintf(s.Out, "%s  is again what was kept in %s\nwhat was live is kept in %s\n", s.Bold(ui.Printable(p.Live)), ui.Printable(p.Back.Path), s.Bold(ui.Printable(p.Aside)))
			return err
		}}, nil
	})
}

func undoMediaTable(s *ui.Streams, p restore.MediaUndoPlan) error {
	t := s.Table(ui.Column{Title: "PLAN"}, ui.Column{Title: "VALUE"})
	t.Row("back", p.Back.Path+", "+keptWords(p.Back))
	t.Row("swap", things(len(p.Moves), "path")+" in "+p.Live+"; what is live now is kept in "+p.Aside)
	t.Row("note", "what was uploaded since the restore is only in "+p.Aside+" then")
	return t.Flush()
}

// droppedFiles is one directory in the JSON of forgectl restore drop-old --media.
type droppedFiles struct {
	Name    string `json:"name"`
	Role    string `json:"role"`
	Set     string `json:"set"`
	Bytes   int64  `json:"bytes"`
	Dropped bool   `json:"dropped"`
	what    string
}

func (a *App) dropOldMedia(ctx context.Context, dryRun bool) error {
	return a.aboutMedia(ctx, "restore drop-old", dryRun, func(ctx context.Context, run *job.Run, o restore.MediaOptions, _ steps) (result, error) {
		live, err := restore.LiveMedia(o.Live)
		if err != nil {
			return result{}, err
		}
		if open, err := o.Intents.OpenMedia(ctx, live); err != nil || open != nil {
			return result{}, openMediaError(live, open, err)
		}
		kept, err := restore.ListKeptMedia(live)
		if err != nil {
			return result{}, err
		}
		shown := []droppedFiles{}
		for _, k := range kept {
			shown = append(shown, droppedFiles{Name: k.Path, Role: k.Role, Set: k.Origin.Set, Bytes: k.Size(), what: keptWords(k)})
		}
		if dryRun || len(kept) == 0 {
			return droppedFilesResult(shown, dryRun), nil
		}
		if err := a.confirmPlan(ctx, droppedFilesResult(shown, true).Text, "Remove "+directories(len(kept))+" for good? There is no undo.", filepath.Base(live)); err != nil {
			return result{}, err
		}
		var errs []error
		for i, k := range kept {
			if err := restore.DropMedia(k); err != nil {
				errs = append(errs, err)
				continue
			}
			shown[i].Dropped = true
			run.Log.Info("dropped", "directory", k.Path)
		}
		return droppedFilesResult(shown, false), all(errs...)
	})
}

func directories(n int) string {
	if n == 1 {
		return "1 directory"
	}
	return fmt.Sprintf("%d directories", n)
}

func droppedFilesResult(shown []droppedFiles, dryRun bool) result {
	return result{
		JSON: map[string]any{"dropped": shown, "dry_run": dryRun},
		Text: func(s *ui.Streams) error {
			if len(shown) == 0 {
				_, err := fmt.Fprintln(s.Out, "no restore left any files")
				return err
			}
			t := s.Table(ui.Column{Title: "DIRECTORY"}, ui.Column{Title: "SIZE", Right: true}, ui.Column{Title: "WHAT IT IS"})
			for _, k := range shown {
				text := k.what
				if k.Dropped {
					text = s.Good("dropped") + "; " + text
				}
				t.Row(k.Name, ui.Bytes(k.Bytes), text)
			}
			return t.Flush()
		},
	}
}

// resumedFiles is the JSON of forgectl restore resume --media.
type resumedFiles struct {
	Directory string `json:"directory"`
	Action    string `json:"action"`
	Stage     string `json:"stage"`
	Outcome   string `json:"outcome"`
	Live      string `json:"live"`
}

func (a *App) resumeMedia(ctx context.Context) error {
	return a.aboutMedia(ctx, "restore resume", false, func(ctx context.Context, run *job.Run, o restore.MediaOptions, _ steps) (result, error) {
		live, err := restore.LiveMedia(o.Live)
		if err != nil {
			return result{}, err
		}
		open, err := o.Intents.OpenMedia(ctx, live)
		if err != nil {
			return result{}, fmt.Errorf("resume the restore of %s: %w", live, err)
		}
		if open == nil {
			return result{JSON: resumedFiles{Directory: live, Outcome: "nothing open"}, Text: func(s *ui.Streams) error {
				_, err := fmt.Fprintf(s.Out, "no restore of %s is open\n", ui.Printable(live))
				return err
			}}, nil
		}
		done, err := restore.ResumeMedia(ctx, o, *open)
		if err != nil {
			return result{}, fmt.Errorf("resume the %s of %s: %w", open.Action, live, err)
		}
		shown := resumedFiles{live, open.Action, string(open.Stage), string(done.Outcome), done.Live}
		run.Fact("outcome", shown.Outcome)
		return result{JSON: shown, Text: func(s *ui.Streams) error {
			_, err := fmt.Fprintf(s.Out, "the %s of %s is %s: the %s files are live\n", open.Action, s.Bold(ui.Printable(live)), shown.Outcome, shown.Live)
			return err
		}}, nil
	})
}

// openMediaError is that an interrupted restore of files stands in the way.
func openMediaError(live string, open *restore.Intent, err error) error {
	if err == nil {
		err = &restore.OpenError{Live: live, Since: open.Started, Media: true}
	}
	return err
}
