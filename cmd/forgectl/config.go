package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bmad-forge/forgectl/pkg/atomicfile"
	"github.com/bmad-forge/forgectl/pkg/config"
	"github.com/bmad-forge/forgectl/pkg/ui"
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

func newConfigInitCmd(app *App) *cobra.Command {
	var printIt bool
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Write a commented configuration file",
		Long: `Writes a configuration file with every setting, its default and what it means, to
the place named by --config, by $FORGECTL_CONFIG, or /etc/bmad-forge/forgectl.yaml.
The file is readable by its owner only. One that exists is never touched.

With -o json: {"file"}.`,
		Example: `  forgectl config init
  forgectl config init --config ./forgectl.yaml
  forgectl config init --print | less`,
		Annotations: codes(exitOK, exitCritical),
		Args:        cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if printIt {
				_, err := app.Streams.Out.Write(config.Init())
				return err
			}
			return app.initConfig(app.configPath())
		},
	}
	cmd.Flags().BoolVar(&printIt, "print", false, "print it and write nothing")
	return cmd
}

// configPath is the file that Config would read.
func (a *App) configPath() string {
	if a.flags.config != "" {
		return a.flags.config
	}
	for _, kv := range a.Environ {
		if path, ok := strings.CutPrefix(kv, "FORGECTL_CONFIG="); ok && path != "" {
			return path
		}
	}
	return config.DefaultPath
}

func (a *App) initConfig(path string) error {
	if _, err := os.Lstat(path); err == nil {
		return withHint(unknown("write configuration: %s exists", path), "forgectl config init --print")
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("write configuration: %w", err)
	}
	err := atomicfile.MkdirAll(filepath.Dir(path), 0o700)
	if err == nil {
		err = atomicfile.Write(path, 0o600, config.Init())
	}
	if err != nil {
		return withHint(fmt.Errorf("write configuration: %w", err), "forgectl config init --config FILE")
	}
	return a.showSummary(result{
		JSON: map[string]string{"file": path},
		Text: func(s *ui.Streams) error {
			_, err := fmt.Fprintf(s.Out, "wrote %s\n", ui.Printable(path))
			return err
		},
	})
}

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

// checkedConfig is the JSON of forgectl config check.
type checkedConfig struct {
	File     string           `json:"file"` // empty: none was read
	OK       bool             `json:"ok"`
	Problems []config.Problem `json:"problems"`
	Proposed []string         `json:"proposed_columns"`
}

func newConfigCheckCmd(app *App) *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Find mistakes in the configuration",
		Long: `Reads the configuration as every other command does and looks for what can be
judged on this machine alone: directories that are missing, secret files that
others can read, settings that contradict each other. Nothing is changed. A problem
that makes operations fail ends in exit code 3, one that only deserves a look in 1.

Where media.path is there and media.columns is not set, the database is asked, if it
answers within seconds, which columns of text have values that name files below
media.path: they are proposed. That is no problem, and neither is a database that does
not answer.

With -o json: {"file", "ok", "problems": [{"key", "message", "hint", "failed"}],
"proposed_columns": []}.`,
		Example: `  forgectl config check
  forgectl config check --config ./forgectl.yaml -o json`,
		Annotations: codes(exitOK, exitWarning, exitInterrupted, exitTerminated),
		Args:        cobra.NoArgs,
		RunE:        func(cmd *cobra.Command, _ []string) error { return app.checkConfig(cmd.Context()) },
	}
}

func (a *App) checkConfig(ctx context.Context) error {
	loaded, err := a.Config()
	if err != nil {
		return err
	}
	problems := loaded.Check()
	worst := exitOK
	for _, p := range problems {
		if p.Failed {
			worst = exitUnknown
		} else if worst == exitOK {
			worst = exitWarning
		}
	}
	proposed := a.proposeColumns(ctx)
	checked := checkedConfig{loaded.File, len(problems) == 0, append([]config.Problem{}, problems...), proposed}
	err = a.show(result{JSON: checked, Text: func(s *ui.Streams) error {
		if len(problems) == 0 {
			if _, err := fmt.Fprintf(s.Out, "%s\t%s\n", s.Good("ok"), ui.Printable(checkedFile(loaded.File))); err != nil {
				return err
			}
		}
		t := s.Table(ui.Column{Title: "STATE"}, ui.Column{Title: "KEY"}, ui.Column{Title: "PROBLEM"}, ui.Column{Title: "HINT"})
		for _, p := range problems {
			state := s.Warn("warning")
			if p.Failed {
				state = s.Bad("failed")
			}
			t.Row(state, p.Key, p.Msg, p.Hint)
		}
		if len(proposed) > 0 {
			t.Row("proposal", "media.columns", "these columns name files below media.path", "media: {columns: ["+strings.Join(proposed, ", ")+"]}")
		}
		return t.Flush()
	}})
	return all(err, silently(worst))
}

func checkedFile(file string) string {
	if file == "" {
		return "no file, defaults"
	}
	return file
}
