package main

import (
	"strings"

	"github.com/spf13/cobra"
)

func newHelpCmd(app *App) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "help [COMMAND]...",
		Short: "Explain a command",
		Long:  `Prints the help of a command, as --help does.`,
		Example: `  forgectl help config show
  forgectl help exit-codes`,
		Annotations: codes(exitOK),
		Args:        cobra.ArbitraryArgs,
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			found, _, err := cmd.Root().Find(args)
			if err != nil {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			var names []string
			for _, c := range found.Commands() {
				if c.IsAvailableCommand() {
					names = append(names, cobra.CompletionWithDesc(c.Name(), c.Short))
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			found, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return withHint(unknown("no help for %q", strings.Join(args, " ")), "%s --help", program)
			}
			app.printHelp(found)
			return nil
		},
	}
	cmd.AddCommand(newHelpExitCodesCmd(app))
	return cmd
}
