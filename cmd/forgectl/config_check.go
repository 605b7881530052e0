package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bmad-forge/forgectl/pkg/config"
	"github.com/bmad-forge/forgectl/pkg/ui"
)

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
