package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bmad-forge/forgectl/pkg/atomicfile"
	"github.com/bmad-forge/forgectl/pkg/config"
	"github.com/bmad-forge/forgectl/pkg/ui"
)

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
