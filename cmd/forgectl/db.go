package main

import (
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bmad-forge/forgectl/pkg/postgres/insight"
	"github.com/bmad-forge/forgectl/pkg/ui"
)

func newDBCmd(app *App) *cobra.Command {
	return newGroup("db", "Look at the database: indexes, statements, connections, size",
		`Looks at the running database over database.url and says what is worth knowing. Each
report is a check as well: it ends with 1 or 2 when a threshold is crossed. Nothing is
changed, but by "db connections --terminate-idle", which asks first.

The role needs pg_monitor; what it does not see is named with its GRANT. Counters and
sizes are remembered below state_dir at each run, for comparison with the next one.`,
		`  forgectl db indexes
  forgectl db slow --by mean
  forgectl db connections
  forgectl db size`,
		newDBIndexesCmd(app), newDBSlowCmd(app), newDBConnectionsCmd(app), newDBSizeCmd(app))
}

// reportCodes are the exit codes of a report.
func reportCodes() map[string]string {
	return codes(exitOK, exitWarning, exitCritical, exitInterrupted, exitTerminated)
}

// threshold is a flag that stands for a setting of checks.
func threshold(cmd *cobra.Command, flag, key, usage string) {
	cmd.Flags().String(flag, "", usage+" (default: checks."+key+")")
	bindSetting(cmd, flag, "checks."+key)
	complete(cmd, flag, cobra.NoFileCompletions)
}

// notes says on standard error what a report could not see.
func (a *App) notes(h insight.Head) {
	for _, n := range h.Notes {
		a.Streams.Message("", ui.LevelHint, a.scrub(n))
	}
}

// part is a percentage of the configuration as a number from 0 to 1; off is more
// than there can be.
func part(percent int) float64 {
	if percent == 0 {
		return 1e9
	}
	return float64(percent) / 100
}

// agoOf is how long ago something was, "" when nobody knows.
func (a *App) agoOf(t *time.Time) string {
	if t == nil {
		return ""
	}
	return ui.Age(a.Now().Sub(*t))
}

// brief cuts a text for a table on a terminal; in a pipe it is whole.
func brief(s *ui.Streams, text string, most int) string {
	runes := []rune(text)
	if !s.OutTTY || len(runes) <= most {
		return text
	}
	return strings.TrimSpace(string(runes[:most-1])) + "…"
}
