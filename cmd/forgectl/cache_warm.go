package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/bmad-forge/forgectl/pkg/config"
	"github.com/bmad-forge/forgectl/pkg/job"
	"github.com/bmad-forge/forgectl/pkg/rediscache"
	"github.com/bmad-forge/forgectl/pkg/rediscache/warm"
	"github.com/bmad-forge/forgectl/pkg/ui"
)

func newCacheWarmCmd(app *App) *cobra.Command {
	o := warm.Options{}
	cmd := &cobra.Command{
		Use:   "warm [NAME...]",
		Short: "Put into the cache what the application would put there itself",
		Long: `Runs the entries of redis.warm, or those that are named: reads the rows of the query in
database.url, in a transaction that can change nothing, and sets a key for each. The types
of the columns decide the types of Python; a type without a counterpart is an error that
names the column. Each value is read back before it is sent. Memory does not grow with
the number of rows. An entry with via: command runs the application's own command.

It refuses (UNKNOWN) where Redis is evicting keys, or has no room for what the first rows
let expect; --force does it all the same. Interrupted, it says how many keys were written:
they stay, and end with their TTL.

With -o json: {"entries": [{"name", "codec", "rows", "written", "present", "bytes",
"estimated_bytes", "seconds", "sample": {"key", "value", "ttl_seconds", "bytes"}}],
"dry_run"}, where "present" is what --missing left alone, and "rows" is null where nobody
counted them: it ended early, or the application's own command ran.`,
		Example: `  forgectl cache warm --dry-run
  forgectl cache warm
  forgectl cache warm templates --missing`,
		Annotations:       operationCodes(),
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: app.completeWarm,
		RunE: func(cmd *cobra.Command, args []string) error {
			return app.warmCache(cmd.Context(), args, o)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.Missing, "missing", false, "set only keys that are not there")
	f.BoolVar(&o.Force, "force", false, "also where Redis is evicting or has no room")
	f.BoolVar(&o.DryRun, "dry-run", false, "write nothing; show one sample of each, with its key and TTL")
	return cmd
}

// completeWarm offers the names of the entries.
func (a *App) completeWarm(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	cfg, err := a.Config()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, e := range cfg.Redis.Warm {
		if !slices.Contains(args, e.Name) {
			names = append(names, e.Name)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// chosenWarm are the entries that are meant: all without names.
func (a *App) chosenWarm(names []string) ([]config.WarmEntry, error) {
	cfg, err := a.Config()
	if err != nil {
		return nil, err
	}
	var known []string
	var chosen []config.WarmEntry
	for _, e := range cfg.Redis.Warm {
		known = append(known, e.Name)
		if len(names) == 0 || slices.Contains(names, e.Name) {
			chosen = append(chosen, e)
		}
	}
	for _, name := range names {
		if !slices.Contains(known, name) {
			return nil, withHint(unknown("nothing named %q is in redis.warm", name), "forgectl config show redis.warm")
		}
	}
	if len(chosen) == 0 {
		return nil, withHint(unknown("redis.warm is empty"), "forgectl config show redis.warm")
	}
	return chosen, nil
}

// warmCache warms one entry after the other. The first that fails ends it; what was done is shown all the same.
func (a *App) warmCache(ctx context.Context, names []string, o warm.Options) error {
	entries, err := a.chosenWarm(names)
	if err != nil {
		return err
	}
	var cache *rediscache.Cache
	return a.operate(ctx, operation{
		Spec:  job.Spec{Operation: "cache warm", Target: a.loaded.Redis.KeyPrefix, Shared: true},
		Check: o.DryRun,
		Open: func(ctx context.Context) (string, error) {
			cache, err = a.Cache(ctx)
			return "", err
		},
		Do: func(ctx context.Context, run *job.Run) (result, error) {
			o.Prefix = a.cachePrefix()
			shown := warmed{DryRun: o.DryRun, Entries: []warmedEntry{}}
			for _, e := range entries {
				one, err := a.warmEntry(ctx, cache, e, o)
				shown.Entries = append(shown.Entries, one)
				figures := one
				figures.Sample = nil // rows of the database are not for the history
				run.Fact(e.Name, figures)
				if err != nil {
					return shown.result(), fmt.Errorf("warm %s: %w", e.Name, warmError(err, one))
				}
				if e.Via == config.WarmViaQuery && *one.Rows == 0 {
					run.Warn(fmt.Sprintf("the query of %s returns no rows", e.Name))
				}
			}
			return shown.result(), nil
		},
	})
}

// warmError says with the error how far things came.
func warmError(err error, one warmedEntry) error {
	switch {
	case one.Written == 0 && one.Present == 0:
		return err
	case one.Rows == nil:
		return fmt.Errorf("after %s were written: %w", things(int(one.Written), "key"), err)
	}
	return fmt.Errorf("after %s of %s were written: %w", ui.Count(one.Written), things(int(*one.Rows), "key"), err)
}

// warmHint is the next step after a warm that was refused.
func warmHint(err error) string {
	switch {
	case isA[*warm.RoomError](err):
		return "forgectl cache stats; raise maxmemory, warm less, or --force"
	case errors.Is(err, warm.ErrDjangoVersion):
		return "name it in the entry: django_version"
	case isA[*warm.ColumnError](err):
		return "cast it in the query, as in column::text, or leave it out"
	}
	return "forgectl config show redis.warm"
}
