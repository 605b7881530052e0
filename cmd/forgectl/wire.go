package main

import "github.com/spf13/cobra"

// wired are the commands that work on what the configuration names: servers,
// repositories. This file is the only place that opens those.
func wired(*App) []*cobra.Command {
	return nil
}
