package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/bmad-forge/forgectl/pkg/job"
	"github.com/bmad-forge/forgectl/pkg/rediscache"
	"github.com/bmad-forge/forgectl/pkg/ui"
)

type cacheFlushOptions struct {
	rediscache.FlushOptions
	dryRun, stale bool
	django        string
	classes       []string
}

func newCacheFlushCmd(app *App) *cobra.Command {
	var o cacheFlushOptions
	cmd := &cobra.Command{
		Use:   "flush",
		Short: "Remove the application's keys from the cache, without a stall",
		Long: `Removes the application's keys: those that begin with KEY_PREFIX:VERSION: of Django.
--pattern and --group take others. Keys are found with SCAN and removed with UNLINK in
small steps, and it steps back as soon as PING of another connection takes longer than
4 ms. What is written meanwhile may stay. Nothing is asked: the application makes again
what it misses.

--all empties the whole database (FLUSHDB ASYNC). What else lives in it is shown first,
and "all" has to be typed (or --yes). Sessions and queues may be there.

--stale removes only entries that the current release cannot use: those in whose pickle a
model says another Django version than --django (default: django_version in redis.warm,
else what a requirements file of the release pins); that hold a model which the database,
if it answers, does not know (django_content_type); or that hold a --class (app.Model, or
module.Name; may be repeated). The pickle is read, and nothing of it executed.

--dry-run counts keys and bytes by group, and removes nothing; with --all it
shows what else lives there.

With -o json: {"selection", "keys", "bytes", "seconds", "worst_ping_ms", "dry_run"}, with
--dry-run what cache memory prints. "bytes" is an estimate from a sample.`,
		Example: `  forgectl cache flush --dry-run
  forgectl cache flush
  forgectl cache flush --group 'bmad:1:template:*' --rate 5000
  forgectl cache flush --stale --dry-run
  forgectl cache flush --all`,
		Annotations: operationCodes(),
		Args:        cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Rate < 0 {
				return app.misuse("--rate %d: must not be negative", o.Rate)
			}
			if !o.stale && (o.django != "" || len(o.classes) > 0) {
				return app.misuse("--django and --class are for --stale")
			}
			if o.stale && o.All {
				return app.misuse("--all takes what others wrote, and --stale is about this application: which is it?")
			}
			if err := o.Check(); err != nil {
				return app.misuse("--pattern, --group and --all: which is it?")
			}
			return app.cacheFlush(cmd.Context(), o)
		},
	}
	selectFlags(cmd, &o.Selection)
	f := cmd.Flags()
	f.BoolVar(&o.All, "all", false, "every key of the database, whoever wrote it")
	f.BoolVar(&o.stale, "stale", false, "only what the current release cannot use")
	f.StringVar(&o.django, "django", "", "with --stale: the `VERSION` of Django in the current release")
	f.StringSliceVar(&o.classes, "class", nil, "with --stale: a `CLASS` that is not to be in the cache")
	complete(cmd, "django", cobra.NoFileCompletions)
	complete(cmd, "class", cobra.NoFileCompletions)
	rateFlag(cmd, &o.Rate, 0, "remove at most so many `KEYS` a second; 0 is as many as nobody feels")
	f.BoolVar(&o.dryRun, "dry-run", false, "count what would be removed, remove nothing")
	return cmd
}

func (a *App) cacheFlush(ctx context.Context, o cacheFlushOptions) error {
	if _, err := a.Config(); err != nil {
		return err
	}
	o.Prefix = a.cachePrefix()
	return a.operate(ctx, operation{
		Spec: job.Spec{Operation: "cache flush", Target: o.String()}, Check: o.dryRun,
		Do: func(ctx context.Context, run *job.Run) (result, error) {
			cache, err := a.Cache(ctx)
			if err != nil {
				return result{}, err
			}
			if o.stale {
				release, err := a.release(ctx, run, o)
				if err != nil {
					return result{}, err
				}
				o.Stale = release.Stale
			}
			if o.dryRun {
				survey, err := cache.Survey(ctx, rediscache.SurveyOptions{Selection: o.Selection, Stale: o.Stale})
				if err != nil {
					return result{}, fmt.Errorf("look at %s: %w", o, err)
				}
				return surveyResult(survey), nil
			}
			if o.All {
				if err := a.confirmFlushAll(ctx, cache, o.Prefix); err != nil {
					return result{}, err
				}
			}
			bar := a.Streams.ProgressOf("keys", 0)
			defer bar.Done()
			o.Progress = bar.Set
			done, err := cache.Flush(ctx, o.FlushOptions)
			bar.Done()
			run.Fact("keys", done.Keys)
			run.Fact("bytes", done.Bytes)
			if err != nil {
				err = fmt.Errorf("flush %s: %w", o, err)
			}
			return flushedResult(o, done), err
		},
	})
}

// confirmFlushAll shows what lives in the database, the application's or not.
func (a *App) confirmFlushAll(ctx context.Context, cache *rediscache.Cache, prefix rediscache.Prefix) error {
	survey, err := cache.Survey(ctx, rediscache.SurveyOptions{Selection: rediscache.Selection{Prefix: prefix, All: true}, Bound: 20_000})
	if err != nil {
		return err
	}
	others := int64(0)
	for _, g := range survey.Groups {
		if prefix.Namespace(g.Pattern) != prefix.String() {
			others += g.Keys
		}
	}
	if a.Streams.OutTTY && a.flags.output.value != outputJSON {
		if err := groupTable(a.Streams, survey.Sorted()); err != nil {
			return err
		}
	}
	return a.Confirm(ctx, fmt.Sprintf("Remove all %s of %s, %s of them not the application's?", things(int(survey.Looked), "key"), cache, ui.Count(others)), "all")
}
