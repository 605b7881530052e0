package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/bmad-forge/forgectl/pkg/atomicfile"
	"github.com/bmad-forge/forgectl/pkg/job"
	"github.com/bmad-forge/forgectl/pkg/rediscache"
)

type memoryOptions struct {
	rediscache.SurveyOptions
	mine, resume bool
}

func newCacheMemoryCmd(app *App) *cobra.Command {
	var o memoryOptions
	cmd := &cobra.Command{
		Use:   "memory",
		Short: "Count the keys of the database by pattern, with their memory",
		Long: `Groups all keys of the database by application, version and pattern, found by itself:
numbers, UUIDs and hashes become a star, as in bmad:1:template:*. For each group: keys,
bytes, types, TTL, keys that never expire; and the biggest keys.

Up to --bound keys are measured one by one (MEMORY USAGE). Of more, a sample is, and
bytes are an estimate: the column ± says by how much it may be off, with a confidence of
95 %. Counts of keys are exact. The biggest keys are those that were measured.

Keys are measured at --rate a second at most. A run that was stopped goes on with
--resume where it was. Nothing in the cache is changed.

With -o json: {"keys", "database_keys", "whole", "sampled", "groups": [{"pattern", "keys",
"measured", "bytes", "bytes_plus_minus", "types", "no_ttl", "ttl_seconds": {"min", "mean",
"max"}}], "biggest": [{"key", "type", "bytes"}]}.`,
		Example: `  forgectl cache memory
  forgectl cache memory --mine --bound 1000000
  forgectl cache memory --resume`,
		Annotations: operationCodes(),
		Args:        cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Bound < 1 || o.Rate < 0 || o.Top < 1 {
				return app.misuse("--bound and --top must be at least 1, --rate at least 0")
			}
			if o.All = !o.mine && o.Pattern == "" && o.Group == ""; o.mine && (o.Pattern != "" || o.Group != "") {
				return app.misuse("--mine, --pattern and --group: which is it?")
			}
			return app.cacheMemory(cmd.Context(), o)
		},
	}
	selectFlags(cmd, &o.Selection)
	f := cmd.Flags()
	f.BoolVar(&o.mine, "mine", false, "only the application's keys")
	f.IntVar(&o.Bound, "bound", rediscache.DefaultBound, "measure so many `KEYS`, and a sample of more")
	complete(cmd, "bound", cobra.NoFileCompletions)
	f.IntVar(&o.Top, "top", 10, "name so many of the biggest `KEYS`")
	complete(cmd, "top", cobra.NoFileCompletions)
	f.BoolVar(&o.resume, "resume", false, "go on where the last run was stopped")
	rateFlag(cmd, &o.Rate, 20_000, "measure at most so many `KEYS` a second; 0 is any number")
	return cmd
}

// surveyFile is where a survey that was stopped is remembered.
func (a *App) surveyFile() string { return filepath.Join(a.loaded.StateDir, "cache-memory.json") }

func (a *App) cacheMemory(ctx context.Context, o memoryOptions) error {
	return a.operate(ctx, operation{
		Spec: job.Spec{Operation: "cache memory", Target: "redis"}, Check: true,
		Do: func(ctx context.Context, run *job.Run) (result, error) {
			cache, err := a.Cache(ctx)
			if err != nil {
				return result{}, err
			}
			o.Prefix = a.cachePrefix()
			if o.resume {
				if o.Resume, err = a.savedSurvey(); err != nil {
					return result{}, err
				}
			}
			o.Save = a.saveSurvey
			bar := a.Streams.ProgressOf("keys", 0)
			defer bar.Done()
			o.Progress = bar.Set
			survey, err := cache.Survey(ctx, o.SurveyOptions)
			bar.Done()
			if survey == nil {
				return result{}, err
			}
			run.Fact("keys", survey.Looked)
			if survey.Denied > 0 {
				run.Warn(fmt.Sprintf("this user of Redis may not look at %s of those that were to be measured: they are counted, and nothing more; ACL LIST, as an administrator, says what it may do", things(int(survey.Denied), "key")))
			}
			if err != nil && survey.Cursor != 0 {
				if saveErr := a.saveSurvey(survey); saveErr == nil {
					err = withHint(err, "forgectl cache memory --resume")
				}
			} else if err == nil {
				_ = os.Remove(a.surveyFile())
			}
			return surveyResult(survey), err
		},
	})
}

func (a *App) savedSurvey() (*rediscache.Survey, error) {
	data, err := os.ReadFile(a.surveyFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, withHint(unknown("there is nothing to resume"), "forgectl cache memory")
	}
	var s rediscache.Survey
	if err == nil {
		err = json.Unmarshal(data, &s)
	}
	if err != nil || s.Groups == nil {
		return nil, withHint(unknown("what the last run left cannot be read"), "forgectl cache memory")
	}
	return &s, nil
}

func (a *App) saveSurvey(s *rediscache.Survey) error {
	data, err := json.Marshal(s)
	if err == nil {
		err = atomicfile.MkdirAll(a.loaded.StateDir, 0o700)
	}
	if err == nil {
		err = atomicfile.Write(a.surveyFile(), 0o600, data)
	}
	if err != nil {
		return fmt.Errorf("remember how far it came: %w", err)
	}
	return nil
}
