package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/bmad-forge/forgectl/pkg/backup"
	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/job"
)

func newBackupFullCmd(app *App) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "full",
		Short: "Back up database, media and configuration as one recovery point",
		Long: `Backs up the database, then the media, then the configuration files, each as by its own
command and as a set of its own, and then writes a set of kind full that refers to these
three by name and by the hash of their SHA256SUMS, with the release that was live. The
database comes first: whatever file it names was there before the media were read.

What a full set refers to is kept as long as the full set is. A full set is good when all
that it refers to is.

When a part fails, the others are made all the same and stay as sets of their own, but
there is no full set; the worst exit code counts. What is not configured is left out: the
media when media.path is empty, the configuration files when config_files.paths is. A
media.path that is set and does not exist is an error, because it is more likely not
mounted than not there. A release that is deployed meanwhile is a WARNING.

The application may go on running. A file that is deleted between the database's moment
and the end of the media's is missing from the set: forgectl backup verify full/latest
--drill finds it, where media.columns is set.

With backup.prune: auto (the default) each part, and then the full sets, are pruned as by
forgectl backup prune; what a full set that went referred to goes with it, unless it is
kept for itself.

With -o json: {"set", "path", "parts": [what "backup db", "backup media" and "backup
config" print], "without": [], "release", "removed": [], "freed_bytes"}.`,
		Example: `  forgectl backup full
  forgectl backup verify full/latest --drill
  15 2 * * * root /usr/local/bin/forgectl backup full    # in /etc/cron.d`,
		Annotations: operationCodes(),
		Args:        cobra.NoArgs,
		RunE:        func(cmd *cobra.Command, _ []string) error { return app.backupFull(cmd.Context()) },
	}
	databaseFlag(app, cmd)
	jobsFlag(cmd)
	return cmd
}

// fullPart is a part of a full backup: the operation of its own command.
type fullPart struct {
	name    string
	without string // why it is left out; "": it is not
	backup  func() operation
}

// fullParts are the parts in their order.
func (a *App) fullParts(database catalog.Group) []fullPart {
	parts := []fullPart{
		{name: "database", backup: func() operation { return a.backupDatabase(database) }},
		{name: "media", backup: func() operation { return a.backupMedia(mediaFlags{}) }},
		{name: "config", backup: a.backupConfigFiles},
	}
	if a.loaded.Media.Path == "" {
		parts[1].without = "no media: media.path is empty"
	}
	if len(a.loaded.ConfigFiles.Paths) == 0 {
		parts[2].without = "no configuration files: config_files.paths is empty"
	}
	return parts
}

func (a *App) backupFull(ctx context.Context) error {
	database, err := a.databaseGroup()
	if err != nil {
		return err
	}
	var repo *repository
	return a.operate(ctx, operation{
		Spec: job.Spec{Operation: "backup full", Target: database.Database},
		Open: func(ctx context.Context) (_ string, err error) {
			if repo, err = a.Repository(ctx); err != nil {
				return "", err
			}
			return repo.lock(catalog.Group{Kind: catalog.KindFull}.WriteLock())
		},
		Do: func(ctx context.Context, run *job.Run) (result, error) {
			return a.makeFull(ctx, run, repo, database)
		},
	})
}

func (a *App) makeFull(ctx context.Context, run *job.Run, repo *repository, database catalog.Group) (result, error) {
	o := backup.FullOptions{
		Catalog: repo.Catalog, Logger: run.Log,
		Release: func() backup.Release { return backup.FindRelease(a.loaded.App.Root) },
		Hold:    repo.hold,
	}
	if signer, err := a.Signer(ctx); err != nil {
		return result{}, err
	} else if signer != nil {
		o.Signer = signer
	}
	shown := backedUpFull{Parts: []any{}, Without: []string{}}
	var texts []result
	for _, p := range a.fullParts(database) {
		if p.without != "" {
			o.Without = append(o.Without, p.without)
			continue
		}
		o.Parts = append(o.Parts, backup.FullPart{Name: p.name, Backup: func(ctx context.Context) (catalog.Set, error) {
			done, err := a.perform(ctx, p.backup())
			if err != nil {
				return catalog.Set{}, err
			}
			texts = append(texts, done)
			shown.Parts = append(shown.Parts, done.JSON)
			return done.Set, nil
		}})
	}
	shown.Without = append(shown.Without, o.Without...)
	done, err := backup.Full(ctx, o)
	if err != nil {
		return result{}, fullError(err)
	}
	return a.backedUpFull(ctx, run, repo, shown, texts, done), nil
}

// fullError reports each part that failed by itself, and then what that means.
func fullError(err error) error {
	var failed *backup.FullError
	if !errors.As(err, &failed) {
		return fmt.Errorf("back up full: %w", err)
	}
	worst := codeOf(all(failed.Errs...), true)
	return all(append(failed.Errs, withHint(withCode(worst, failed), "mend that, then run it again: forgectl backup full"))...)
}
