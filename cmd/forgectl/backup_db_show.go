package main

import (
	"cmp"
	"context"
	"fmt"

	"github.com/bmad-forge/forgectl/pkg/backup"
	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/job"
	"github.com/bmad-forge/forgectl/pkg/ui"
)

// backedUpSet is the JSON of forgectl backup db.
type backedUpSet struct {
	Set        string          `json:"set"`
	Path       string          `json:"path"`
	Bytes      int64           `json:"bytes"`
	RawBytes   int64           `json:"raw_bytes"`
	Tables     int             `json:"tables"`
	Rows       int64           `json:"rows"`
	SealedTo   []string        `json:"sealed_to"`
	SignedBy   string          `json:"signed_by,omitempty"`
	Incomplete []string        `json:"incomplete"`
	Suspect    string          `json:"suspect"`
	Stages     []catalog.Stage `json:"stages"`
	Removed    []string        `json:"removed"`
	FreedBytes int64           `json:"freed_bytes"`
}

func (a *App) backedUp(ctx context.Context, run *job.Run, repo *repository, done backup.Result) result {
	m := done.Set.Manifest
	path, _ := repo.Location(done.Set.Ref)
	shown := backedUpSet{
		Set: done.Set.Ref.String(), Path: path, Bytes: done.Set.Bytes, RawBytes: m.RawBytes(),
		Tables: m.Fingerprint.TableCount(), Rows: m.Fingerprint.Rows(), SealedTo: m.Encryption.Names(),
		Incomplete: append([]string{}, m.Incomplete...), Stages: done.Stages,
	}
	run.Fact("set", shown.Set)
	run.Fact("bytes", shown.Bytes)
	run.Fact("rows", shown.Rows)
	after := a.conclude(ctx, run, repo, done, shown.Incomplete)
	shown.SignedBy, shown.Suspect, shown.Removed, shown.FreedBytes = after.SignedBy, after.Suspect, after.Removed, after.FreedBytes
	return result{Set: done.Set, JSON: shown, Text: func(s *ui.Streams) error {
		_, err := fmt.Fprintf(s.Out, "%s  %s, %s\n%s\n%s\n", s.Bold(ui.Printable(shown.Set)), sizes(shown.Bytes, shown.RawBytes), after.sealed(shown.SealedTo),
			contents(m.Fingerprint), s.Faint(stageTimes(shown.Stages)+"; prove it: forgectl backup verify --drill"))
		return cmp.Or(err, after.pruned(s.Out, shown.FreedBytes))
	}}
}
