package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/job"
	"github.com/bmad-forge/forgectl/pkg/postgres/filecolumns"
	"github.com/bmad-forge/forgectl/pkg/seal"
	"github.com/bmad-forge/forgectl/pkg/space"
	"github.com/bmad-forge/forgectl/pkg/verify"
)

func (a *App) verifyBackups(cmd *cobra.Command, o verifyOptions) error {
	ctx := cmd.Context()
	name, err := a.parseSet(o.name)
	if err != nil {
		return err
	}
	if o.sample > 0 && !o.all && name.group.Kind != catalog.KindMedia {
		return a.misuse("--sample is for media sets: media/latest, media/ID, or --all")
	}
	target := name.String()
	if o.all {
		target = "all sets"
	}
	var repo *repository
	return a.operate(ctx, operation{
		Spec:  job.Spec{Operation: "backup verify", Target: target},
		Check: true,
		Open: func(ctx context.Context) (_ string, err error) {
			repo, err = a.Repository(ctx)
			return "", err
		},
		Do: func(ctx context.Context, run *job.Run) (result, error) {
			groups, err := a.groupsToVerify(ctx, repo, cmd, o, name)
			if err != nil {
				return result{}, err
			}
			used, err := repo.referredTo(ctx, name, groups)
			if err != nil {
				return result{}, fmt.Errorf("verify: %w", err)
			}
			release, err := repo.use("backup verify", used...)
			if err != nil {
				return result{}, err
			}
			defer release()
			shown, err := a.verifyGroups(ctx, run, repo, o, name, groups)
			if o.maxAge.given || o.maxAge.rpo {
				err = all(err, a.checkAge(ctx, repo, name.group, o.maxAge, run.Warn))
			}
			return verifiedResult(shown), err
		},
	})
}

// groupsToVerify are those whose sets are looked at.
func (a *App) groupsToVerify(ctx context.Context, repo *repository, cmd *cobra.Command, o verifyOptions, name setName) ([]catalog.Group, error) {
	if !o.all || cmd.Flags().Changed("database") {
		return []catalog.Group{name.group}, nil
	}
	return repo.Groups(ctx, "")
}

func (a *App) verifyGroups(ctx context.Context, run *job.Run, repo *repository, o verifyOptions, name setName, groups []catalog.Group) ([]verifiedSet, error) {
	var sets []catalog.Set
	for _, g := range groups {
		if !o.all {
			break
		}
		list, err := repo.List(ctx, g)
		if err != nil {
			return nil, err
		}
		slices.Reverse(list)
		sets = append(sets, list...)
	}
	if !o.all || len(sets) == 0 {
		s, err := repo.find(ctx, name)
		if err != nil {
			return nil, fmt.Errorf("verify: %w", err)
		}
		sets = append(sets, s)
	}
	options, err := a.verifyOptions(repo, o.level.value)
	if err != nil {
		return nil, err
	}
	options.Logger, options.Sample = run.Log, float64(o.sample)/100
	return a.verifySets(ctx, run, options, sets)
}

func (a *App) verifyOptions(repo *repository, level string) (verify.Options, error) {
	var unlock seal.Unlocker
	var err error
	if level != catalog.LevelChecksum { // which needs no key, and none that is configured has to be there
		if unlock, err = a.Unlocker(); err != nil {
			return verify.Options{}, err
		}
	}
	place, err := a.Scratch()
	if err != nil {
		return verify.Options{}, err
	}
	policy, err := a.Provenance()
	if err != nil {
		return verify.Options{}, err
	}
	columns, err := a.fileColumns()
	if err != nil {
		return verify.Options{}, err
	}
	return verify.Options{
		Columns:    columns,
		Provenance: policy, Group: repo.group(),
		Catalog: repo.Catalog, Unlock: unlock, Level: level, Finder: a.Finder(), Runner: a.Proc(), Now: a.Now, Jobs: a.sessions(),
		Scratch: place, FreeScratch: func() (int64, error) { return space.FreeBelow(place.Dir) },
	}, nil
}

// fileColumns are media.columns.
func (a *App) fileColumns() ([]filecolumns.Column, error) {
	var columns []filecolumns.Column
	for _, name := range a.loaded.Media.Columns {
		c, err := filecolumns.Parse(name)
		if err != nil {
			return nil, unknown("media.columns: %w", err)
		}
		columns = append(columns, c)
	}
	return columns, nil
}
