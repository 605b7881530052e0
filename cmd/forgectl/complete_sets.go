package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/inventory"
	"github.com/bmad-forge/forgectl/pkg/ui"
)

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
	sets, err := inventory.Sets(ctx, repo.Catalog, "", "")
	if err != nil {
		return nil
	}
	return sets
}
