package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/bmad-forge/forgectl/pkg/ui"
)

const codesAnnotation = "forgectl_exit_codes"

// codes declares which exit codes a command can return besides UNKNOWN for
// wrong usage, which every command has.
func codes(list ...int) map[string]string {
	var texts []string
	for _, row := range exitCodes() {
		if row.Code == exitUnknown {
			texts = append(texts, strconv.Itoa(row.Code))
			continue
		}
		for _, code := range list {
			if code == row.Code {
				texts = append(texts, strconv.Itoa(code))
				break
			}
		}
	}
	return map[string]string{codesAnnotation: strings.Join(texts, " ")}
}

// listingCodes are those of what only looks: it can fail, and be stopped.
func listingCodes() map[string]string {
	return codes(exitOK, exitCritical, exitInterrupted, exitTerminated)
}

// operationCodes are those of everything that runs inside pkg/job.
func operationCodes() map[string]string {
	return codes(exitOK, exitWarning, exitCritical, exitLocked, exitInterrupted, exitTerminated)
}

// codesOf are the rows of the table that a command declared.
func codesOf(cmd *cobra.Command) []exitCode {
	var rows []exitCode
	declared := " " + cmd.Annotations[codesAnnotation] + " "
	for _, row := range exitCodes() {
		if strings.Contains(declared, " "+strconv.Itoa(row.Code)+" ") {
			rows = append(rows, row)
		}
	}
	return rows
}

func codesText(rows []exitCode) string {
	var b strings.Builder
	for _, row := range rows {
		fmt.Fprintf(&b, "  %3d  %-11s  %s\n", row.Code, row.Name, row.Meaning)
	}
	return b.String()
}

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

func newHelpExitCodesCmd(app *App) *cobra.Command {
	return &cobra.Command{
		Use:   "exit-codes",
		Short: "List the exit codes of all commands",
		Long: `Lists the exit codes. They are the same for every command; the help of each
says which of them it can return. 0 to 3 are those of monitoring plugins. A run
over several things returns the worst.

With -o json: [{"code", "name", "meaning"}].`,
		Example: `  forgectl help exit-codes
  forgectl help exit-codes -o json`,
		Annotations: codes(exitOK),
		Args:        cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return app.show(result{
				JSON: exitCodes(),
				Text: func(s *ui.Streams) error {
					t := s.Table(ui.Column{Title: "CODE", Right: true}, ui.Column{Title: "NAME"}, ui.Column{Title: "MEANING"})
					for _, row := range exitCodes() {
						t.Row(strconv.Itoa(row.Code), row.Name, row.Meaning)
					}
					return t.Flush()
				},
			})
		},
	}
}
