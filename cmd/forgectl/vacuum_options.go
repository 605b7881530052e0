package main

import (
	"context"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/bmad-forge/forgectl/pkg/job"
	"github.com/bmad-forge/forgectl/pkg/postgres/maintain"
	"github.com/bmad-forge/forgectl/pkg/space"
	"github.com/bmad-forge/forgectl/pkg/window"
)

type vacuumOptions struct {
	full, reindex, analyzeOnly bool
	freeze, blocking           bool
	schemas, tables            []string
	ratio                      percent
	rows, xidAge               int64
	size                       byteSize
	stale                      span
	dropLeftovers              bool
	force, dryRun              bool
}

func (o *vacuumOptions) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVar(&o.full, "full", false, "write tables anew, under a lock that keeps everybody out")
	f.BoolVar(&o.reindex, "reindex", false, "rebuild indexes instead")
	f.BoolVar(&o.blocking, "no-concurrently", false, "with --reindex: faster, under a lock that keeps everybody out")
	f.BoolVar(&o.analyzeOnly, "analyze-only", false, "update the statistics for the planner only")
	f.BoolVar(&o.freeze, "freeze", false, "freeze all rows, so that the age of the oldest transaction falls")
	f.StringSliceVar(&o.schemas, "schema", nil, "only tables of the schema `NAME`; repeatable")
	f.StringArrayVar(&o.tables, "table", nil, "only the table `NAME`, as in SQL; repeatable")
	f.Int("jobs", 0, "how many tables at once (default: maintenance.jobs)")
	bindSetting(cmd, "jobs", "maintenance.jobs")
	f.Var(&o.ratio, "min-dead-ratio", "only tables with so many dead rows in a hundred, such as `10%`")
	f.Int64Var(&o.rows, "min-dead-rows", 0, "only tables with so many dead `ROWS`")
	f.Int64Var(&o.xidAge, "min-xid-age", 0, "only tables whose oldest row is so many `TRANSACTIONS` old")
	f.Var(&o.size, "min-size", "only tables of that `SIZE` on disk, such as 10MB")
	f.Var(&o.stale, "stale-analyze", "only tables that changed since they were analyzed, and that is longer than `TIME` ago")
	f.BoolVar(&o.dropLeftovers, "drop-leftovers", false, "with --reindex: also remove the invalid indexes that earlier runs left")
	f.BoolVar(&o.force, "force", false, "lock tables outside of maintenance.window too")
	f.BoolVar(&o.dryRun, "dry-run", false, "show the plan, change nothing")
	for _, flag := range []string{"schema", "table", "jobs", "min-dead-ratio", "min-dead-rows", "min-xid-age", "min-size", "stale-analyze"} {
		complete(cmd, flag, cobra.NoFileCompletions)
	}
}

// check refuses what does not go together.
func (o vacuumOptions) check(app *App) error {
	modes := 0
	for _, set := range []bool{o.full, o.reindex, o.analyzeOnly} {
		if set {
			modes++
		}
	}
	switch {
	case modes > 1:
		return app.misuse("--full, --reindex and --analyze-only: one of them (--full rebuilds the indexes too)")
	case o.blocking && !o.reindex:
		return app.misuse("--no-concurrently is for --reindex")
	case o.dropLeftovers && !o.reindex:
		return app.misuse("--drop-leftovers is for --reindex")
	case o.freeze && (o.reindex || o.analyzeOnly):
		return app.misuse("--freeze is for VACUUM: not with --reindex or --analyze-only")
	case o.rows < 0 || o.xidAge < 0:
		return app.misuse("--min-dead-rows and --min-xid-age must not be negative")
	case o.analyzeOnly && (o.ratio > 0 || o.rows > 0 || o.xidAge > 0):
		return app.misuse("--analyze-only goes with --stale-analyze: dead rows and ages do not change by it")
	case o.stale > 0 && o.reindex:
		return app.misuse("--stale-analyze is not for --reindex: nothing is analyzed by it")
	}
	return nil
}

func (o vacuumOptions) action() maintain.Action {
	switch {
	case o.full:
		return maintain.Full
	case o.reindex:
		return maintain.Reindex
	case o.analyzeOnly:
		return maintain.Analyze
	}
	return maintain.Vacuum
}

// maintenance fills in the options; done ends the display, and may be called again.
func (a *App) maintenance(ctx context.Context, run *job.Run, o vacuumOptions) (options maintain.Options, done func(), err error) {
	endpoint, err := a.MaintenanceEndpoint(ctx)
	if err != nil {
		return options, nil, err
	}
	cfg := a.loaded.Maintenance
	open, err := window.Parse(cfg.Window) // it was read by the configuration already
	if err != nil {
		return options, nil, err
	}
	options = maintain.Options{
		Endpoint: endpoint, Action: o.action(), Freeze: o.freeze, Blocking: o.blocking,
		Schemas: o.schemas, Tables: o.tables, Jobs: cfg.Jobs,
		Need: maintain.Need{
			DeadRatio: float64(o.ratio) / 100, DeadRows: o.rows, XIDAge: o.xidAge,
			Size: int64(o.size), StaleAnalyze: time.Duration(o.stale),
		},
		LockTimeout: cfg.LockTimeout, TransactionWait: cfg.TransactionWait, DropLeftovers: o.dropLeftovers,
		Window: open, Force: o.force, Free: space.FreeBelow, Now: a.Now, Logger: run.Log,
		Confirm: func(ctx context.Context, p maintain.Plan) error { return a.confirmLocks(ctx, p, o.action()) },
	}
	options.Past = func(p maintain.Plan) []maintain.Record { return a.pastVacuums(run, p) }
	done = func() {}
	if a.Streams.ErrTTY && !o.dryRun {
		show := a.Stages()
		options.Progress = show.report
		done = sync.OnceFunc(show.done)
	}
	return options, done, nil
}
