package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/job"
	"github.com/bmad-forge/forgectl/pkg/postgres/pgdump"
	"github.com/bmad-forge/forgectl/pkg/ui"
	"github.com/bmad-forge/forgectl/pkg/verify"
)

type verifyOptions struct {
	name   string // an id, or latest
	all    bool
	level  choice
	drill  bool
	maxAge time.Duration
}

func newBackupVerifyCmd(app *App) *cobra.Command {
	levels := []string{catalog.LevelChecksum, catalog.LevelDecode, catalog.LevelDrill}
	o := verifyOptions{level: choice{value: catalog.LevelChecksum, of: levels}}
	cmd := &cobra.Command{
		Use:   "verify [ID|latest]",
		Short: "Prove that sets are what they should be",
		Long: `Examines a set and records the verdict beside it, where "backup list" shows it.

  checksum  every file is there and has its hash
  decode    also: every artifact decrypts and decompresses to what went in
  drill     also: the set is restored into a throwaway server and compared, table by
            table. Only this proves a backup; the time it takes is the measured
            recovery time.

"latest" (the default) is the newest set of the database, good or not. --all takes
every set of every database, or with --database those of one. Decode and drill need
a secret key for sealed sets, and end UNKNOWN where there is none: nothing is
"verified" that was not. The throwaway server is a private one in scratch_dir, and
is removed on every exit. The sets themselves are never changed.

Damage is CRITICAL and names the file. With --max-age it is also CRITICAL when the
newest good set is older.

With -o json: {"verified": [{"set", "level", "ok", "problems", "warnings", "stages":
[{"name", "seconds"}], "seconds"}]}.`,
		Example: `  forgectl backup verify --max-age 26h
  forgectl backup verify --drill
  forgectl backup verify --all --level decode
  forgectl backup verify 20261123T020000Z`,
		Annotations:       operationCodes(),
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: app.completeSets,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.name = append(args, latest)[0]
			if err := app.checkVerify(cmd, &o, len(args) > 0); err != nil {
				return err
			}
			return app.verifyBackups(cmd, o)
		},
	}
	databaseFlag(app, cmd)
	f := cmd.Flags()
	f.BoolVar(&o.all, "all", false, "every set instead of one")
	f.Var(&o.level, "level", "how far to go: checksum, decode or drill")
	complete(cmd, "level", cobra.FixedCompletions(levels, cobra.ShellCompDirectiveNoFileComp))
	f.BoolVar(&o.drill, "drill", false, "short for --level drill")
	f.DurationVar(&o.maxAge, "max-age", 0, "CRITICAL when the newest good set is older than this `TIME`, such as 26h")
	complete(cmd, "max-age", cobra.NoFileCompletions)
	return cmd
}

func (a *App) checkVerify(cmd *cobra.Command, o *verifyOptions, named bool) error {
	switch {
	case o.all && named:
		return a.misuse("--all and a set were given: which is it?")
	case o.drill && o.level.given && o.level.value != catalog.LevelDrill:
		return a.misuse("--drill and --level %s were given: which is it?", o.level.value)
	case cmd.Flags().Changed("max-age") && o.maxAge <= 0:
		return a.misuse("--max-age %s: must be more than 0", o.maxAge)
	}
	if o.drill {
		o.level.value = catalog.LevelDrill
	}
	return nil
}

func (a *App) verifyBackups(cmd *cobra.Command, o verifyOptions) error {
	ctx := cmd.Context()
	group, err := a.databaseGroup()
	if err != nil {
		return err
	}
	target := group.String() + "/" + o.name
	if o.all {
		target = "all sets"
	}
	var repo *repository
	return a.operate(ctx, operation{
		Spec:  job.Spec{Operation: "backup verify", Target: target, Shared: true},
		Check: true,
		Open: func(ctx context.Context) (string, error) {
			if repo, err = a.Repository(ctx); err != nil {
				return "", err
			}
			return repo.useLock(group)
		},
		Do: func(ctx context.Context, run *job.Run) (result, error) {
			sets, err := a.setsToVerify(ctx, repo, cmd, o)
			if err != nil {
				return result{}, fmt.Errorf("verify: %w", err)
			}
			options, err := a.verifyOptions(repo, o.level.value)
			if err != nil {
				return result{}, err
			}
			options.Logger = run.Log
			shown, err := a.verifySets(ctx, run, options, sets)
			if o.maxAge > 0 {
				err = all(err, a.checkAge(ctx, repo, group, o.maxAge))
			}
			return verifiedResult(shown), err
		},
	})
}

func (a *App) setsToVerify(ctx context.Context, repo *repository, cmd *cobra.Command, o verifyOptions) ([]catalog.Set, error) {
	if !o.all {
		s, err := a.namedSet(ctx, repo, o.name)
		return []catalog.Set{s}, err
	}
	database := ""
	if cmd.Flags().Changed("database") {
		database = a.loaded.Database.Name
	}
	sets, err := listSets(ctx, repo, catalog.KindDatabase, database)
	if err == nil && len(sets) == 0 {
		err = catalog.ErrNotFound
	}
	return sets, err
}

func (a *App) verifyOptions(repo *repository, level string) (verify.Options, error) {
	unlock, err := a.Unlocker()
	if err != nil {
		return verify.Options{}, err
	}
	place, err := a.Scratch()
	if err != nil {
		return verify.Options{}, err
	}
	return verify.Options{
		Catalog: repo.Catalog, Unlock: unlock, Level: level, Finder: a.Finder(), Runner: a.Proc(), Now: a.Now,
		Scratch: place, FreeScratch: func() (int64, error) { return freeBelow(place.Dir) },
	}, nil
}

// verifiedSet is one set in the JSON of forgectl backup verify.
type verifiedSet struct {
	Set      string          `json:"set"`
	Level    string          `json:"level"`
	OK       bool            `json:"ok"`
	Problems []string        `json:"problems"`
	Warnings []string        `json:"warnings"`
	Stages   []catalog.Stage `json:"stages"`
	Seconds  float64         `json:"seconds"`

	compared string
}

// verifySets examines one set after the other. What one lacks does not keep it
// from the others; the end of the context does.
func (a *App) verifySets(ctx context.Context, run *job.Run, o verify.Options, sets []catalog.Set) ([]verifiedSet, error) {
	var shown []verifiedSet
	var errs []error
	progress := a.Stages()
	defer progress.done()
	o.Progress = progress.report
	for _, s := range sets {
		v, err := verify.Verify(ctx, o, s)
		if err != nil {
			errs = append(errs, verifyError(s, err))
			if ctx.Err() != nil {
				break
			}
			continue
		}
		one := verifiedSet{
			Set: s.Ref.String(), Level: v.Level, OK: v.OK, Problems: []string{}, Warnings: append([]string{}, v.Warnings...),
			Stages: append([]catalog.Stage{}, v.Stages...), Seconds: v.Seconds(),
		}
		for _, d := range v.Damage {
			one.Problems = append(one.Problems, d.Error())
			errs = append(errs, verifyError(s, d))
		}
		for _, w := range v.Warnings {
			run.Warn(one.Set + ": " + w)
		}
		if v.OK && v.Level == catalog.LevelDrill {
			one.compared = contents(s.Manifest.Fingerprint)
		}
		shown = append(shown, one)
	}
	progress.done()
	run.Fact("verified", shown)
	return shown, all(errs...)
}

// verifyError names the set, once. What the drill host lacks says nothing about
// the set, so it is UNKNOWN.
func verifyError(s catalog.Set, err error) error {
	var damage *catalog.DamageError
	named := fmt.Errorf("verify %s: %w", s.Ref, err)
	if errors.As(err, &damage) {
		named = fmt.Errorf("verify %w", err)
	}
	var missing *pgdump.MissingError
	if errors.As(err, &missing) && !errors.Is(err, catalog.ErrDamaged) {
		return withHint(withCode(exitUnknown, named), "install it on this host, or drill on one that has it")
	}
	return named
}

// checkAge fails when the newest good set is older than it may be.
func (a *App) checkAge(ctx context.Context, repo *repository, g catalog.Group, limit time.Duration) error {
	s, _, err := repo.Newest(ctx, g, time.Time{})
	if err != nil {
		return withCode(exitCritical, err)
	}
	if age := a.Now().Sub(s.ID.Time()); age > limit {
		return withHint(fmt.Errorf("the newest good set of %s is %s old, more than %s: %s", g, ui.Age(age), limit, s.Ref), "forgectl history")
	}
	return nil
}

func verifiedResult(shown []verifiedSet) result {
	return result{
		JSON: map[string][]verifiedSet{"verified": append([]verifiedSet{}, shown...)},
		Text: func(s *ui.Streams) error {
			t := s.Table(ui.Column{Title: "SET"}, ui.Column{Title: "LEVEL"}, ui.Column{Title: "VERDICT"}, ui.Column{Title: "TOOK", Right: true}, ui.Column{Title: "DETAILS"})
			for _, v := range shown {
				verdict, details := s.Good("ok"), stageTimes(v.Stages)
				if v.compared != "" {
					details = v.compared + " compared; " + details
				}
				if !v.OK {
					verdict, details = s.Bad("damaged"), v.Problems[0]
				}
				t.Row(v.Set, v.Level, verdict, seconds(v.Seconds), details)
			}
			return t.Flush()
		},
	}
}
