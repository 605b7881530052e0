package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// shell is one whose completion can be generated.
type shell struct {
	name     string
	file     string // the name under which the shell looks for it
	generate func(root *cobra.Command, w io.Writer) error
}

func shells() []shell {
	return []shell{
		{"bash", program + ".bash", func(root *cobra.Command, w io.Writer) error { return root.GenBashCompletionV2(w, true) }},
		{"zsh", "_" + program, func(root *cobra.Command, w io.Writer) error { return root.GenZshCompletion(w) }},
		{"fish", program + ".fish", func(root *cobra.Command, w io.Writer) error { return root.GenFishCompletion(w, true) }},
	}
}

func newCompletionCmd(app *App) *cobra.Command {
	var names []string
	for _, s := range shells() {
		names = append(names, s.name)
	}
	return &cobra.Command{
		Use:   "completion bash|zsh|fish",
		Short: "Print the completion script for a shell",
		Long: `Prints a script that completes commands, flags and values. Values such as the
ids of backup sets are looked up at the moment of completion. Nothing is changed.`,
		Example: `  source <(forgectl completion bash)
  forgectl completion zsh >"${fpath[1]}/_forgectl"
  forgectl completion fish >~/.config/fish/completions/forgectl.fish`,
		Annotations: codes(exitOK),
		ValidArgs:   names,
		Args:        cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, s := range shells() {
				if s.name == args[0] {
					return s.generate(cmd.Root(), app.Streams.Out)
				}
			}
			return fmt.Errorf("no completion for %s", args[0])
		},
	}
}
