package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/job"
	"github.com/bmad-forge/forgectl/pkg/moment"
	"github.com/bmad-forge/forgectl/pkg/restore"
	"github.com/bmad-forge/forgectl/pkg/ui"
)

func newRestoreCmd(app *App) *cobra.Command {
	return newGroup("restore", "Bring backups back, and undo that",
		`A backup is loaded beside what is there, compared, and only then put in its place.
What was there is kept. An old database comes back by itself when the application is not
well with the restored one.`,
		`  forgectl restore db --dry-run
  forgectl restore db latest
  forgectl restore media latest documents/contract.pdf
  forgectl restore undo`,
		newRestoreDBCmd(app), newRestoreMediaCmd(app), newRestoreConfigCmd(app), newRestoreFullCmd(app),
		newRestoreUndoCmd(app), newRestoreDropOldCmd(app), newRestoreResumeCmd(app))
}

// steps shows the steps of an exchange on a terminal, one line each.
type steps struct {
	app      *App
	progress *stages
	start    time.Time
}

// report prints what is done now. What goes wrong is reported anyway, so in cron
// nothing needs to be said.
func (s steps) report(step, detail string) {
	s.progress.done()
	s.app.Logger().Info(step, "detail", detail)
	if s.app.Streams.ErrTTY {
		text := fmt.Sprintf("%s  %-6s %s", ui.Duration(time.Since(s.start).Round(10*time.Millisecond)), step, detail)
		s.app.Streams.Message("", "step", text)
	}
}

// exchangeOptions are what all commands have in common that exchange a live
// database.
func (a *App) exchangeOptions(ctx context.Context, run *job.Run, live string) (restore.Options, steps, error) {
	s := steps{a, a.Stages(), a.Now()}
	host, _ := os.Hostname()
	o := restore.Options{
		Live: live, Intents: a.intents(), Host: host, PID: os.Getpid(), Runner: a.Proc(), Finder: a.Finder(),
		Logger: run.Log, Now: a.Now, Report: s.report, Progress: s.progress.report, Jobs: a.sessions(),
	}
	var err error
	if o.Units, err = a.Units(); err != nil {
		return o, s, err
	}
	o.Gate, o.Swapped = a.Gate(s.report), a.flushSwapped(run, s.report)
	o.Admin, err = a.AdminEndpoint(ctx)
	return o, s, err
}

// chooseFlags are those of every restore of a set: which one, and whether it is only looked at.
func chooseFlags(cmd *cobra.Command, at *string, dryRun *bool) {
	f := cmd.Flags()
	f.StringVar(at, "at", "", "the newest good set at or before this `TIME`: RFC 3339, or local time as in '2026-11-23 12:00'")
	complete(cmd, "at", cobra.NoFileCompletions)
	f.BoolVar(dryRun, "dry-run", false, "check everything, show the plan, change nothing")
}

// parseAt reads --at and says how it was understood.
func (a *App) parseAt(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	at, err := moment.Parse(text, time.Local)
	if err != nil {
		return at, withCode(exitUnknown, fmt.Errorf("--at: %w", err))
	}
	a.Streams.Message("", "at", moment.Format(at, time.Local))
	return at, nil
}

// setToRestore is the set that was named, or the newest good one.
func (a *App) setToRestore(ctx context.Context, repo *repository, run *job.Run, name setName, at time.Time) (catalog.Set, error) {
	if name.id != "" {
		s, err := repo.find(ctx, name)
		if err != nil {
			return s, err
		}
		if good, why := repo.Good(ctx, s); !good && s.Problem == nil {
			run.Warn(fmt.Sprintf("%s is not good: %s", s.Ref, why))
		}
		return s, nil
	}
	s, passed, err := repo.Newest(ctx, name.group, at)
	for _, p := range passed {
		_, why := repo.Good(ctx, p)
		run.Warn(fmt.Sprintf("%s is newer, but not good: %s", p.Ref, why))
	}
	return s, err
}
