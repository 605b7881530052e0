package main

import (
	"runtime"

	"github.com/spf13/cobra"

	"github.com/bmad-forge/forgectl/pkg/catalog"
)

func newBackupCmd(app *App) *cobra.Command {
	return newGroup("backup", "Make, list, prove and prune backups",
		`A backup is a set of files in the repository that was read back before it counts.
Whether it can be restored is proven by a drill: forgectl backup verify --drill.`,
		`  forgectl backup db
  forgectl backup list
  forgectl backup verify --drill`,
		newBackupDBCmd(app), newBackupMediaCmd(app), newBackupConfigCmd(app), newBackupFullCmd(app), newBackupListCmd(app), newBackupShowCmd(app), newBackupVerifyCmd(app),
		newBackupPruneCmd(app), newBackupPinCmd(app), newBackupUnpinCmd(app), newBackupAcceptCmd(app))
}

// databaseFlag is --database, which stands for the setting database.name.
func databaseFlag(app *App, cmd *cobra.Command) {
	cmd.Flags().String("database", "", "the database `NAME` (default: database.name of the configuration)")
	bindSetting(cmd, "database", "database.name")
	complete(cmd, "database", app.completeDatabases)
}

// jobsFlag makes backup.jobs a flag.
func jobsFlag(cmd *cobra.Command) {
	cmd.Flags().Int("jobs", 0, "how many cores to use, and sessions at once (default: backup.jobs)")
	bindSetting(cmd, "jobs", "backup.jobs")
	complete(cmd, "jobs", cobra.NoFileCompletions)
}

// sessions is how many cores an operation may use, and sessions at once.
func (a *App) sessions() int {
	if n := a.loaded.Backup.Jobs; n > 0 {
		return n
	}
	return min(runtime.GOMAXPROCS(0), 8)
}

// databaseGroup is the sets of the configured database.
func (a *App) databaseGroup() (catalog.Group, error) {
	cfg, err := a.Config()
	if err != nil {
		return catalog.Group{}, err
	}
	return catalog.Group{Kind: catalog.KindDatabase, Database: cfg.Database.Name}, nil
}
