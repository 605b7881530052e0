package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// printHelp writes the help of a command to standard output.
func (a *App) printHelp(cmd *cobra.Command) {
	a.applyNoColor()
	// Whoever closed the pipe has read enough.
	_, _ = io.WriteString(a.Streams.Out, helpText(cmd, a.Streams.Bold))
}

// helpText is everything about a command; heading decorates the titles.
func helpText(cmd *cobra.Command, heading func(string) string) string {
	var b strings.Builder
	section := func(title, body string) {
		if body = strings.Trim(body, "\n"); body != "" {
			fmt.Fprintf(&b, "\n%s\n%s\n", heading(title+":"), body)
		}
	}
	b.WriteString(strings.TrimSpace(cmd.Long) + "\n")
	section("Usage", "  "+cmd.UseLine())
	section("Commands", commandList(cmd))
	section("Examples", cmd.Example)
	section("Flags", flagList(cmd.LocalNonPersistentFlags()))
	section("Global flags", globalUsages(cmd))
	section("Exit codes", codesText(codesOf(cmd)))
	return b.String()
}

func globalUsages(cmd *cobra.Command) string {
	return flagList(cmd.Root().PersistentFlags())
}

// flagList explains flags, one a line.
func flagList(set *pflag.FlagSet) string {
	var names, usages []string
	width := 0
	set.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		value, usage := pflag.UnquoteUsage(f)
		name := "    --" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", --" + f.Name
		}
		switch f.Value.Type() {
		case "bool", "count":
		default:
			name += " " + value
			if f.DefValue != "" && f.DefValue != "0" && f.DefValue != "0s" && f.DefValue != "[]" {
				usage += " (default " + f.DefValue + ")"
			}
		}
		names, usages = append(names, name), append(usages, usage)
		width = max(width, len(name))
	})
	var b strings.Builder
	for i := range names {
		fmt.Fprintf(&b, "  %-*s  %s\n", width, names[i], usages[i])
	}
	return b.String()
}

// listed is cobra's notion of an available command, and the help command.
func listed(cmd *cobra.Command) bool {
	return cmd.IsAvailableCommand() || cmd.Name() == "help"
}

func commandList(cmd *cobra.Command) string {
	width := 0
	for _, c := range cmd.Commands() {
		if listed(c) {
			width = max(width, len(c.Name()))
		}
	}
	var b strings.Builder
	for _, c := range cmd.Commands() {
		if listed(c) {
			fmt.Fprintf(&b, "  %-*s  %s\n", width, c.Name(), c.Short)
		}
	}
	return b.String()
}
