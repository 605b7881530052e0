package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/bmad-forge/forgectl/pkg/postgres/insight"
	"github.com/bmad-forge/forgectl/pkg/ui"
)

type slowOptions struct {
	by      choice
	limit   int
	since   time.Duration
	explain int
}

func newDBSlowCmd(app *App) *cobra.Command {
	o := slowOptions{by: choice{value: insight.SlowOrders[0], of: insight.SlowOrders}}
	cmd := &cobra.Command{
		Use:   "slow",
		Short: "List the statements that cost most",
		Long: `Lists the statements of the database that cost most, from pg_stat_statements: calls,
total and mean time, their share of the time of all, rows, temporary blocks, blocks read
from disk, and WAL. Times are milliseconds, blocks mostly of 8 KiB. Quoted constants are
masked: one may be a password.

Each run remembers the counters. --since 24h shows only what was added since then: it
compares with the last run that is at least so old, and says when the counters were reset
in between. --explain N shows the plan of the N-th statement of the list, when it has no
parameters; the statement is never run.

Without the extension this ends with 3 and says how to enable it. With checks.slow_mean,
a statement that takes longer on average is a WARNING.

With -o json: {"database", "server", "standby", "notes", "since", "extension_version",
"total_ms", "statements": [{"query_id", "query", "calls", "total_ms", "rows",
"temp_blocks", "read_blocks", "read_ms", "wal_bytes", "mean_ms", "share"}],
"plan": {"number", "lines", "why"}}.`,
		Example: `  forgectl db slow
  forgectl db slow --by mean --limit 5
  forgectl db slow --since 24h
  forgectl db slow --explain 1`,
		Annotations: reportCodes(),
		Args:        cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.limit < 0 || o.since < 0 || o.explain < 0 {
				return app.misuse("--limit, --since and --explain must not be negative")
			}
			return app.showSlow(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.Var(&o.by, "by", "sort by total, mean, calls, rows, temp, reads or wal")
	complete(cmd, "by", cobra.FixedCompletions(insight.SlowOrders, cobra.ShellCompDirectiveNoFileComp))
	f.IntVar(&o.limit, "limit", 20, "show the first `N` statements; 0 is all")
	complete(cmd, "limit", cobra.NoFileCompletions)
	f.DurationVar(&o.since, "since", 0, "only what was added in this `TIME`, such as 24h")
	complete(cmd, "since", cobra.NoFileCompletions)
	f.IntVar(&o.explain, "explain", 0, "show the plan of the statement with the number `N` of the list")
	complete(cmd, "explain", cobra.NoFileCompletions)
	threshold(cmd, "slow-mean", "slow_mean", "WARNING when a statement takes this `TIME` on average")
	return cmd
}

func (a *App) showSlow(ctx context.Context, o slowOptions) error {
	s, err := a.insight(ctx)
	if err != nil {
		return err
	}
	r, err := s.Slow(ctx, insight.SlowOptions{By: o.by.value, Limit: o.limit, Since: o.since, Explain: o.explain})
	if err != nil {
		return err
	}
	a.notes(r.Head)
	err = a.show(result{JSON: r, Text: func(s *ui.Streams) error { return a.slowTable(s, r) }})
	limit := a.loaded.Checks.SlowMean
	for i, st := range r.Statements {
		if mean := time.Duration(st.MeanMS * float64(time.Millisecond)); limit > 0 && mean > limit {
			a.warn(fmt.Sprintf("statement %d takes %s on average, more than %s", i+1, ui.Duration(mean), limit))
		}
	}
	return err
}

func (a *App) slowTable(s *ui.Streams, r insight.SlowReport) error {
	t := s.Table(ui.Column{Title: "N", Right: true}, ui.Column{Title: "SHARE", Right: true}, ui.Column{Title: "TOTAL MS", Right: true},
		ui.Column{Title: "MEAN MS", Right: true}, ui.Column{Title: "CALLS", Right: true}, ui.Column{Title: "ROWS", Right: true},
		ui.Column{Title: "TEMP", Right: true}, ui.Column{Title: "READS", Right: true}, ui.Column{Title: "WAL", Right: true}, ui.Column{Title: "STATEMENT"})
	for i, st := range r.Statements {
		t.Row(fmt.Sprint(i+1), fmt.Sprintf("%.1f %%", 100*st.Share), s.Number(int64(st.TotalMS)), fmt.Sprintf("%.2f", st.MeanMS), s.Number(st.Calls), s.Number(st.Rows),
			s.Number(st.Temp), s.Number(st.Reads), ui.Bytes(st.WAL), brief(s, st.Query, 160))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if s.OutTTY && r.Since != nil {
		fmt.Fprintf(s.Out, "counted in the last %s\n", a.agoOf(r.Since))
	}
	if r.Plan == nil {
		return nil
	}
	lines := r.Plan.Lines
	if r.Plan.Why != "" {
		lines = []string{"no plan: " + r.Plan.Why}
	}
	text := fmt.Sprintf("\nstatement %d\n", r.Plan.Number)
	for _, line := range lines { // names in it are those of whoever may create tables
		text += ui.Printable(line) + "\n"
	}
	_, err := fmt.Fprint(s.Out, text)
	return err
}
