package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/bmad-forge/forgectl/pkg/rediscache"
)

func newCacheStatsCmd(app *App) *cobra.Command {
	var watch time.Duration
	cmd := &cobra.Command{
		Use:   "stats",
		Short: "Say how Redis is, as a check with thresholds",
		Long: `Prints what an operator acts on: hit ratio, evictions, memory against maxmemory and its
policy, fragmentation, clients, latency of PING, persistence, replication, slow commands.
With --for it watches for a while, and says the hit ratio and rates of that time too.

WARNING and CRITICAL come from redis.check.* and from what is wrong by itself: a snapshot
that failed, an append-only file that cannot be written, a replica where a master should
be, a link that is down. Memory only counts where a full one refuses writes.

With -o json: {"server", "version", "keys", "hit_ratio", "memory_bytes", ...
"findings": [{"critical", "text", "hint"}]}; a ratio is null when nobody asked for a key.`,
		Example: `  forgectl cache stats
  forgectl cache stats --for 5s --min-hit-ratio 80%
  forgectl cache stats --max-latency 5ms -o json`,
		Annotations: codes(exitOK, exitWarning, exitCritical),
		Args:        cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if watch < 0 {
				return app.misuse("--for %s: must not be negative", watch)
			}
			return app.cacheStats(cmd.Context(), watch)
		},
	}
	f := cmd.Flags()
	f.DurationVar(&watch, "for", 0, "watch for this `TIME`, such as 5s, for rates")
	complete(cmd, "for", cobra.NoFileCompletions)
	for _, flag := range []struct{ name, key, usage string }{
		{"max-memory", "redis.check.memory", "WARNING from this `SHARE` of maxmemory on (default: redis.check.memory)"},
		{"max-clients", "redis.check.clients", "WARNING from this `SHARE` of maxclients on (default: redis.check.clients)"},
		{"min-hit-ratio", "redis.check.hit_ratio", "WARNING when a smaller `SHARE` of reads finds something (default: redis.check.hit_ratio)"},
		{"max-latency", "redis.check.latency", "WARNING when PING takes longer than this `TIME` (default: redis.check.latency)"},
		{"max-evictions", "redis.check.evictions", "WARNING when more `KEYS` are evicted in a second (default: redis.check.evictions)"},
	} {
		f.String(flag.name, "", flag.usage)
		bindSetting(cmd, flag.name, flag.key)
		complete(cmd, flag.name, cobra.NoFileCompletions)
	}
	return cmd
}

func (a *App) cacheStats(ctx context.Context, watch time.Duration) error {
	cache, err := a.Cache(ctx)
	if err != nil {
		return err
	}
	stats, err := cache.Stats(ctx, rediscache.StatsOptions{For: watch})
	if err != nil {
		return err
	}
	findings := stats.Judge(a.cacheLimits())
	var errs []error
	for _, f := range findings {
		if f.Critical {
			errs = append(errs, withHint(withCode(exitCritical, errText(f.Text)), "%s", f.Hint))
		} else {
			a.warn(f.Text)
		}
	}
	return all(append(errs, a.show(cacheStatsResult(cache, stats, findings)))...)
}

// errText is a finding as an error.
type errText string

func (e errText) Error() string { return string(e) }

func (a *App) cacheLimits() rediscache.Limits {
	c := a.loaded.Redis.Check
	return rediscache.Limits{
		Memory: float64(c.Memory) / 100, Clients: float64(c.Clients) / 100, HitRatio: float64(c.HitRatio) / 100,
		Latency: c.Latency, Evictions: float64(c.Evictions),
	}
}
