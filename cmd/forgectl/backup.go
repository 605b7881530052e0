package main

import (
	"context"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/ui"
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

// groupFlags are --kind and --database, which narrow all sets down to some.
func groupFlags(app *App, cmd *cobra.Command, o *listOptions) {
	kinds := []string{string(catalog.KindDatabase), string(catalog.KindMedia), string(catalog.KindConfig), string(catalog.KindFull)}
	cmd.Flags().StringVar(&o.kind, "kind", "", "only sets of this `KIND`: "+strings.Join(kinds, ", "))
	complete(cmd, "kind", cobra.FixedCompletions(kinds, cobra.ShellCompDirectiveNoFileComp))
	cmd.Flags().StringVar(&o.database, "database", "", "only sets of the database `NAME`")
	complete(cmd, "database", app.completeDatabases)
}

func (a *App) completeDatabases(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	repo, err := a.Repository(cmd.Context())
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	groups, err := repo.Groups(cmd.Context(), catalog.KindDatabase)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, g := range groups {
		names = append(names, g.Database)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// completeSets offers latest and every set, those of the configured database by
// their id alone, and the newest one of each other group.
func (a *App) completeSets(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	group, err := a.databaseGroup()
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return a.offerSets(cmd.Context(), group, ""), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
}

// completeSetsOf offers the sets of one kind, as parseSetOf reads them.
func (a *App) completeSetsOf(kind catalog.Kind) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		group := catalog.Group{Kind: kind}
		var err error
		if kind == catalog.KindDatabase {
			group, err = a.databaseGroup()
		}
		if err != nil || len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return a.offerSets(cmd.Context(), group, kind), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
	}
}

// offerSets is what can be typed for the sets of a kind, "" for all: those of the
// group by their id alone.
func (a *App) offerSets(ctx context.Context, group catalog.Group, kind catalog.Kind) []string {
	words := []string{cobra.CompletionWithDesc(latest, "the newest one")}
	told := map[catalog.Group]bool{group: true}
	for _, s := range a.everySet(ctx) {
		if kind != "" && s.Kind != kind {
			continue
		}
		if !told[s.Group] {
			words = append(words, cobra.CompletionWithDesc(s.Group.String()+"/"+latest, "the newest one"))
			told[s.Group] = true
		}
		name := s.Ref.String()
		if s.Group == group {
			name = string(s.ID)
		}
		words = append(words, cobra.CompletionWithDesc(name, s.Group.String()+", "+ui.Age(a.Now().Sub(s.Began(a.Now())))+" old, "+ui.Bytes(s.Bytes)))
	}
	return words
}

// everySet lists what completion offers, newest first; nothing when it cannot.
func (a *App) everySet(ctx context.Context) []catalog.Set {
	repo, err := a.Repository(ctx)
	if err != nil {
		return nil
	}
	sets, err := listSets(ctx, repo, "", "")
	if err != nil {
		return nil
	}
	return sets
}
