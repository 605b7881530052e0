package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/moment"
	"github.com/bmad-forge/forgectl/pkg/postgres/pgdump"
	"github.com/bmad-forge/forgectl/pkg/ui"
)

// tableFlag is --table, which chooses what of a set is restored.
func tableFlag(app *App, cmd *cobra.Command, tables *[]string) {
	// A name may hold a comma, so each flag is one name.
	cmd.Flags().StringArrayVar(tables, "table", nil, "only the rows of this `TABLE` and what belongs to it; repeatable, needs --into")
	complete(cmd, "table", app.completeTables)
}

// checkTables finds what flags alone show to be wrong.
func (a *App) checkTables(cmd *cobra.Command, o restoreOptions) error {
	switch {
	case !cmd.Flags().Changed("table"):
		return nil
	case o.file != "":
		return a.misuse("--table takes tables out of a set, not out of a file")
	case o.into == "":
		return a.misuse("--table needs --into NAME: the live database is not replaced by some of its tables")
	}
	return nil
}

// completeTables offers the tables of the set that is named so far.
func (a *App) completeTables(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	const nothing = cobra.ShellCompDirectiveNoFileComp
	ctx := cmd.Context()
	named, err := a.parseSetOf(catalog.KindDatabase, append(args, latest)[0])
	if err != nil {
		return nil, nothing
	}
	repo, err := a.Repository(ctx)
	if err != nil {
		return nil, nothing
	}
	var set catalog.Set
	if named.id != "" {
		set, err = repo.find(ctx, named)
	} else {
		at, _ := moment.Parse(cmd.Flag("at").Value.String(), time.Local) // none: the newest of all
		set, _, err = repo.Newest(ctx, named.group, at)
	}
	if err != nil || set.Manifest == nil || set.Manifest.Fingerprint == nil {
		return nil, nothing
	}
	var names []string
	for _, t := range set.Manifest.Fingerprint.Tables {
		names = append(names, cobra.CompletionWithDesc(pgdump.TableName(t.Schema, t.Name), ui.Count(t.Rows)+" rows"))
	}
	return names, nothing
}

// tableHint lists what could have been meant.
func tableHint(err error) string {
	const most = 10
	e := find[*pgdump.TableError](err)
	if len(e.Candidates) == 0 {
		return ""
	}
	shown := e.Candidates[:min(most, len(e.Candidates))]
	text := "there are " + strings.Join(shown, ", ")
	if e.Ambiguous {
		text = "say which: " + strings.Join(shown, ", ")
	}
	if more := len(e.Candidates) - len(shown); more > 0 {
		text += fmt.Sprintf(", and %d more", more)
	}
	return text
}

// chosenText says what is in the database, and what is not although it was around
// the tables in the original.
func chosenText(s *ui.Streams, c *pgdump.Choice) error {
	_, err := fmt.Fprintf(s.Out, "tables: %s\n", ui.Printable(strings.Join(c.Tables, ", ")))
	for _, line := range c.LeftOut {
		if err == nil {
			_, err = fmt.Fprintf(s.Out, "left out: %s\n", ui.Printable(line))
		}
	}
	return err
}

func planTables(t *ui.Table, c *pgdump.Choice) {
	if c == nil {
		return
	}
	t.Row("tables", strings.Join(c.Tables, ", "))
	for _, line := range c.LeftOut {
		t.Row("left out", line)
	}
}
