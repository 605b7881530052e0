package main

import (
	"github.com/spf13/cobra"
)

// newRoot builds the command tree. It does nothing else: no file is read and
// nothing is opened before a command runs.
func newRoot(app *App) *cobra.Command {
	root := &cobra.Command{
		Use:   program + " COMMAND",
		Short: "Back up, verify and restore a BMAD Forge installation",
		Long: `forgectl runs the maintenance of a BMAD Forge installation: every procedure of
the runbook is one command that is safe to paste at 3 a.m. and safe in
/etc/cron.d.

Nothing is destroyed before its replacement is proven, half a result is never
visible, and every artifact opens with stock tools. Without a configuration file
the defaults of the guide hold; forgectl config show prints what is in force and
where it comes from.`,
		Example: `  forgectl config init
  forgectl config check
  forgectl help exit-codes`,
		Annotations:       codes(exitOK),
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetIn(app.Streams.In)
	root.SetOut(app.Streams.Out)
	root.SetErr(app.Streams.Err)
	app.addGlobalFlags(root)

	root.AddCommand(
		newConfigCmd(app),
		newHistoryCmd(app),
		newDoctorCmd(app),
		newCompletionCmd(app),
		newVersionCmd(app),
		newGenerateCmd(app),
	)
	root.AddCommand(wired(app)...)
	help := newHelpCmd(app)
	root.AddCommand(help)
	root.SetHelpCommand(help)
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) { app.printHelp(cmd) })
	root.SetUsageFunc(func(cmd *cobra.Command) error { app.printHelp(cmd); return nil })
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return withHint(withCode(exitUnknown, err), "%s --help", cmd.CommandPath())
	})
	app.frame(root)
	return root
}

// newGroup is a command that only holds others. Called without one of them it
// is a mistake: in a cron line it must not look like a success.
func newGroup(use, short, long, example string, children ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use + " COMMAND", Short: short, Long: long, Example: example,
		Annotations: codes(exitUnknown),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withHint(unknown("%s: a subcommand is missing", cmd.CommandPath()), "%s --help", cmd.CommandPath())
		},
	}
	cmd.AddCommand(children...)
	return cmd
}
