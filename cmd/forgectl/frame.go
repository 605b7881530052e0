package main

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/bmad-forge/forgectl/pkg/job"
)

// frame puts around every command what all have in common.
func (a *App) frame(cmd *cobra.Command) {
	cmd.SuggestionsMinimumDistance = 2
	if cmd.HasSubCommands() && cmd.Args == nil {
		cmd.Args = subcommandsOnly
	}
	if wanted := cmd.Args; wanted != nil && !cmd.HasSubCommands() {
		cmd.Args = func(cmd *cobra.Command, args []string) error { return argumentError(cmd, args, wanted) }
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
	if flag := emptyFlag(cmd); flag != "" {
		return a.misuse("--%s: its value is empty", flag)
	}
	if limit := time.Duration(a.flags.timeout); limit > 0 {
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

// emptyFlag is a flag that was given an empty value, which is what a variable leaves that a script has not set:
// "--into ”" must not mean that the live database is replaced.
func emptyFlag(cmd *cobra.Command) (name string) {
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if list, ok := f.Value.(pflag.SliceValue); ok {
			if values := list.GetSlice(); len(values) == 0 || slices.Contains(values, "") {
				name = f.Name
			}
		} else if f.Value.Type() == "string" && f.Value.String() == "" {
			name = f.Name
		}
	})
	return name
}

// argumentError names the argument that is too much, or says that one is missing.
func argumentError(cmd *cobra.Command, args []string, wanted cobra.PositionalArgs) error {
	err := wanted(cmd, args)
	if err == nil {
		return nil
	}
	if len(args) == 0 {
		return unknown("%s: an argument is missing: %s", cmd.CommandPath(), cmd.Use)
	}
	for n := len(args) - 1; n >= 0; n-- {
		if wanted(cmd, args[:n]) == nil {
			return unknown("%s: unexpected argument %q", cmd.CommandPath(), args[n])
		}
	}
	return err
}
