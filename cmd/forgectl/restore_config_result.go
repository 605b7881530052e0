package main

import (
	"fmt"
	"path/filepath"

	"github.com/bmad-forge/forgectl/pkg/job"
	"github.com/bmad-forge/forgectl/pkg/proc"
	"github.com/bmad-forge/forgectl/pkg/restore"
	"github.com/bmad-forge/forgectl/pkg/ui"
)

// changedConfig is the JSON of a file.
type changedConfig struct {
	Path  string              `json:"path"`
	State restore.ConfigState `json:"state"`
	Type  string              `json:"type"`
	What  []string            `json:"what"`
	Diff  string              `json:"diff,omitempty"`
}

// restoredConfigFiles is the JSON of forgectl restore config.
type restoredConfigFiles struct {
	Set       string          `json:"set"`
	To        string          `json:"to"`
	DryRun    bool            `json:"dry_run"`
	Changes   []changedConfig `json:"changes"`
	Same      int             `json:"same"`
	LeftAlone []string        `json:"left_alone"`
	Unstored  []string        `json:"unstored"`
	Kept      string          `json:"kept,omitempty"`
	Undo      string          `json:"undo,omitempty"`
}

func (a *App) restoredConfig(run *job.Run, o restoreConfigOptions, done restore.ConfigResult, diffs map[string]string) result {
	shown := restoredConfigFiles{
		Set: done.Set.Ref.String(), To: o.to, DryRun: o.dryRun || o.diff, Changes: []changedConfig{}, Kept: done.Kept,
		LeftAlone: append([]string{}, done.LeftAlone...), Unstored: append([]string{}, done.Unstored...),
	}
	for _, c := range done.Changes() {
		shown.Changes = append(shown.Changes, changedConfig{c.Name(), c.State, string(c.Type), append([]string{}, c.What...), diffs[c.Path]})
	}
	shown.Same = len(done.Entries) - len(shown.Changes)
	if done.Kept != "" {
		shown.Undo = "sh " + proc.ShellWord(filepath.Join(done.Kept, restore.UndoName))
	}
	for _, w := range done.Warnings {
		run.Warn(w)
	}
	run.Fact("set", shown.Set)
	run.Fact("changes", len(done.Done))
	run.Fact("kept", shown.Kept)
	return result{JSON: shown, Text: func(s *ui.Streams) error {
		switch {
		case o.diff:
			return configDiffText(s, done.ConfigPlan, diffs)
		case o.dryRun:
			return configPlanText(s, done.ConfigPlan)
		case o.to != "":
			_, err := fmt.Fprintf(s.Out, "%s  %s from %s\n", s.Bold(ui.Printable(o.to)), things(len(shown.Changes), "file"), shown.Set)
			return err
		case len(done.Done) == 0:
			_, err := fmt.Fprintf(s.Out, "nothing to do: everything is as in %s\n", shown.Set)
			return err
		}
		_, err := fmt.Fprintf(s.Out, "%s restored from %s\nwhat was replaced is kept in %s; to go back: %s\n", things(len(done.Done), "file"), shown.Set, s.Bold(ui.Printable(shown.Kept)), ui.Printable(shown.Undo))
		return err
	}}
}
