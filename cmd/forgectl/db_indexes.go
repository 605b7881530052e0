package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bmad-forge/forgectl/pkg/postgres/insight"
	"github.com/bmad-forge/forgectl/pkg/ui"
)

func newDBIndexesCmd(app *App) *cobra.Command {
	var exact bool
	cmd := &cobra.Command{
		Use:   "indexes",
		Short: "Find indexes that are unused, doubled, damaged, bloated or missing",
		Long: `Lists indexes that somebody should look at: invalid (a build that did not finish),
duplicate (the same as another one), covered (its columns are the first ones of another
one, sorted and restricted alike), unused, bloated, and missing (a foreign key without an
index); scanned is a large table that queries often read whole: with an index on the
column that the costliest statements search it by, where pg_stat_statements tells, else
with the statement that shows them. Each finding has the statement that mends it and the
one that takes that back. Nothing is dropped or made: the statements are for you.

What backs a constraint, is a replica identity, is clustered on, belongs to partitions or
to an extension is never proposed, and a unique index not for being unused. Scans are
counted since forgectl first saw the index, so that a reset of the statistics or a restore
does not make it look unused: an index that was watched for less than checks.unused_after
is listed, but is no reason for a WARNING. The counters are those of this server: an index
that only a standby uses has no scans on the primary.

Any finding but an early one is a WARNING. Bloat is estimated from statistics; --exact
reads every btree with the extension pgstattuple.

With -o json: {"database", "server", "standby", "notes", "indexes", "bytes",
"statistics_since", "findings": [{"kind", "index", "table", "why", "bytes", "scans",
"watched_since", "last_scan", "constraint", "replica_identity", "early", "sql", "back"}]}.`,
		Example: `  forgectl db indexes
  forgectl db indexes --unused-after 90d
  forgectl db indexes -o json | jq -r '.findings[] | select(.kind == "duplicate") | .sql'`,
		Annotations: reportCodes(),
		Args:        cobra.NoArgs,
		RunE:        func(cmd *cobra.Command, _ []string) error { return app.showIndexes(cmd.Context(), exact) },
	}
	threshold(cmd, "unused-after", "unused_after", "watch for this `TIME` before an index is called unused")
	threshold(cmd, "unused-scans", "unused_scans", "`N` scans in that time are as good as none")
	threshold(cmd, "bloat-ratio", "bloat_ratio", "the dead `PERCENT` from which on an index is bloated")
	threshold(cmd, "bloat-size", "bloat_size", "dead `BYTES` below which it is not worth the work")
	threshold(cmd, "missing-rows", "missing_rows", "tables with fewer than `N` rows need no index")
	cmd.Flags().BoolVar(&exact, "exact", false, "read all btrees with pgstattuple: true, and as expensive")
	return cmd
}

func (a *App) showIndexes(ctx context.Context, exact bool) error {
	s, err := a.insight(ctx)
	if err != nil {
		return err
	}
	c := a.loaded.Checks
	r, err := s.Indexes(ctx, insight.IndexLimits{
		UnusedScans: int64(c.UnusedScans), UnusedAfter: c.UnusedAfter, BloatRatio: part(c.BloatRatio), BloatBytes: c.BloatSize,
		Rows: int64(c.MissingRows), Exact: exact,
	})
	if err != nil {
		return err
	}
	a.notes(r.Head)
	err = a.show(result{JSON: r, Text: func(s *ui.Streams) error { return a.indexTable(s, r) }})
	if text := indexSummary(r); text != "" {
		a.warn(text)
	}
	return err
}

// indexSummary counts what is no early finding.
func indexSummary(r insight.IndexReport) string {
	var texts []string
	for _, kind := range []string{insight.Invalid, insight.Duplicate, insight.Covered, insight.Unused, insight.Bloated, insight.Missing, insight.Scanned} {
		n := 0
		for _, f := range r.Findings {
			if f.Kind == kind && !f.Early {
				n++
			}
		}
		if n > 0 {
			texts = append(texts, fmt.Sprintf("%d %s", n, kind))
		}
	}
	if len(texts) == 0 {
		return ""
	}
	return "indexes of " + r.Database + " to look at: " + strings.Join(texts, ", ")
}

func (a *App) indexTable(s *ui.Streams, r insight.IndexReport) error {
	columns := []ui.Column{{Title: "FINDING"}, {Title: "INDEX"}, {Title: "TABLE"}, {Title: "SIZE", Right: true}, {Title: "SCANS", Right: true},
		{Title: "WATCHED", Right: true}, {Title: "LAST SCAN", Right: true}, {Title: "WHY"}}
	if !s.OutTTY {
		columns = append(columns, ui.Column{Title: "SQL"}, ui.Column{Title: "BACK"})
	}
	t := s.Table(columns...)
	for _, f := range r.Findings {
		kind := s.Warn(f.Kind)
		if f.Early {
			kind = s.Faint(f.Kind)
		}
		scans := s.Number(f.Scans)
		if f.Kind == insight.Missing || f.Kind == insight.Scanned {
			scans = ""
		}
		row := []string{kind, f.Index, f.Table, ui.Bytes(f.Bytes), scans, a.agoOf(f.WatchedSince), a.agoOf(f.LastScan), f.Why}
		if !s.OutTTY {
			row = append(row, f.SQL, f.Back)
		}
		t.Row(row...)
	}
	if err := t.Flush(); err != nil || !s.OutTTY {
		return err
	}
	return a.indexStatements(s, r)
}

// indexStatements is what can be pasted, and the way back as a comment.
func (a *App) indexStatements(s *ui.Streams, r insight.IndexReport) error {
	since := "were never reset"
	if r.StatisticsSince != nil {
		since = "are of the last " + a.agoOf(r.StatisticsSince)
	}
	text := fmt.Sprintf("%s indexes, %s; the statistics of the server %s\n", s.Number(int64(r.Indexes)), ui.Bytes(r.Bytes), since)
	for _, f := range r.Findings {
		if f.SQL == "" || f.Early {
			continue
		}
		back := f.Back
		if !strings.HasPrefix(back, "--") {
			back = "-- back: " + back
		}
		text += "\n" + ui.Printable(f.SQL) + "\n" + s.Faint(ui.Printable(back)) + "\n"
	}
	_, err := fmt.Fprint(s.Out, text)
	return err
}
