package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/bmad-forge/forgectl/pkg/backup"
	"github.com/bmad-forge/forgectl/pkg/job"
	"github.com/bmad-forge/forgectl/pkg/ui"
)

// backedUpFull is the JSON of forgectl backup full.
type backedUpFull struct {
	Set        string   `json:"set"`
	Path       string   `json:"path"`
	Parts      []any    `json:"parts"`
	Without    []string `json:"without"`
	Release    string   `json:"release"`
	Removed    []string `json:"removed"`
	FreedBytes int64    `json:"freed_bytes"`
}

func (a *App) backedUpFull(ctx context.Context, run *job.Run, repo *repository, shown backedUpFull, texts []result, done backup.Result) result {
	m := done.Set.Manifest
	shown.Set, shown.Release = done.Set.Ref.String(), strings.TrimSpace(m.Source.ReleaseDir+" "+m.Source.GitRevision)
	shown.Path, _ = repo.Location(done.Set.Ref)
	run.Fact("set", shown.Set)
	run.Fact("parts", m.References)
	for _, removed := range done.Removed {
		run.Log.Info("removed what a dead run left", "set", removed)
	}
	for _, w := range done.Warnings {
		run.Warn(shown.Set + ": " + w)
	}
	pruned := a.pruneWithParts(ctx, run, repo, done.Set)
	shown.Removed, shown.FreedBytes = setNames(pruned.Removed), pruned.Bytes()
	return result{Set: done.Set, JSON: shown, Text: func(s *ui.Streams) error {
		for _, t := range texts {
			if err := t.Text(s); err != nil {
				return err
			}
		}
		text := s.Bold(ui.Printable(shown.Set)) + "  is one recovery point of " + ui.Printable(strings.Join(m.References, ", ")) + "\n"
		for _, w := range shown.Without {
			text += ui.Printable(w) + "\n"
		}
		_, err := fmt.Fprint(s.Out, text+s.Faint("prove it: forgectl backup verify full/latest --drill")+"\n")
		return err
	}}
}
