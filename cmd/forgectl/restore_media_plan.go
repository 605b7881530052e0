package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/bmad-forge/forgectl/pkg/media"
	"github.com/bmad-forge/forgectl/pkg/provenance"
	"github.com/bmad-forge/forgectl/pkg/restore"
	"github.com/bmad-forge/forgectl/pkg/ui"
)

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
	t.Row("files", fmt.Sprintf("%s, %s, %s", things(int(p.Files), "file"), things(int(p.Dirs), "directory"), things(int(p.Symlinks), "link")))
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
