package main

import (
	"github.com/spf13/cobra"
)

func newConfigCmd(app *App) *cobra.Command {
	return newGroup("config", "Write, show and check the configuration",
		`The configuration is one YAML file. A flag beats the environment, the environment
beats the application's environment file, that one beats the configuration file,
and the file beats the defaults.`,
		`  forgectl config init
  forgectl config show
  forgectl config check`,
		newConfigInitCmd(app), newConfigShowCmd(app), newConfigCheckCmd(app))
}
