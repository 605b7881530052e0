package main

import (
	"github.com/spf13/cobra"

	"github.com/bmad-forge/forgectl/pkg/rediscache"
)

func newCacheCmd(app *App) *cobra.Command {
	return newGroup("cache", "See, watch, flush and warm the application's cache in Redis",
		`Redis is redis.url of the configuration. What belongs to the application is what begins
with KEY_PREFIX:VERSION: of Django (redis.key_prefix, redis.version). Keys are found with
SCAN and removed with UNLINK, in small steps, so that nobody else has to wait.`,
		`  forgectl cache stats --for 5s
  forgectl cache memory
  forgectl cache flush --dry-run
  forgectl cache warm --dry-run`,
		newCacheStatsCmd(app), newCacheMemoryCmd(app), newCacheMonitorCmd(app), newCacheFlushCmd(app), newCacheWarmCmd(app))
}

// selectFlags are which keys are meant; the default is the application's.
func selectFlags(cmd *cobra.Command, s *rediscache.Selection) {
	f := cmd.Flags()
	f.StringVar(&s.Pattern, "pattern", "", "keys that match this glob `PATTERN`, whole keys as Redis has them")
	complete(cmd, "pattern", cobra.NoFileCompletions)
	f.StringVar(&s.Group, "group", "", "keys of this `GROUP`, as cache memory prints it")
	complete(cmd, "group", cobra.NoFileCompletions)
}

// rateFlag bounds how fast something goes.
func rateFlag(cmd *cobra.Command, rate *int, value int, usage string) {
	cmd.Flags().IntVar(rate, "rate", value, usage)
	complete(cmd, "rate", cobra.NoFileCompletions)
}
