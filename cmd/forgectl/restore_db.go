package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/job"
	"github.com/bmad-forge/forgectl/pkg/moment"
	"github.com/bmad-forge/forgectl/pkg/restore"
	"github.com/bmad-forge/forgectl/pkg/ui"
)

type restoreOptions struct {
	name   string // an id, or latest
	at     string
	into   string
	dryRun bool
}

func newRestoreDBCmd(app *App) *cobra.Command {
	var o restoreOptions
	cmd := &cobra.Command{
		Use:   "db [ID|latest] --into NAME",
		Short: "Restore a database beside the live one",
		Long: `Restores a set into a new database, and leaves every existing one as it is. First
everything is checked that can be: the sums of the set, the key, versions, roles,
extensions, space. The database is then loaded under a working name, compared with
what was counted when the backup was taken, analyzed, and only when all is well gets
its name, owner, privileges and settings. When anything fails it is dropped again.

"latest" (the default) is the newest good set; a newer one that is not good is a
WARNING. --at takes the newest good set that was started at or before a time. An ID
alone is a set of the configured database; DATABASE/ID names any. The connection is
database.admin_url.

With -o json: {"set", "server", "database", "owner", "bytes", "rows", "stages":
[{"name", "seconds"}], "seconds", "dry_run"}.`,
		Example: `  forgectl restore db --into bmad_forge_rescue
  forgectl restore db 20261123T020000Z --into check --dry-run
  forgectl restore db --at '2026-11-23 12:00' --into before_noon`,
		Annotations:       operationCodes(),
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: app.completeSets,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.name = append(args, latest)[0]
			switch {
			case o.into == "":
				return app.misuse("--into NAME is missing: the new database to restore into")
			case o.at != "" && len(args) > 0:
				return app.misuse("--at and a set were given: which is it?")
			}
			return app.restoreDatabase(cmd.Context(), o)
		},
	}
	databaseFlag(app, cmd)
	f := cmd.Flags()
	f.StringVar(&o.into, "into", "", "the new database `NAME`")
	complete(cmd, "into", cobra.NoFileCompletions)
	f.StringVar(&o.at, "at", "", "the newest good set at or before this `TIME`: RFC 3339, or local time as in '2026-11-23 12:00'")
	complete(cmd, "at", cobra.NoFileCompletions)
	f.BoolVar(&o.dryRun, "dry-run", false, "check everything and change nothing")
	return cmd
}

func (a *App) restoreDatabase(ctx context.Context, o restoreOptions) error {
	group, err := a.databaseGroup()
	if err != nil {
		return err
	}
	var at time.Time
	if o.at != "" {
		if at, err = moment.Parse(o.at, time.Local); err != nil {
			return fmt.Errorf("--at: %w", err)
		}
		a.Streams.Message("", "at", moment.Format(at, time.Local))
	}
	var repo *repository
	return a.operate(ctx, operation{
		Spec:  job.Spec{Operation: "restore db", Target: o.into, Shared: true},
		Check: o.dryRun,
		Open: func(ctx context.Context) (string, error) {
			if repo, err = a.Repository(ctx); err != nil {
				return "", err
			}
			return repo.useLock(group)
		},
		Do: func(ctx context.Context, run *job.Run) (result, error) {
			options, err := a.restoreOptions(ctx, repo, run, o, at)
			if err != nil {
				return result{}, fmt.Errorf("restore: %w", err)
			}
			progress := a.Stages()
			defer progress.done()
			options.Progress = progress.report
			do := restore.Into
			if o.dryRun {
				do = func(ctx context.Context, o restore.Options) (restore.Result, error) {
					plan, err := restore.PlanInto(ctx, o)
					return restore.Result{Plan: plan}, err
				}
			}
			done, err := do(ctx, options)
			if err != nil {
				return result{}, fmt.Errorf("restore %s into %s: %w", options.Set.Ref, o.into, err)
			}
			progress.done()
			return restored(run, options.Set, done, o.dryRun), nil
		},
	})
}

func (a *App) restoreOptions(ctx context.Context, repo *repository, run *job.Run, o restoreOptions, at time.Time) (restore.Options, error) {
	options := restore.Options{Catalog: repo.Catalog, Finder: a.Finder(), Runner: a.Proc(), Into: o.into, Logger: run.Log, Now: a.Now}
	var err error
	if options.Set, err = a.setToRestore(ctx, repo, run, o.name, at); err != nil {
		return options, err
	}
	if options.Unlock, err = a.Unlocker(); err != nil {
		return options, err
	}
	options.Admin, err = a.AdminEndpoint(ctx)
	return options, err
}

// setToRestore is the set that was named, or the newest good one.
func (a *App) setToRestore(ctx context.Context, repo *repository, run *job.Run, name string, at time.Time) (catalog.Set, error) {
	if name != latest {
		s, err := a.namedSet(ctx, repo, name)
		if good, why := s.Good(); err == nil && !good && s.Problem == nil {
			run.Warn(fmt.Sprintf("%s is not good: %s", s.Ref, why))
		}
		return s, err
	}
	group, err := a.databaseGroup()
	if err != nil {
		return catalog.Set{}, err
	}
	s, passed, err := repo.Newest(ctx, group, at)
	for _, p := range passed {
		_, why := p.Good()
		run.Warn(fmt.Sprintf("%s is newer, but not good: %s", p.Ref, why))
	}
	return s, err
}

// restoredDatabase is the JSON of forgectl restore db --into.
type restoredDatabase struct {
	Set      string          `json:"set"`
	Server   string          `json:"server"`
	Database string          `json:"database"`
	Owner    string          `json:"owner"`
	Bytes    int64           `json:"bytes"`
	Rows     int64           `json:"rows"`
	Stages   []catalog.Stage `json:"stages"`
	Seconds  float64         `json:"seconds"`
	DryRun   bool            `json:"dry_run"`
}

func restored(run *job.Run, set catalog.Set, done restore.Result, dryRun bool) result {
	shown := restoredDatabase{
		Set: set.Ref.String(), Server: done.Server, Database: done.Into, Owner: done.Owner, Bytes: done.Bytes,
		Rows: set.Manifest.Fingerprint.Rows(), Stages: append([]catalog.Stage{}, done.Stages...), DryRun: dryRun,
	}
	for _, stage := range done.Stages {
		shown.Seconds += stage.Seconds
	}
	for _, w := range done.Warnings {
		run.Warn(w)
	}
	run.Fact("set", shown.Set)
	return result{JSON: shown, Text: func(s *ui.Streams) error {
		if dryRun {
			return restorePlan(s, shown, done, set.Manifest.Fingerprint)
		}
		_, err := fmt.Fprintf(s.Out, "%s  is ready: %s, compared; owner %s\n%s\n", s.Bold(ui.Printable(shown.Database)), contents(set.Manifest.Fingerprint),
			ui.Printable(shown.Owner), s.Faint("from "+shown.Set+": "+stageTimes(shown.Stages)))
		return err
	}}
}

func restorePlan(s *ui.Streams, shown restoredDatabase, done restore.Result, f *catalog.Fingerprint) error {
	t := s.Table(ui.Column{Title: "PLAN"}, ui.Column{Title: "VALUE"})
	t.Row("set", shown.Set+", sums checked")
	t.Row("server", done.Server+", PostgreSQL "+done.Version.String())
	t.Row("new database", shown.Database+", owner "+shown.Owner+", loaded as "+done.Working)
	space := "unknown on the server: look for yourself"
	if done.Free >= 0 {
		space = ui.Bytes(done.Free) + " free on the server"
	}
	t.Row("space", "about "+ui.Bytes(done.Bytes)+" needed, "+space)
	t.Row("then", "compared with "+contents(f)+", analyzed, renamed")
	t.Row("changes now", "none: this is a dry run")
	return t.Flush()
}
