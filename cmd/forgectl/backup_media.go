package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/bmad-forge/forgectl/pkg/backup"
	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/job"
	"github.com/bmad-forge/forgectl/pkg/media"
	"github.com/bmad-forge/forgectl/pkg/proc"
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
are kept; owners only as root, and what else the repository cannot hold is said; the index
always has it, and a restore gives it back. Pipes, sockets and devices
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
"linked_files", "copied_files", "copied_bytes", "excluded", "vanished", "owners_not_set",
"attributes_not_set", "signed_by", "incomplete", "suspect", "stages": [{"name",
"seconds"}], "removed": [], "freed_bytes"},
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
	spec := job.Spec{Operation: "backup media", Target: a.loaded.Media.Path}
	return a.writeSet(spec, catalog.Group{Kind: catalog.KindMedia}, func(ctx context.Context, run *job.Run, repo *repository, to backup.SetOptions) (func() result, error) {
		o, err := a.mediaBackup(to, flags)
		if err != nil {
			return nil, err
		}
		done, err := backup.Media(ctx, o)
		if err != nil {
			return nil, a.mediaError(err)
		}
		return func() result { return a.backedUpMedia(ctx, run, repo, done) }, nil
	})
}

func (a *App) mediaError(err error) error {
	err = fmt.Errorf("back up media: %w", err)
	var path *fs.PathError
	if errors.As(err, &path) && path.Path == a.loaded.Media.Path && errors.Is(err, fs.ErrNotExist) {
		return withHint(withCode(exitUnknown, err), "forgectl config show media.path")
	}
	return err
}

func (a *App) mediaBackup(to backup.SetOptions, flags mediaFlags) (o backup.MediaOptions, err error) {
	cfg := a.loaded
	o = backup.MediaOptions{
		SetOptions: to, Source: cfg.Media.Path, Checksum: flags.checksum, Copy: flags.copy, Jobs: a.sessions(), Level: compression(cfg),
	}
	if o.Exclude, err = media.ParsePatterns(cfg.Media.Exclude); err != nil {
		err = fmt.Errorf("media.exclude: %w", err)
	}
	return o, err
}

// backedUpMediaSet is the JSON of forgectl backup media.
type backedUpMediaSet struct {
	Set  string `json:"set"`
	Path string `json:"path"`
	sharedMedia
	Vanished   int64           `json:"vanished"`
	Unowned    int64           `json:"owners_not_set"`
	Unmarked   int64           `json:"attributes_not_set"`
	SignedBy   string          `json:"signed_by,omitempty"`
	Incomplete []string        `json:"incomplete"`
	Suspect    string          `json:"suspect"`
	Stages     []catalog.Stage `json:"stages"`
	Removed    []string        `json:"removed"`
	FreedBytes int64           `json:"freed_bytes"`
}

func (a *App) backedUpMedia(ctx context.Context, run *job.Run, repo *repository, done backup.MediaResult) result {
	path, _ := repo.Location(done.Set.Ref)
	shown := backedUpMediaSet{
		Set: done.Set.Ref.String(), Path: path, sharedMedia: mediaShares(done), Vanished: done.Report.Vanished,
		Unowned: done.Report.Unkept.Owners.Count, Unmarked: done.Report.Unkept.Xattrs.Count,
		Incomplete: append([]string{}, done.Set.Manifest.Incomplete...), Stages: done.Stages,
	}
	run.Fact("set", shown.Set)
	run.Fact("files", shown.Files)
	run.Fact("bytes", shown.Bytes)
	run.Fact("copied_bytes", shown.CopiedBytes)
	after := a.conclude(ctx, run, repo, done.Result, shown.Incomplete)
	shown.SignedBy, shown.Suspect, shown.Removed, shown.FreedBytes = after.SignedBy, after.Suspect, after.Removed, after.FreedBytes
	return result{Set: done.Set, JSON: shown, Text: func(s *ui.Streams) error {
		_, err := fmt.Fprintf(s.Out, "%s  %s\ncopied: %s\n%s%s\n", s.Bold(ui.Printable(shown.Set)), shown.sharedMedia, shown.new(), unkeptMedia(done.Report.Unkept),
			s.Faint(stageTimes(shown.Stages)+"; prove it: forgectl backup verify "+proc.ShellWord(shown.Set)))
		return cmp.Or(err, after.pruned(s.Out, 0))
	}}
}

// unkeptMedia says what of the copied files only the index has, a line each; "" is nothing.
func unkeptMedia(u media.Unkept) string {
	var text string
	if n := u.Owners; n.Count > 0 {
		text = fmt.Sprintf("only in the index: the owner or group of %s, the first is %s; only root can set it\n", things(int(n.Count), "path"), media.Quote(n.First))
	}
	if n := u.Xattrs; n.Count > 0 {
		text += fmt.Sprintf("only in the index: %s, the first of %s; not permitted, or not known to the file system of the repository\n",
			things(int(n.Count), "extended attribute"), media.Quote(n.First))
	}
	return text
}
