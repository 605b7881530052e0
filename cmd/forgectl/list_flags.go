package main

import (
	"github.com/spf13/cobra"

	"github.com/bmad-forge/forgectl/pkg/catalog"
)

// listOptions narrow all sets down to some.
type listOptions struct {
	kind     choice
	database string
}

// groupFlags are --kind and --database.
func groupFlags(app *App, cmd *cobra.Command, o *listOptions) {
	o.kind.of = []string{string(catalog.KindDatabase), string(catalog.KindMedia), string(catalog.KindConfig), string(catalog.KindFull)}
	cmd.Flags().Var(&o.kind, "kind", "only sets of this `KIND`: database, media, config, full")
	complete(cmd, "kind", cobra.FixedCompletions(o.kind.of, cobra.ShellCompDirectiveNoFileComp))
	cmd.Flags().StringVar(&o.database, "database", "", "only sets of the database `NAME`")
	complete(cmd, "database", app.completeDatabases)
}

// checkListOptions refuses the database of what has none.
func (a *App) checkListOptions(o listOptions) error {
	if kind := o.of(); kind != "" && kind != catalog.KindDatabase && o.database != "" {
		return a.misuse("--kind %s and --database were given: which is it?", kind)
	}
	return nil
}

// of is the kind that was asked for, "" for all.
func (o listOptions) of() catalog.Kind { return catalog.Kind(o.kind.value) }

// group is the one group that is meant where there can be only one: configured is that of the configured database.
func (o listOptions) group(configured catalog.Group) catalog.Group {
	switch kind := o.of(); {
	case o.database != "":
		configured.Database = o.database
	case kind != "" && kind != catalog.KindDatabase:
		return catalog.Group{Kind: kind}
	}
	return configured
}
