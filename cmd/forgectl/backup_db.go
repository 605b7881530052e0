package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/bmad-forge/forgectl/pkg/backup"
	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/config"
	"github.com/bmad-forge/forgectl/pkg/job"
	"github.com/bmad-forge/forgectl/pkg/postgres/cutover"
)

func newBackupDBCmd(app *App) *cobra.Command {
	var every bool
	cmd := &cobra.Command{
		Use:   "db",
		Short: "Back up a database",
		Long: `Writes a set of the database at one moment: every table is locked against changes
of its structure (reading and writing go on), a snapshot is taken, and everything
is dumped from it, compressed, sealed to the recipients of backup.encrypt and
hashed in one stream. What was written is then read back. Only when all of that
went well the set appears in the repository; a run that fails leaves nothing.
The database is not changed. No plain text is written when there are recipients.

The set is incomplete, which is a WARNING, when PostgreSQL left something out that
the role may not see. A table that the role cannot read is an error, with the SQL
that mends it.

With backup.encrypt.sign_key_file the set is signed. The key is tried before anything
is dumped, and one that cannot sign is refused.

A set that holds much less than the last good ones (guard.shrink) is suspect, which is a
WARNING: it is kept and listed, but not good, and nothing is removed until somebody has
looked, and accepts it with forgectl backup accept.

With backup.prune: auto (the default) the sets of the database that backup.keep no
longer wants are removed then, as by forgectl backup prune. Trouble there is a WARNING:
the backup is good.

--all backs up each database of the server that can be connected to, except
templates and what restores left, one after the other; the worst exit code counts.

With -o json: {"set", "path", "bytes", "raw_bytes", "tables", "rows", "sealed_to",
"signed_by", "incomplete", "suspect", "stages": [{"name", "seconds"}], "removed": [],
"freed_bytes"}, where "suspect" is the reason or ""; with --all {"sets": [SET]}.`,
		Example: `  forgectl backup db
  forgectl backup db --database other --fingerprint full
  15 2 * * * bmad-forge /usr/local/bin/forgectl backup db    # in /etc/cron.d`,
		Annotations: operationCodes(),
		Args:        cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case every && cmd.Flags().Changed("database"):
				return app.misuse("--all and --database were given: which is it?")
			case every:
				return app.backupEvery(cmd.Context())
			}
			return app.backupConfigured(cmd.Context())
		},
	}
	databaseFlag(app, cmd)
	jobsFlag(cmd)
	cmd.Flags().BoolVar(&every, "all", false, "every database of the server, one set each")
	levels := []string{config.FingerprintNone, config.FingerprintCounts, config.FingerprintFull}
	fingerprint := choice{of: levels}
	cmd.Flags().Var(&fingerprint, "fingerprint", "record of each table nothing, its rows, or also a hash over them (default: backup.fingerprint)")
	bindSetting(cmd, "fingerprint", "backup.fingerprint")
	complete(cmd, "fingerprint", cobra.FixedCompletions(levels, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (a *App) backupConfigured(ctx context.Context) error {
	group, err := a.databaseGroup()
	if err != nil {
		return err
	}
	return a.operate(ctx, a.backupDatabase(group))
}

// backupEvery backs up one database after the other. What is wrong with one
// does not keep it from the others; the end of the context does.
func (a *App) backupEvery(ctx context.Context) error {
	endpoint, err := a.BackupEndpoint(ctx)
	if err != nil {
		return err
	}
	names, err := cutover.Databases(ctx, endpoint)
	if err != nil {
		return err
	}
	var done []result
	var errs []error
	for _, name := range names {
		one, err := a.perform(ctx, a.backupDatabase(catalog.Group{Kind: catalog.KindDatabase, Database: name}))
		if errs = append(errs, err); err == nil {
			done = append(done, one)
		}
		if ctx.Err() != nil {
			break
		}
	}
	return all(append(errs, a.showSummary(together("sets", done)))...)
}

// backupDatabase is the backup of one database.
func (a *App) backupDatabase(group catalog.Group) operation {
	spec := job.Spec{Operation: "backup db", Target: group.Database}
	return a.writeSet(spec, group, func(ctx context.Context, run *job.Run, repo *repository, to backup.SetOptions) (func() result, error) {
		o, err := a.backupOptions(ctx, to, group.Database)
		if err != nil {
			return nil, err
		}
		done, err := backup.Database(ctx, o)
		if err != nil {
			return nil, fmt.Errorf("back up %s: %w", group, err)
		}
		return func() result { return a.backedUp(ctx, run, repo, done) }, nil
	})
}

func (a *App) backupOptions(ctx context.Context, to backup.SetOptions, database string) (backup.DatabaseOptions, error) {
	cfg := a.loaded
	o := backup.DatabaseOptions{
		SetOptions: to, Finder: a.Finder(), Runner: a.Proc(),
		Fingerprint:   cfg.Backup.Fingerprint,
		LockTimeout:   cfg.Backup.LockTimeout,
		Jobs:          a.sessions(),
		Split:         cfg.Backup.Split,
		RolePasswords: cfg.Backup.RolePasswords,
	}
	var err error
	if o.Sealing, err = a.packing(ctx); err != nil {
		return o, err
	}
	if o.Endpoint, err = a.BackupEndpoint(ctx); err == nil {
		o.Endpoint = o.Endpoint.WithDatabase(database)
	}
	return o, err
}
