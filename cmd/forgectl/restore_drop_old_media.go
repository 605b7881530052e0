package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/bmad-forge/forgectl/pkg/job"
	"github.com/bmad-forge/forgectl/pkg/restore"
	"github.com/bmad-forge/forgectl/pkg/ui"
)

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
		if err := a.confirmPlan(ctx, droppedFilesResult(shown, true).Text, "Remove "+things(len(kept), "directory")+" for good? There is no undo.", filepath.Base(live)); err != nil {
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

// openMediaError is that an interrupted restore of files stands in the way.
func openMediaError(live string, open *restore.Intent, err error) error {
	if err == nil {
		err = &restore.OpenError{Live: live, Since: open.Started, Media: true}
	}
	return err
}
