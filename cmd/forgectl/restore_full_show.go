package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/job"
	"github.com/bmad-forge/forgectl/pkg/proc"
	"github.com/bmad-forge/forgectl/pkg/restore"
	"github.com/bmad-forge/forgectl/pkg/ui"
)

// confirmFull shows all plans and asks once.
func (a *App) confirmFull(ctx context.Context, p restore.FullPlan) error {
	replaced := []string{"the database " + p.Database.Into + " on " + p.Database.Server}
	if p.Media != nil {
		replaced = append(replaced, "the directory "+p.Media.Live)
	}
	if p.Config != nil {
		replaced = append(replaced, things(len(p.Config.Changes()), "file")+" of the configuration")
	}
	return a.confirmPlan(ctx, func(s *ui.Streams) error { return fullPlanText(s, p) }, "Replace "+strings.Join(replaced, ", and ")+"?", p.Database.Into)
}

func fullPlanText(s *ui.Streams, p restore.FullPlan) error {
	if release := releaseOf(p.Set); release != "" {
		if _, err := fmt.Fprintln(s.Out, "the release then was "+ui.Printable(release)); err != nil {
			return err
		}
	}
	err := planTable(s, p.Database)
	if err == nil && p.Media != nil {
		err = mediaPlanTable(s, *p.Media)
	}
	if err == nil && p.Config != nil {
		err = configPlanText(s, *p.Config)
	}
	return err
}

func releaseOf(s catalog.Set) string {
	if s.Manifest == nil || s.Manifest.Source == nil {
		return ""
	}
	return strings.TrimSpace(s.Manifest.Source.ReleaseDir + " " + s.Manifest.Source.GitRevision)
}

// fullRestoreError says what to do, and what is in service although the restore failed.
func fullRestoreError(err error, done restore.FullResult) error {
	var other *restore.OtherDatabaseError
	if errors.As(err, &other) {
		err = withHint(unknown("%s is of the database %s, and database.name is %s", other.Set, other.Database, other.Live),
			"restore its parts by themselves: forgectl backup show %s", proc.ShellWord(other.Set.String()))
	}
	undo := undoFull(done)
	if len(undo) == 0 {
		return err
	}
	hint := "these are in service already; to put back what was there: " + strings.Join(undo, "; ")
	if next := hintOf(err); next != "" {
		hint = next + "\n" + hint
	}
	return &hintError{err, hint}
}

// undoFull are the commands that take back what is in service.
func undoFull(done restore.FullResult) []string {
	undo := []string{}
	for _, kind := range done.Undo() {
		switch kind {
		case catalog.KindDatabase:
			undo = append(undo, restoreCommand("undo", done.Database.Into))
		case catalog.KindMedia:
			undo = append(undo, "forgectl restore undo --media")
		case catalog.KindConfig:
			undo = append(undo, "sh "+proc.ShellWord(filepath.Join(done.Config.Kept, restore.UndoName)))
		}
	}
	return undo
}

// restoredFull is the JSON of forgectl restore full.
type restoredFull struct {
	Set     string   `json:"set"`
	Release string   `json:"release"`
	Parts   []any    `json:"parts"`
	Undo    []string `json:"undo"`
	DryRun  bool     `json:"dry_run"`
}

func (a *App) restoredFull(run *job.Run, done restore.FullResult, dryRun bool) result {
	parts := []result{restored(run, done.Database, dryRun, nil)}
	if done.Media != nil {
		parts = append(parts, restoredMedia(run, *done.Media, dryRun))
	}
	if done.Config != nil {
		parts = append(parts, a.restoredConfig(run, restoreConfigOptions{dryRun: dryRun}, *done.Config, nil))
	}
	shown := restoredFull{Set: done.Set.Ref.String(), Release: releaseOf(done.Set), Parts: []any{}, Undo: undoFull(done), DryRun: dryRun}
	for _, p := range parts {
		shown.Parts = append(shown.Parts, p.JSON)
	}
	run.Fact("set", shown.Set)
	run.Fact("undo", shown.Undo)
	return result{JSON: shown, Text: func(s *ui.Streams) error {
		if dryRun {
			return fullPlanText(s, done.Plan())
		}
		for _, p := range parts {
			if err := p.Text(s); err != nil {
				return err
			}
		}
		return restoredFullText(s, shown)
	}}
}

func restoredFullText(s *ui.Streams, shown restoredFull) error {
	text := s.Bold(ui.Printable(shown.Set)) + "  is restored"
	if shown.Release != "" {
		text += "; the release then was " + ui.Printable(shown.Release)
	}
	if len(shown.Undo) > 0 {
		text += "\nto undo all of it: " + ui.Printable(strings.Join(shown.Undo, " && "))
	}
	_, err := fmt.Fprintln(s.Out, text)
	return err
}
