package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/job"
	"github.com/bmad-forge/forgectl/pkg/media"
	"github.com/bmad-forge/forgectl/pkg/provenance"
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

// confirmMedia shows the plan and lets the operator type the name of the directory.
func (a *App) confirmMedia(ctx context.Context, p restore.MediaPlan) error {
	question := fmt.Sprintf("Replace the live directory %s?", p.Live)
	switch {
	case !p.Exists:
		question = fmt.Sprintf("Make the directory %s?", p.Live)
	case !p.Choice.Whole():
		question = fmt.Sprintf("Replace %s of the live directory %s?", things(len(p.Choice.Paths()), "path"), p.Live)
	}
	return a.confirmPlan(ctx, func(s *ui.Streams) error { return mediaPlanTable(s, p) }, question, filepath.Base(p.Live))
}

// shownPaths is how many paths of each kind a plan shows; -o json has all.
const shownPaths = 10

func mediaPlanTable(s *ui.Streams, p restore.MediaPlan) error {
	t := s.Table(ui.Column{Title: "PLAN"}, ui.Column{Title: "VALUE"})
	t.Row("source", p.Set+", its sums are right")
	if by := p.Signature.Signer(); by != "" && p.Signature.State == provenance.Good {
		t.Row("signed by", by)
	}
	if !p.Choice.Whole() {
		for _, path := range firstOf(p.Choice.Paths()) {
			t.Row("path", path)
		}
	}
	t.Row("files", fmt.Sprintf("%s, %s, %s", things(int(p.Files), "file"), directories(int(p.Dirs)), things(int(p.Symlinks), "link")))
	space := "cloned, not copied"
	if p.Free >= 0 {
		space = ui.Bytes(p.Free) + " free"
	}
	t.Row("space", ui.Bytes(p.Bytes)+" needed, "+space)
	if p.To != "" {
		t.Row("then", "they become "+p.To+"; the live directory is not touched")
	} else {
		for _, list := range []struct {
			name string
			of   []media.Difference
		}{{"add", p.Added}, {"change", p.Changed}, {"remove", p.Removed}} {
			planDifferences(t, list.name, list.of)
		}
		t.Row("units", "none is stopped; who has a file open keeps the old one")
		switch {
		case !p.Exists:
			t.Row("then", "they become "+p.Live+", which does not exist now")
		case p.Choice.Whole():
			t.Row("swap", "with "+p.Live+", which is kept in "+p.Aside)
		default:
			t.Row("swap", "each path in "+p.Live+"; what is replaced is kept in "+p.Aside)
		}
		t.Row("to undo", "forgectl restore undo --media")
	}
	for _, w := range p.Warnings {
		t.Row("note", w)
	}
	return t.Flush()
}

func firstOf[T any](list []T) []T { return list[:min(len(list), shownPaths)] }

func planDifferences(t *ui.Table, name string, list []media.Difference) {
	var bytes int64
	for _, d := range list {
		bytes += d.Bytes
	}
	t.Row(name, things(len(list), "path")+", "+ui.Bytes(bytes))
	for _, d := range firstOf(list) {
		why := ""
		if d.Why != "" {
			why = ": " + d.Why
		}
		t.Row("", media.Quote(d.Path)+why)
	}
	if more := len(list) - shownPaths; more > 0 {
		t.Row("", fmt.Sprintf("and %s more: -o json has all", ui.Count(int64(more))))
	}
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
