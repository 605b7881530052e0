package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/prune"
	"github.com/bmad-forge/forgectl/pkg/ui"
)

// prunedSet is one set in the JSON of forgectl backup prune.
type prunedSet struct {
	Set        string       `json:"set"`
	Kind       catalog.Kind `json:"kind"`
	Database   string       `json:"database,omitempty"`
	ID         catalog.ID   `json:"id"`
	Started    time.Time    `json:"started"`
	AgeSeconds int64        `json:"age_seconds"`
	Bytes      int64        `json:"bytes"`
	Keep       bool         `json:"keep"`
	Why        []string     `json:"why"`
	Removed    bool         `json:"removed"`
}

// prunedList is the JSON of forgectl backup prune.
type prunedList struct {
	Sets       []prunedSet `json:"sets"`
	Removed    int         `json:"removed"`
	FreedBytes int64       `json:"freed_bytes"`
	DryRun     bool        `json:"dry_run"`
}

func (a *App) prunedSets(plan prune.Plan, done prune.Result) []prunedSet {
	shown := []prunedSet{}
	for _, d := range plan.Decisions {
		for _, k := range done.Kept {
			if k.Set.Ref == d.Set.Ref {
				d = k
			}
		}
		s := d.Set
		shown = append(shown, prunedSet{
			Set: s.Ref.String(), Kind: s.Kind, Database: s.Database, ID: s.ID, Started: s.Began(a.Now()), Bytes: s.Bytes,
			AgeSeconds: int64(a.Now().Sub(s.Began(a.Now())).Seconds()), Keep: d.Keep, Why: d.Reasons,
			Removed: slices.ContainsFunc(done.Removed, func(r catalog.Set) bool { return r.Ref == s.Ref }),
		})
	}
	return shown
}

func (a *App) prunedResult(plan prune.Plan, done prune.Result, dryRun bool) result {
	shown := prunedList{Sets: a.prunedSets(plan, done), Removed: len(done.Removed), FreedBytes: done.Bytes(), DryRun: dryRun}
	remove := plan.Remove()
	return result{JSON: shown, Text: func(s *ui.Streams) error {
		if !dryRun {
			_, err := fmt.Fprintf(s.Out, "%s removed, %d kept\n", countSets(shown.Removed, shown.FreedBytes), len(shown.Sets)-shown.Removed)
			return err
		}
		if err := pruneTable(s, shown.Sets); err != nil || !s.OutTTY {
			return err
		}
		_, err := fmt.Fprintf(s.Out, "%s would be removed: this is a dry run\n", countSets(len(remove), totalBytes(remove)))
		return err
	}}
}

func pruneTable(s *ui.Streams, sets []prunedSet) error {
	t := s.Table(ui.Column{Title: "SET"}, ui.Column{Title: "AGE", Right: true}, ui.Column{Title: "SIZE", Right: true}, ui.Column{Title: "DECISION"}, ui.Column{Title: "WHY"})
	for _, p := range sets {
		decision := s.Good("keep")
		if !p.Keep {
			decision = s.Bad("remove")
		}
		t.Row(p.Set, ui.Age(time.Duration(p.AgeSeconds)*time.Second), ui.Bytes(p.Bytes), decision, strings.Join(p.Why, ", "))
	}
	return t.Flush()
}
