package main

import (
	"context"
	"fmt"

	"github.com/bmad-forge/forgectl/pkg/backup"
	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/ui"
)

// tryMedia says what a backup would do.
func (a *App) tryMedia(ctx context.Context, flags mediaFlags) error {
	repo, err := a.Repository(ctx)
	if err != nil {
		return err
	}
	to, err := a.setOptions(ctx, repo)
	if err != nil {
		return err
	}
	to.Logger = a.Logger()
	o, err := a.mediaBackup(to, flags)
	if err != nil {
		return err
	}
	done, err := backup.MediaTrial(ctx, o)
	if err != nil {
		return a.mediaError(err)
	}
	for _, w := range done.Warnings {
		a.warn(w)
	}
	for _, path := range done.Report.Unreadable.First {
		a.warn("cannot be read: " + path)
	}
	shown := mediaShares(done)
	return a.show(result{JSON: shown, Text: func(s *ui.Streams) error {
		_, err := fmt.Fprintf(s.Out, "%s\nto copy: %s\n", shown, shown.new())
		return err
	}})
}

// sharedMedia is how much a set of media holds, and how much of it is new.
type sharedMedia struct {
	Previous    string `json:"previous"`
	Files       int64  `json:"files"`
	Directories int64  `json:"directories"`
	Links       int64  `json:"links"`
	Bytes       int64  `json:"bytes"`
	LinkedFiles int64  `json:"linked_files"`
	CopiedFiles int64  `json:"copied_files"`
	CopiedBytes int64  `json:"copied_bytes"`
	Excluded    int64  `json:"excluded"`
}

func mediaShares(done backup.MediaResult) sharedMedia {
	r := done.Report
	s := sharedMedia{
		Files: r.Files, Directories: r.Dirs, Links: r.Symlinks, Bytes: r.Bytes,
		LinkedFiles: r.Linked, CopiedFiles: r.Copied, CopiedBytes: r.CopiedBytes, Excluded: r.Excluded,
	}
	if done.Previous != (catalog.Ref{}) {
		s.Previous = done.Previous.String()
	}
	return s
}

func (s sharedMedia) String() string {
	return fmt.Sprintf("%s, %s, in %s", things(int(s.Files), "file"), ui.Bytes(s.Bytes), things(int(s.Directories), "directory"))
}

func (s sharedMedia) new() string {
	text := fmt.Sprintf("%s, %s", things(int(s.CopiedFiles), "file"), ui.Bytes(s.CopiedBytes))
	if s.Previous != "" {
		text += fmt.Sprintf("; shared with %s: %s", ui.Printable(s.Previous), things(int(s.LinkedFiles), "file"))
	}
	return text
}
