package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

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
