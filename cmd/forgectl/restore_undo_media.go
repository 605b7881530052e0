package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/job"
	"github.com/bmad-forge/forgectl/pkg/restore"
	"github.com/bmad-forge/forgectl/pkg/ui"
)

// undoneFiles is the JSON of forgectl restore undo --media.
type undoneFiles struct {
	Directory string             `json:"directory"`
	Paths     []catalog.TreePath `json:"paths"`
	Back      string             `json:"back"`
	Kept      string             `json:"kept"`
	DryRun    bool               `json:"dry_run"`
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
