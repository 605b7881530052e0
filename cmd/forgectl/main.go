// Command forgectl runs the maintenance of a BMAD Forge installation: each
// procedure of the runbook is one command.
//
// The files main, root, app, frame, operation, exit, hint, finish, help, logging and signal are the
// frame; wire opens what the configuration names; every other file is one leaf
// command, or a family of small ones.
package main

import (
	"context"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/bmad-forge/forgectl/pkg/ui"
)

func main() { os.Exit(start(newRoot)) }

// start connects a command tree with this process.
func start(tree func(*App) *cobra.Command) int {
	ctx, stop := withSignals(context.Background())
	defer stop()
	environ := os.Environ()
	app := &App{Streams: ui.System(false, environ), Environ: environ, Now: time.Now, Root: os.Geteuid() == 0}
	return run(ctx, app, tree(app), os.Args[1:])
}

// run is the whole program but for the process around it.
func run(ctx context.Context, app *App, root *cobra.Command, args []string) (code int) {
	defer app.catchPanic(&code)
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	return app.finish(ctx, cmd, err)
}
