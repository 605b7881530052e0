package main

import "github.com/spf13/cobra"

func newRestoreCmd(app *App) *cobra.Command {
	return newGroup("restore", "Bring backups back",
		`A backup comes back beside what is there: nothing that exists is touched before its
replacement is complete and compared.`,
		`  forgectl restore db latest --into bmad_forge_rescue`,
		newRestoreDBCmd(app))
}
