package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/job"
	"github.com/bmad-forge/forgectl/pkg/postgres/maintain"
	"github.com/bmad-forge/forgectl/pkg/ui"
)

func newVacuumCmd(app *App) *cobra.Command {
	var o vacuumOptions
	cmd := &cobra.Command{
		Use:   "vacuum",
		Short: "Vacuum, analyze or reindex what needs it",
		Long: `Vacuums and analyzes the tables of the database, the largest first, without being in
the application's way: a table that somebody holds a lock on is left, tried once more
at the end, and named. What the role may not do is named with the statement that mends
it. The connection is database.maintenance_url.

--analyze-only updates the statistics and nothing else. --freeze also moves the age of
the oldest transaction as far as it goes. --reindex rebuilds the indexes instead, one
table after the other and without locks; a rebuilding that fails removes its invalid
index, and --drop-leftovers those of earlier ones. --full writes tables anew and gives
what they waste back to the disk.

--full, and --reindex with --no-concurrently, lock each table while it is in work. They
show for how long that will probably be, run only within maintenance.window (or with
--force), stop when it ends, and have to be confirmed by the name of the database (or
--yes). A table for whose copy the disk has no room is left.

All tables are done, or those of --schema and --table (repeatable; of a partitioned
table all partitions). --min-dead-ratio and --min-dead-rows (both, where both are
given), --min-xid-age and --stale-analyze choose those that need it; each is reason
enough, and for --stale-analyze alone a table is only analyzed. For --full and --reindex
the ratio is that of space which is estimated to be wasted. --min-size leaves out
smaller ones. --dry-run prints the plan; how long a table takes is known from earlier
runs. The gain is an estimate, with "≥" where a part of it is not known: of a GIN index
nothing but its free pages can be counted, and a new one is often much smaller than that.

With -o json: {"database", "action", "tables": [{"table", "action", "reasons", "bytes",
"dead_rows", "xid_age", "gain_bytes", "gain_least_bytes", "gain_why", "gain_reusable",
"estimated_seconds", "estimated_from", "locked", "outcome", "why", "remedy", "seconds",
"bytes_after", "reclaimed_bytes", "dead_rows_after", "xid_age_after", "warnings"}],
"left": [{"table", "why", "remedy"}], "leftovers": [{"index", "table", "bytes", "sql",
"dropped"}], "xid_age", "xid_age_after", "reclaimed_bytes", "free_bytes", "window_until",
"seconds", "dry_run"}; what is not known is null.`,
		Example: `  forgectl vacuum --dry-run
  forgectl vacuum --min-dead-ratio 10% --min-dead-rows 1000 --stale-analyze 7d
  forgectl vacuum --freeze --min-xid-age 150000000 --jobs 2
  forgectl vacuum --reindex --min-dead-ratio 30% --min-size 10MB
  forgectl vacuum --full --table forge_document`,
		Annotations: operationCodes(),
		Args:        cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.check(app); err != nil {
				return err
			}
			return app.vacuum(cmd.Context(), o)
		},
	}
	databaseFlag(app, cmd)
	o.flags(cmd)
	return cmd
}

func (a *App) vacuum(ctx context.Context, o vacuumOptions) error {
	group, err := a.databaseGroup()
	if err != nil {
		return err
	}
	return a.operate(ctx, operation{
		Spec:  job.Spec{Operation: "vacuum", Target: group.Database},
		Check: o.dryRun,
		Open: func(context.Context) (string, error) {
			if o.dryRun {
				return "", nil
			}
			return a.stateLock("vacuum-" + catalog.EscapeName(group.Database))
		},
		Do: func(ctx context.Context, run *job.Run) (result, error) {
			options, done, err := a.maintenance(ctx, run, o)
			if err != nil {
				return result{}, err
			}
			defer done()
			if o.dryRun {
				plan, err := maintain.MakePlan(ctx, options)
				if err != nil {
					return result{}, vacuumError(group.Database, err)
				}
				for _, w := range plan.Warnings() {
					run.Warn(w)
				}
				return planned(plan, o.action()), nil
			}
			outcome, err := maintain.Run(ctx, options)
			done()
			a.noteVacuum(ctx, run, outcome)
			if len(outcome.Tables) == 0 && err != nil {
				return result{}, vacuumError(group.Database, err)
			}
			return vacuumed(outcome, o.action()), vacuumError(group.Database, err)
		},
	})
}

func vacuumError(database string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("vacuum %s: %w", database, err)
}

// noteVacuum tells the record, and whoever reads warnings.
func (a *App) noteVacuum(ctx context.Context, run *job.Run, r maintain.Result) {
	for _, w := range r.Warnings() {
		run.Warn(w)
	}
	if !r.Plan.Drop && r.Plan.Rebuilds() {
		for _, l := range r.Plan.Leftovers {
			run.Warn(fmt.Sprintf("%s of %s is an invalid index that an earlier run left\nforgectl vacuum --reindex --drop-leftovers, or: %s;", l.Index, l.Of, l.SQL()))
		}
	}
	run.Fact("tables", r.Count(maintain.Done))
	run.Fact("reclaimed_bytes", r.Reclaimed)
	run.Fact("xid_age", r.Ages.XID)
	a.rememberVacuum(ctx, run, r)
}

// confirmLocks shows what will be locked, and asks.
func (a *App) confirmLocks(ctx context.Context, p maintain.Plan, action maintain.Action) error {
	if a.Streams.OutTTY && a.flags.output.value != outputJSON {
		if err := planned(p, action).Text(a.Streams); err != nil {
			return err
		}
	}
	var whole time.Duration
	for _, item := range p.Items {
		whole += item.Estimate.Time
	}
	question := fmt.Sprintf("Lock %s, one after the other", things(len(p.Items), "table"))
	if whole > 0 {
		question += fmt.Sprintf(", for about %s in all", ui.Duration(whole))
	}
	return a.Confirm(ctx, question+"?", p.Database)
}
