package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bmad-forge/forgectl/pkg/config"
	"github.com/bmad-forge/forgectl/pkg/ui"
)

// shownConfig is the JSON of forgectl config show.
type shownConfig struct {
	File   string         `json:"file"` // empty: none was read
	Values []config.Value `json:"values"`
}

func newConfigShowCmd(app *App) *cobra.Command {
	return &cobra.Command{
		Use:   "show [KEY]...",
		Short: "Print every setting with its value and source",
		Long: `Prints the settings that are in force, or only those named, and for each where its
value comes from: the default, a line of a file, a variable of the environment or a
flag. Passwords are masked. A KEY may be a whole section, such as backup.keep.
Nothing is changed.

With -o json: {"file", "values": [{"key", "value", "default", "source", "secret",
"env", "doc"}]}; file is empty when none was read.`,
		Example: `  forgectl config show
  forgectl config show repository backup.keep
  DB_NAME=other forgectl config show database.name -o json`,
		Annotations: codes(exitOK),
		Args:        cobra.ArbitraryArgs,
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return app.completeSettings(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error { return app.showConfig(args) },
	}
}

func (a *App) completeSettings() []string {
	loaded, err := a.Config()
	if err != nil {
		return nil
	}
	var keys []string
	for _, v := range loaded.Values() {
		doc, _, _ := strings.Cut(v.Doc, ". ")
		keys = append(keys, cobra.CompletionWithDesc(v.Key, doc))
	}
	return keys
}

func (a *App) showConfig(keys []string) error {
	loaded, err := a.Config()
	if err != nil {
		return err
	}
	values := loaded.Values()
	for _, key := range keys {
		if !slices.ContainsFunc(values, func(v config.Value) bool { return within(v.Key, key) }) {
			return withHint(unknown("no such setting: %s", key), "forgectl config show")
		}
	}
	if len(keys) > 0 {
		values = slices.DeleteFunc(values, func(v config.Value) bool {
			return !slices.ContainsFunc(keys, func(key string) bool { return within(v.Key, key) })
		})
	}
	return a.show(result{JSON: shownConfig{loaded.File, values}, Text: func(s *ui.Streams) error {
		t := s.Table(ui.Column{Title: "KEY"}, ui.Column{Title: "VALUE"}, ui.Column{Title: "SOURCE"})
		for _, v := range values {
			source := v.Source
			if source == "default" {
				source = s.Faint(source)
			}
			t.Row(v.Key, v.Value, source)
		}
		return t.Flush()
	}})
}

// within reports whether a setting is the key or lies in the section key.
func within(setting, key string) bool {
	return setting == key || strings.HasPrefix(setting, key+".")
}
