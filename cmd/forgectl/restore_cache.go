package main

import (
	"context"
	"fmt"
	"time"

	"github.com/bmad-forge/forgectl/pkg/job"
	"github.com/bmad-forge/forgectl/pkg/rediscache"
)

const (
	// cacheReach is how long Redis may keep an exchange waiting for an answer, and
	// cacheFlush how long the whole may take: the application stands still meanwhile.
	cacheReach = 5 * time.Second
	cacheFlush = 30 * time.Second
)

// flushSwapped is what a restore does to the cache when another database has come
// into its place; nil where nobody named a Redis. What goes wrong is a warning: a stale
// cache is cured by one command, which it names.
func (a *App) flushSwapped(run *job.Run, report func(step, detail string)) func(context.Context) {
	r := a.loaded.Redis
	if !r.FlushAfterRestore || r.URL == "" || a.loaded.Source("redis.url") == "default" {
		return nil
	}
	return func(ctx context.Context) {
		report("flush", "the application's keys in Redis")
		ctx, cancel := context.WithTimeoutCause(ctx, cacheFlush, &job.TimeoutError{After: cacheFlush})
		defer cancel()
		cache, err := a.openCache(ctx, cacheReach)
		var done rediscache.Flushed
		if err == nil {
			done, err = cache.Flush(ctx, rediscache.FlushOptions{Selection: rediscache.Selection{Prefix: a.cachePrefix()}})
		}
		if err != nil {
			run.Warn(fmt.Sprintf("the cache still holds what was of the other database: %v; by hand: forgectl cache flush", err))
			return
		}
		run.Fact("cache_keys_removed", done.Keys)
		run.Log.Info("cache flushed", "keys", done.Keys, "took", done.Took)
	}
}
