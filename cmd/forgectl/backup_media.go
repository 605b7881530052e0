package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bmad-forge/forgectl/pkg/backup"
	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/job"
	"github.com/bmad-forge/forgectl/pkg/media"
	"github.com/bmad-forge/forgectl/pkg/prune"
	"github.com/bmad-forge/forgectl/pkg/ui"
)

// mediaFlags are what can be said of one backup of the media.
type mediaFlags struct {
	checksum, copy, dryRun bool
}

func newBackupMediaCmd(app *App) *cobra.Command {
	var o mediaFlags
	cmd := &cobra.Command{
		Use:   "media",
		Short: "Back up the uploaded files",
		Long: `Writes a set of the directory media.path as it is, below media/ID/tree in the
repository. A file that has not changed since the newest whole set is the same file
there, by a hard link, and takes no room; every set is complete by itself, and any of
them can be removed. The directory is only read; nothing in it is changed.

Not changed means: size, time of change, time of the last change of its metadata, and
inode are those of the last run. --checksum also reads each file and compares its content.
Changed files are copied and hashed. Names, modes, owners, times to the nanosecond,
extended attributes, access lists, symbolic links, hard links, empty directories and holes
are kept; owners only as root, but the index always has them. Pipes, sockets and devices
are listed, not copied. What is mounted below the directory belongs to it.

A file that changes while it is copied is copied again, three times in all; if it goes on
changing, it is named in a WARNING. What cannot be read makes the set incomplete, which is
a WARNING too. Patterns of media.exclude are left out, as in .gitignore.

The files of a set are neither packed nor sealed. forgectl backup verify compares them
with the index, which has a hash of each.

The repository must be on a file system with hard links. --copy does without: then every
set holds every file.

A set that holds much less than the last good ones (guard.shrink, for files and bytes) is
suspect, and with backup.prune: auto old sets are removed, both as for forgectl backup db.

--dry-run says what would be copied, and writes nothing.

With -o json: {"set", "path", "previous", "files", "directories", "links", "bytes",
"linked_files", "copied_files", "copied_bytes", "excluded", "vanished", "signed_by",
"incomplete", "suspect", "stages": [{"name", "seconds"}], "removed": [], "freed_bytes"},
where "previous" is the set whose files it shares or "", and "suspect" the reason or "";
with --dry-run only what stands from "previous" to "excluded".`,
		Example: `  forgectl backup media
  forgectl backup media --dry-run
  25 2 * * * bmad-forge /usr/local/bin/forgectl backup media    # in /etc/cron.d`,
		Annotations: operationCodes(),
		Args:        cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := app.Config()
			switch {
			case err != nil:
				return err
			case cfg.Media.Path == "":
				return withHint(unknown("media.path is empty: there is nothing to back up"), "forgectl config show media.path")
			case o.dryRun:
				return app.tryMedia(cmd.Context(), o)
			}
			return app.operate(cmd.Context(), app.backupMedia(o))
		},
	}
	jobsFlag(cmd)
	cmd.Flags().BoolVar(&o.checksum, "checksum", false, "read every file and compare its content")
	cmd.Flags().BoolVar(&o.copy, "copy", false, "copy every file where the repository has no hard links")
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "say what would be copied, write nothing")
	return cmd
}

// backupMedia is the backup of the media directory. The configuration has been loaded.
func (a *App) backupMedia(flags mediaFlags) operation {
	group := catalog.Group{Kind: catalog.KindMedia}
	var repo *repository
	return operation{
		Spec: job.Spec{Operation: "backup media", Target: a.loaded.Media.Path},
		Open: func(ctx context.Context) (_ string, err error) {
			if repo, err = a.Repository(ctx); err != nil {
				return "", err
			}
			return repo.lock(group.WriteLock())
		},
		Do: func(ctx context.Context, run *job.Run) (result, error) {
			o, err := a.mediaBackup(ctx, repo, flags)
			if err != nil {
				return result{}, err
			}
			o.Logger = run.Log
			progress := a.Stages()
			defer progress.done()
			o.Progress = progress.report
			done, err := backup.Media(ctx, o)
			if err != nil {
				return result{}, a.mediaError(err)
			}
			progress.done()
			return a.backedUpMedia(repo, run, done, func() prune.Result { return a.pruneAfter(ctx, run, repo, done.Set) }), nil
		},
	}
}

func (a *App) mediaError(err error) error {
	err = fmt.Errorf("back up media: %w", err)
	var path *fs.PathError
	if errors.As(err, &path) && path.Path == a.loaded.Media.Path && errors.Is(err, fs.ErrNotExist) {
		return withHint(withCode(exitUnknown, err), "forgectl config show media.path")
	}
	return err
}

func (a *App) mediaBackup(ctx context.Context, repo *repository, flags mediaFlags) (backup.MediaOptions, error) {
	cfg := a.loaded
	o := backup.MediaOptions{
		Source: cfg.Media.Path, Catalog: repo.Catalog, Free: repo.free,
		Checksum: flags.checksum, Copy: flags.copy, Jobs: a.sessions(),
		Level:   compression(cfg),
		Release: backup.FindRelease(cfg.App.Root),
		Shrink:  cfg.Guard.Shrink,
	}
	var err error
	if o.Exclude, err = media.ParsePatterns(cfg.Media.Exclude); err != nil {
		return o, fmt.Errorf("media.exclude: %w", err)
	}
	if signer, err := a.Signer(ctx); err != nil {
		return o, err
	} else if signer != nil {
		o.Signer = signer
	}
	return o, nil
}

// tryMedia says what a backup would do.
func (a *App) tryMedia(ctx context.Context, flags mediaFlags) error {
	repo, err := a.Repository(ctx)
	if err != nil {
		return err
	}
	o, err := a.mediaBackup(ctx, repo, flags)
	if err != nil {
		return err
	}
	o.Logger = a.Logger()
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
	return fmt.Sprintf("%s, %s, in %s", count(s.Files, "file", "files"), ui.Bytes(s.Bytes), count(s.Directories, "directory", "directories"))
}

func (s sharedMedia) new() string {
	text := fmt.Sprintf("%s, %s", count(s.CopiedFiles, "file", "files"), ui.Bytes(s.CopiedBytes))
	if s.Previous != "" {
		text += fmt.Sprintf("; shared with %s: %s", ui.Printable(s.Previous), count(s.LinkedFiles, "file", "files"))
	}
	return text
}

func count(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return ui.Count(n) + " " + many
}

// backedUpMediaSet is the JSON of forgectl backup media.
type backedUpMediaSet struct {
	Set  string `json:"set"`
	Path string `json:"path"`
	sharedMedia
	Vanished   int64           `json:"vanished"`
	SignedBy   string          `json:"signed_by,omitempty"`
	Incomplete []string        `json:"incomplete"`
	Suspect    string          `json:"suspect"`
	Stages     []catalog.Stage `json:"stages"`
	Removed    []string        `json:"removed"`
	FreedBytes int64           `json:"freed_bytes"`
}

func (a *App) backedUpMedia(repo *repository, run *job.Run, done backup.MediaResult, pruneAfter func() prune.Result) result {
	m := done.Set.Manifest
	path, _ := repo.Location(done.Set.Ref)
	shown := backedUpMediaSet{
		Set: done.Set.Ref.String(), Path: path, sharedMedia: mediaShares(done), Vanished: done.Report.Vanished,
		Incomplete: append([]string{}, m.Incomplete...), Stages: done.Stages,
	}
	if m.Signature != nil {
		shown.SignedBy = m.Signature.Fingerprint
	}
	run.Fact("set", shown.Set)
	run.Fact("files", shown.Files)
	run.Fact("bytes", shown.Bytes)
	run.Fact("copied_bytes", shown.CopiedBytes)
	for _, removed := range done.Removed {
		run.Log.Info("removed what a dead run left", "set", removed)
	}
	for _, w := range done.Warnings {
		run.Warn(shown.Set + ": " + w)
	}
	for _, reason := range m.Incomplete {
		run.Warn(shown.Set + " is incomplete: " + reason)
	}
	if k := done.Set.Suspicion(); k != nil {
		shown.Suspect = k.Reason
		run.Warn(fmt.Sprintf("%s is suspect: %s; %s", shown.Set, k.Reason, acceptHint(done.Set.Ref)))
	}
	pruned := pruneAfter()
	shown.Removed, shown.FreedBytes = setNames(pruned.Removed), pruned.Bytes()
	return result{Set: done.Set, JSON: shown, Text: func(s *ui.Streams) error {
		_, err := fmt.Fprintf(s.Out, "%s  %s\ncopied: %s\n%s\n", s.Bold(ui.Printable(shown.Set)), shown.sharedMedia, shown.new(),
			s.Faint(stageTimes(shown.Stages)+"; prove it: forgectl backup verify "+shellWord(shown.Set)))
		if n := len(shown.Removed); err == nil && n > 0 {
			_, err = fmt.Fprintf(s.Out, "removed, as backup.keep says: %s: %s\n", countSets(n, 0), ui.Printable(strings.Join(shown.Removed, ", ")))
		}
		return err
	}}
}
