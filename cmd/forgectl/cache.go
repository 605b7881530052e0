package main

import "github.com/spf13/cobra"

func newCacheCmd(app *App) *cobra.Command {
	return newGroup("cache", "Look after the application's cache in Redis",
		`Redis is redis.url of the configuration. What belongs to the application is what begins
with KEY_PREFIX:VERSION: of Django (redis.key_prefix, redis.version).`,
		`  forgectl cache warm --dry-run`,
		newCacheWarmCmd(app))
}
