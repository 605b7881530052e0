package main

import (
	"fmt"
	"strings"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/job"
	"github.com/bmad-forge/forgectl/pkg/media"
	"github.com/bmad-forge/forgectl/pkg/restore"
	"github.com/bmad-forge/forgectl/pkg/ui"
)

// shownFiles is the JSON of forgectl restore media.
type shownFiles struct {
	Set         string             `json:"set"`
	Directory   string             `json:"directory"`
	Paths       []catalog.TreePath `json:"paths"`
	Files       int64              `json:"files"`
	Directories int64              `json:"directories"`
	Symlinks    int64              `json:"symlinks"`
	Bytes       int64              `json:"bytes"`
	Added       []shownDifference  `json:"added"`
	Changed     []shownDifference  `json:"changed"`
	Removed     []shownDifference  `json:"removed"`
	Left        int64              `json:"not_restored"`
	Unowned     int64              `json:"owners_not_set"`
	Unmarked    int64              `json:"attributes_not_set"`
	Kept        string             `json:"kept,omitempty"`
	Stages      []catalog.Stage    `json:"stages"`
	Seconds     float64            `json:"seconds"`
	DryRun      bool               `json:"dry_run"`
}

// shownDifference is one path that a restore would change.
type shownDifference struct {
	catalog.PathJSON
	Bytes int64  `json:"bytes"`
	Why   string `json:"why,omitempty"`
}

func showDifferences(list []media.Difference) []shownDifference {
	shown := []shownDifference{}
	for _, d := range list {
		shown = append(shown, shownDifference{catalog.TreePath(d.Path).JSON(), d.Bytes, d.Why})
	}
	return shown
}

func restoredMedia(run *job.Run, done restore.MediaResult, dryRun bool) result {
	shown := shownFiles{
		Set: done.Set, Directory: done.Live, Paths: []catalog.TreePath{}, Files: done.Files, Directories: done.Dirs, Symlinks: done.Symlinks, Bytes: done.Bytes,
		Added: showDifferences(done.Added), Changed: showDifferences(done.Changed), Removed: showDifferences(done.Removed),
		Left: done.Others, Unowned: done.Built.Unowned.Count, Unmarked: done.Built.Unmarked.Count, Kept: done.Kept, Stages: append([]catalog.Stage{}, done.Stages...), DryRun: dryRun,
	}
	if done.To != "" {
		shown.Directory = done.To
	}
	for _, p := range done.Choice.Paths() {
		shown.Paths = append(shown.Paths, catalog.TreePath(p))
	}
	for _, stage := range done.Stages {
		shown.Seconds += stage.Seconds
	}
	for _, w := range done.Warnings {
		run.Warn(w)
	}
	if n := done.Built.Unowned; n.Count > 0 {
		run.Warn(things(int(n.Count), "path") + " could not be given the owner or group of the original, the first is " + media.Quote(n.First) + ": only root may do that. Setuid and setgid bits of such files were left out")
	}
	if n := done.Built.Unmarked; n.Count > 0 {
		run.Warn(things(int(n.Count), "extended attribute") + " could not be set, the first of " + media.Quote(n.First) + ": not permitted, or not known to this file system")
	}
	if n := done.Others; n > 0 {
		run.Warn(things(int(n), "path") + " of the set, a socket, FIFO or device each, cannot be restored")
	}
	run.Fact("set", shown.Set)
	run.Fact("kept", shown.Kept)
	return result{JSON: shown, Text: func(s *ui.Streams) error {
		if dryRun {
			return mediaPlanTable(s, done.MediaPlan)
		}
		return restoredMediaText(s, shown)
	}}
}

func restoredMediaText(s *ui.Streams, shown shownFiles) error {
	_, err := fmt.Fprintf(s.Out, "%s  is ready: %s, %s, hashed and compared\n%s\n", s.Bold(ui.Printable(shown.Directory)), things(int(shown.Files), "file"), ui.Bytes(shown.Bytes),
		s.Faint("from "+shown.Set+": "+stageTimes(shown.Stages)))
	if err != nil || shown.Kept == "" {
		return err
	}
	_, err = fmt.Fprintf(s.Out, "what was live is kept in %s; to go back: forgectl restore undo --media; when it is not needed any more: forgectl restore drop-old --media\n", s.Bold(ui.Printable(shown.Kept)))
	return err
}

// keptWords says what a directory that a restore left is.
func keptWords(k restore.KeptMedia) string {
	what := map[string]string{
		restore.MediaBefore: "was live until the restore of " + k.Origin.Set,
		restore.MediaUndone: "was live until an undo; last restore: " + k.Origin.Set,
		"restore":           "left by a restore that died: " + k.Origin.Set,
		"dropped":           "left by a removal that died",
	}[k.Role]
	if len(k.Origin.Paths) > 0 && k.Origin.Paths[0] != media.Root {
		var paths []string
		for _, p := range firstOf(k.Origin.Paths) {
			paths = append(paths, media.Quote(string(p)))
		}
		what += " (" + strings.Join(paths, ", ") + ")"
	}
	return what
}
