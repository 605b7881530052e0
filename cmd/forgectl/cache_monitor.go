package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/bmad-forge/forgectl/pkg/job"
	"github.com/bmad-forge/forgectl/pkg/rediscache"
	"github.com/bmad-forge/forgectl/pkg/ui"
)

func newCacheMonitorCmd(app *App) *cobra.Command {
	o := rediscache.MonitorOptions{}
	var reveal bool
	cmd := &cobra.Command{
		Use:   "monitor",
		Short: "Watch who does what with the cache for a while",
		Long: `Watches all commands for a while (MONITOR), and counts them: by command, by caller (name
of the client and address), by group of keys. The hit ratio is that of this time, slow
commands are from the slow log. On a terminal the counts are shown while they grow.

MONITOR costs Redis something for each command of everybody. So it ends by itself when its
output piles up on the server, or when PING takes twice as long as before (and more than
2 ms); that is a WARNING. --heedless goes on whatever PING takes.

Values are not shown. --reveal shows the last command of each group with its arguments,
and those of slow commands; never of AUTH, HELLO, ACL, CONFIG, MIGRATE. Callers through a
socket cannot be told apart.

With -o json: {"seconds", "commands", "commands_by_name": [{"name", "count"}], "callers":
[], "groups": [{"pattern", "reads", "writes", "example"}], "hit_ratio", "slow": [],
"worst_ping_ms", "stopped"}.`,
		Example: `  forgectl cache monitor
  forgectl cache monitor --for 1m -o json
  forgectl cache monitor --reveal`,
		Annotations: operationCodes(),
		Args:        cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.For <= 0 || o.MaxBuffer < 1 {
				return app.misuse("--for and --max-buffer must be above 0")
			}
			return app.cacheMonitor(cmd.Context(), o, reveal)
		},
	}
	f := cmd.Flags()
	f.DurationVar(&o.For, "for", 10*time.Second, "watch for this `TIME`")
	complete(cmd, "for", cobra.NoFileCompletions)
	f.BoolVar(&o.AllDBs, "all-databases", false, "count commands in other databases too")
	f.BoolVar(&reveal, "reveal", false, "show arguments, but no passwords")
	f.BoolVar(&o.Heedless, "heedless", false, "go on when PING takes longer than before")
	f.Int64Var(&o.MaxBuffer, "max-buffer", rediscache.DefaultMaxBuffer, "end when so many `BYTES` of output wait on the server")
	complete(cmd, "max-buffer", cobra.NoFileCompletions)
	return cmd
}

func (a *App) cacheMonitor(ctx context.Context, o rediscache.MonitorOptions, reveal bool) error {
	return a.operate(ctx, operation{
		Spec: job.Spec{Operation: "cache monitor", Target: "redis"}, Check: true,
		Do: func(ctx context.Context, run *job.Run) (result, error) {
			cache, err := a.Cache(ctx)
			if err != nil {
				return result{}, err
			}
			o.Prefix = a.cachePrefix()
			live := a.Streams.Live()
			o.Live = func(w *rediscache.Watched) {
				live.Draw(func(s *ui.Streams) error { return watchedTables(s, w, 5, false) })
			}
			w, err := cache.Monitor(ctx, o)
			live.Done()
			if w == nil {
				return result{}, err
			}
			run.Fact("commands", w.Events)
			if w.Stopped != "" {
				run.Warn("stopped by itself after " + ui.Duration(w.Took) + ": " + w.Stopped)
			}
			return watchedResult(w, reveal), err
		},
	})
}
