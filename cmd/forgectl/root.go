package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/bmad-forge/forgectl/pkg/job"
)

const (
	outputTable = "table"
	outputJSON  = "json"
)

// globalFlags are those of every command.
type globalFlags struct {
	config    string
	output    choice
	noColor   bool
	verbose   int
	logFormat choice
	logTarget string
	timeout   time.Duration
	yes       bool
}

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

func (a *App) addGlobalFlags(root *cobra.Command) {
	f := root.PersistentFlags()
	f.BoolP("help", "h", false, "print this help")
	f.StringVar(&a.flags.config, "config", "", "configuration `FILE` (default $FORGECTL_CONFIG, else /etc/bmad-forge/forgectl.yaml)")
	a.flags.output = choice{value: outputTable, of: []string{outputTable, outputJSON}}
	f.VarP(&a.flags.output, "output", "o", "print the result as table or json, also where a success would be silent")
	f.BoolVar(&a.flags.noColor, "no-color", false, "no colour, as with a non-empty $NO_COLOR")
	f.CountVarP(&a.flags.verbose, "verbose", "v", "print log lines; twice: what helps to find a fault too")
	a.flags.logFormat = choice{value: logText, of: []string{logText, logJSON}}
	f.Var(&a.flags.logFormat, "log-format", "log lines as text or json")
	f.StringVar(&a.flags.logTarget, "log-target", targetStderr, "log to stderr, syslog (facility local0) or a `FILE`")
	f.DurationVar(&a.flags.timeout, "timeout", 0, "give up after this `TIME`, such as 90m; 0 is never")
	f.BoolVar(&a.flags.yes, "yes", false, "do not ask before something is replaced")

	complete(root, "config", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return []string{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt
	})
	complete(root, "output", cobra.FixedCompletions(a.flags.output.of, cobra.ShellCompDirectiveNoFileComp))
	complete(root, "log-format", cobra.FixedCompletions(a.flags.logFormat.of, cobra.ShellCompDirectiveNoFileComp))
	complete(root, "log-target", cobra.FixedCompletions([]string{targetStderr, targetSyslog}, cobra.ShellCompDirectiveDefault))
	complete(root, "timeout", cobra.NoFileCompletions)
	complete(root, "verbose", cobra.NoFileCompletions)
}

// complete registers how the value of a flag is completed;
// cobra.NoFileCompletions says that nothing is known about it.
func complete(cmd *cobra.Command, flag string, f cobra.CompletionFunc) {
	if err := cmd.RegisterFlagCompletionFunc(flag, f); err != nil {
		panic(fmt.Sprintf("completion of --%s of %s: %v", flag, cmd.Name(), err))
	}
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

// frame puts around every command what all have in common.
func (a *App) frame(cmd *cobra.Command) {
	cmd.SuggestionsMinimumDistance = 2
	if cmd.HasSubCommands() && cmd.Args == nil {
		cmd.Args = subcommandsOnly
	}
	if cmd.ValidArgsFunction == nil && len(cmd.ValidArgs) == 0 {
		cmd.ValidArgsFunction = cobra.NoFileCompletions
	}
	for _, set := range []*pflag.FlagSet{cmd.PersistentFlags(), cmd.LocalNonPersistentFlags()} {
		set.VisitAll(func(f *pflag.Flag) {
			if _, known := cmd.GetFlagCompletionFunc(f.Name); !known && f.Value.Type() == "bool" {
				complete(cmd, f.Name, cobra.NoFileCompletions)
			}
		})
	}
	if inner := cmd.RunE; inner != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error { return a.start(cmd, args, inner) }
	}
	for _, child := range cmd.Commands() {
		a.frame(child)
	}
}

// start is where flags are known and the command itself begins.
func (a *App) start(cmd *cobra.Command, args []string, inner func(*cobra.Command, []string) error) error {
	a.cmd = cmd
	a.tried = true
	a.applyNoColor()
	if a.flags.timeout < 0 {
		return a.misuse("--timeout %s: must not be negative", a.flags.timeout)
	}
	if limit := a.flags.timeout; limit > 0 {
		ctx, cancel := context.WithTimeoutCause(cmd.Context(), limit, &job.TimeoutError{After: limit})
		defer cancel()
		cmd.SetContext(ctx)
	}
	return inner(cmd, args)
}

func (a *App) applyNoColor() {
	if a.flags.noColor {
		a.Streams.Color = false
	}
}

// misuse is an error in how the running command was called.
func (a *App) misuse(format string, args ...any) error {
	return withHint(unknown(format, args...), "%s --help", a.cmd.CommandPath())
}

// subcommandsOnly refuses an argument that is no subcommand, with the one that
// was probably meant.
func subcommandsOnly(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	err := unknown("unknown command %q", cmd.CommandPath()+" "+args[0])
	if meant := cmd.SuggestionsFor(args[0]); len(meant) > 0 {
		return withHint(err, "%s %s", cmd.CommandPath(), meant[0])
	}
	return withHint(err, "%s --help", cmd.CommandPath())
}

// choice is a flag that takes one of a few words.
type choice struct {
	value string
	of    []string
	given bool
}

func (c *choice) String() string { return c.value }
func (c *choice) Type() string   { return strings.Join(c.of, "|") }

func (c *choice) Set(s string) error {
	if !slices.Contains(c.of, s) {
		return fmt.Errorf("want %s", strings.Join(c.of, " or "))
	}
	c.value, c.given = s, true
	return nil
}
