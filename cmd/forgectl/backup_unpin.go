package main

import (
	"github.com/spf13/cobra"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/ui"
)

func newBackupUnpinCmd(app *App) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:   "unpin ID|latest",
		Short: "Let backup.keep decide about a set again",
		Long: `Takes back what forgectl backup pin noted beside a set. Nothing is removed now; the
next prune decides about the set as about any other. The earlier pin stays in the
history of the set, as forgectl backup show lists it. The backup itself is not changed.

` + setNaming + `

With -o json: {"set", "pinned", "reason", "changed"}.`,
		Example: `  forgectl backup unpin 20261123T020000Z
  forgectl backup unpin 20261123T020000Z --reason 'the audit is over'`,
		Annotations:       operationCodes(),
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: app.completePinned,
		RunE: func(cmd *cobra.Command, args []string) error {
			return app.setPin(cmd.Context(), args[0], catalog.Check{What: catalog.CheckUnpin, Reason: reason})
		},
	}
	databaseFlag(app, cmd)
	reasonFlag(cmd, &reason, "why it need not be kept any more, a `TEXT` for people")
	return cmd
}

// completePinned offers the sets that are pinned.
func (a *App) completePinned(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var words []string
	for _, s := range a.everySet(cmd.Context()) {
		if s.Pinned() {
			words = append(words, cobra.CompletionWithDesc(s.Ref.String(), ui.Age(a.Now().Sub(s.Began(a.Now())))+" old"))
		}
	}
	return words, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
}
