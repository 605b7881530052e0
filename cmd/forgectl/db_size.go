package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bmad-forge/forgectl/pkg/postgres/bloat"
	"github.com/bmad-forge/forgectl/pkg/postgres/insight"
	"github.com/bmad-forge/forgectl/pkg/ui"
)

func newDBSizeCmd(app *App) *cobra.Command {
	var o insight.SizeOptions
	cmd := &cobra.Command{
		Use:   "size",
		Short: "Show what takes the space, what of it is dead, and how it grows",
		Long: `Shows the largest tables: rows, data, indexes and TOAST, and how much of each is dead
space that VACUUM FULL or REINDEX would give back. Dead space is an estimate from
statistics, marked with ~, where nothing is known with ?; --exact reads everything with
the extension pgstattuple.

Each run remembers the sizes. From those of the last 30 days (--window) follows the
growth, and, when the data directory is on this host, how long the disk lasts at that
rate: within 30 days that is a WARNING, within 7 CRITICAL. The rate is that of this
database alone; tablespaces on other disks are not looked at.

With -o json: {"database", "server", "standby", "notes", "bytes", "tables": [{"table",
"rows", "total_bytes", "heap", "toast", "indexes": {"bytes", "dead_bytes", "how", "why"},
"growth_bytes"}], "tables_omitted", "sum", "history": [{"at", "bytes"}],
"growth_bytes_per_day", "disk_free_bytes", "disk_full_days"}; "how" is estimate,
pgstattuple, free space map (at least so much) or unknown.`,
		Example: `  forgectl db size
  forgectl db size --limit 0 --exact
  forgectl db size --disk-warning 60d -o json`,
		Annotations: reportCodes(),
		Args:        cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Limit < 0 || o.Window <= 0 {
				return app.misuse("--limit must not be negative, and --window must be more than 0")
			}
			return app.showSize(cmd.Context(), o)
		},
	}
	cmd.Flags().IntVar(&o.Limit, "limit", 20, "show the largest `N` tables; 0 is all")
	complete(cmd, "limit", cobra.NoFileCompletions)
	cmd.Flags().DurationVar(&o.Window, "window", 30*24*time.Hour, "measure growth over this `TIME`")
	complete(cmd, "window", cobra.NoFileCompletions)
	cmd.Flags().BoolVar(&o.Exact, "exact", false, "read all tables and btrees with pgstattuple: true, and as expensive")
	threshold(cmd, "disk-warning", "disk_warning", "WARNING when the disk is full within this `TIME`")
	threshold(cmd, "disk-critical", "disk_critical", "CRITICAL when the disk is full within this `TIME`")
	return cmd
}

func (a *App) showSize(ctx context.Context, o insight.SizeOptions) error {
	s, err := a.insight(ctx)
	if err != nil {
		return err
	}
	r, err := s.Size(ctx, o)
	if err != nil {
		return err
	}
	a.notes(r.Head)
	err = a.show(result{JSON: r, Text: func(s *ui.Streams) error { return a.sizeTable(s, r) }})
	if r.FullDays == nil {
		return err
	}
	left, c := *r.FullDays, a.loaded.Checks
	text := fmt.Sprintf("at the rate of %s the disk is full in %.0f days", r.Database, left)
	switch {
	case left < c.DiskCritical.Hours()/24:
		return all(err, withHint(withCode(exitCritical, fmt.Errorf("%s", text)), "forgectl db size -o json names the tables that grow"))
	case left < c.DiskWarning.Hours()/24:
		a.warn(text)
	}
	return err
}

func (a *App) sizeTable(s *ui.Streams, r insight.SizeReport) error {
	// A terminal is not as wide as all of them; in a pipe each column has its place.
	toast := !s.OutTTY || r.Sum.Toast.Bytes > 0
	growth := !s.OutTTY || slices.ContainsFunc(r.Tables, func(t insight.TableSize) bool { return t.Growth != nil })
	columns := []ui.Column{{Title: "TABLE"}, {Title: "ROWS", Right: true}, {Title: "TOTAL", Right: true}, {Title: "DATA", Right: true},
		{Title: "DEAD", Right: true}, {Title: "INDEXES", Right: true}, {Title: "DEAD", Right: true}}
	if toast {
		columns = append(columns, ui.Column{Title: "TOAST", Right: true}, ui.Column{Title: "DEAD", Right: true})
	}
	if growth {
		columns = append(columns, ui.Column{Title: "GROWTH", Right: true})
	}
	t := s.Table(columns...)
	for _, x := range append(slices.Clone(r.Tables), r.Sum) {
		rows := "?"
		if x.Rows >= 0 {
			rows = s.Number(x.Rows)
		}
		row := []string{x.Table, rows, ui.Bytes(x.Total), ui.Bytes(x.Heap.Bytes), dead(x.Heap), ui.Bytes(x.Indexes.Bytes), dead(x.Indexes)}
		if toast {
			row = append(row, ui.Bytes(x.Toast.Bytes), dead(x.Toast))
		}
		switch {
		case growth && x.Growth != nil:
			row = append(row, ui.Bytes(*x.Growth))
		case growth:
			row = append(row, "")
		}
		t.Row(row...)
	}
	if err := t.Flush(); err != nil || !s.OutTTY {
		return err
	}
	_, err := fmt.Fprint(s.Out, growthText(r, a.Now()))
	return err
}

// dead is dead space and how it is known.
func dead(x bloat.Space) string {
	switch {
	case x.Bytes == 0:
		return ""
	case x.How == bloat.Unknown && x.Dead == 0:
		return "?"
	case x.How == bloat.Exact:
		return ui.Bytes(x.Dead)
	case x.How == bloat.Estimate:
		return "~" + ui.Bytes(x.Dead)
	}
	return ">" + ui.Bytes(x.Dead)
}

// growthText is the lines below the table.
func growthText(r insight.SizeReport, now time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s takes %s", ui.Printable(r.Database), ui.Bytes(r.Bytes))
	if r.Omitted > 0 {
		fmt.Fprintf(&b, "; %d smaller tables are not shown", r.Omitted)
	}
	b.WriteString("\n")
	if chart := sizeChart(r.History, now); chart != "" {
		fmt.Fprintf(&b, "last month, to today: %s\n", chart)
	}
	if r.PerDay != nil {
		fmt.Fprintf(&b, "growth: %s a day\n", ui.Bytes(int64(*r.PerDay)))
	}
	if r.Free != nil {
		fmt.Fprintf(&b, "free on its disk: %s", ui.Bytes(*r.Free))
		if r.FullDays != nil {
			fmt.Fprintf(&b, ", enough for %.0f days at that rate", *r.FullDays)
		}
		b.WriteString("\n")
	}
	return b.String()
}
