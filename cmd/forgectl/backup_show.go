package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/bmad-forge/forgectl/pkg/inventory"
	"github.com/bmad-forge/forgectl/pkg/ui"
)

func newBackupShowCmd(app *App) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show [ID|latest]",
		Short: "Show everything about one set",
		Long: `Shows what is known of one set without reading its artifacts: where it comes from,
the files with their sizes and sums, the tables with their rows, to whom it is
sealed, who signed it (which is checked), what happened to it since, and the commands
that open it, with forgectl and without; of a full set what it refers to, and whether
that is there as it was. "latest" (the default) is the newest set, good or not. Nothing
is changed.

` + setNaming + `

With -o json: the object of "backup list", and "manifest" (docs/format.md), "checks" and
"signature": null, or {"state", "fingerprint", "key", "user_id", "time", "problem"}. The
state is good, unknown (by a key that is not accepted here), invalid (by one that was
revoked or had expired), wrong, none or unchecked. Of a full set also "parts": [{"set",
"good", "why"}]; of a media set "rehashed_within_30_days", the share of its files whose
contents a verify has read since then, from 0 to 1.`,
		Example: `  forgectl backup show
  forgectl backup show 20261123T020000Z
  forgectl backup show other/20261123T020000Z -o json`,
		Annotations:       listingCodes(),
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: app.completeSets,
		RunE: func(cmd *cobra.Command, args []string) error {
			return app.showBackup(cmd.Context(), append(args, latest)[0])
		},
	}
	databaseFlag(app, cmd)
	return cmd
}

func (a *App) showBackup(ctx context.Context, name string) error {
	repo, err := a.Repository(ctx)
	if err != nil {
		return err
	}
	s, err := a.namedSet(ctx, repo, name)
	if err != nil {
		return err
	}
	o := a.inventory(repo)
	if o.Provenance, err = a.Provenance(); err != nil {
		return err
	}
	d, err := inventory.Examine(ctx, o, s)
	if err != nil {
		return err
	}
	return a.show(result{JSON: d, Text: func(out *ui.Streams) error { return showTable(out, d) }})
}
