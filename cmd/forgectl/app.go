package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/user"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/bmad-forge/forgectl/pkg/config"
	"github.com/bmad-forge/forgectl/pkg/job"
	"github.com/bmad-forge/forgectl/pkg/proc"
	"github.com/bmad-forge/forgectl/pkg/ui"
)

// program is how messages begin.
const program = "forgectl"

// App is what every command gets. Nothing in it is opened before a command asks
// for it, so that help, version and completion touch nothing.
type App struct {
	Streams *ui.Streams
	Environ []string
	Now     func() time.Time
	Root    bool // this is the superuser

	flags globalFlags

	cmd      *cobra.Command // the command that runs
	tried    bool           // it has begun its work
	degraded bool           // a warning was printed
	loaded   *config.Loaded
	secrets  []string // passwords that were found elsewhere than in the configuration
	logger   *slog.Logger
	closers  []io.Closer
}

// Config loads the configuration once. Flags that were bound to a setting with
// bindSetting take part.
func (a *App) Config() (*config.Loaded, error) {
	if a.loaded != nil {
		return a.loaded, nil
	}
	o := config.Options{
		Path: a.flags.config, Environ: a.Environ, Root: a.Root,
		Flags: make(map[string]string), FlagNames: make(map[string]string),
	}
	if a.cmd != nil {
		a.cmd.Flags().Visit(func(f *pflag.Flag) {
			if keys := f.Annotations[settingAnnotation]; len(keys) == 1 {
				o.Flags[keys[0]], o.FlagNames[keys[0]] = flagText(f), f.Name
			}
		})
	}
	loaded, err := config.Load(o)
	if mistake := find[*config.Error](err); mistake != nil && mistake.OfFlag() {
		err = withHint(err, "%s --help", a.cmd.CommandPath())
	}
	if err != nil {
		return nil, withCode(exitUnknown, err)
	}
	a.loaded = loaded
	return loaded, nil
}

const settingAnnotation = "forgectl_setting"

// bindSetting makes a flag of a command override a setting of the configuration
// file.
func bindSetting(cmd *cobra.Command, flag, key string) {
	if err := cmd.Flags().SetAnnotation(flag, settingAnnotation, []string{key}); err != nil {
		panic(fmt.Sprintf("bind --%s of %s: %v", flag, cmd.Name(), err))
	}
}

// flagText is a flag's value as one would write it in the configuration.
func flagText(f *pflag.Flag) string {
	if list, ok := f.Value.(pflag.SliceValue); ok {
		return strings.Join(list.GetSlice(), ",")
	}
	return f.Value.String()
}

// Proc runs programs.
func (a *App) Proc() proc.Runner {
	return proc.System{Environ: a.Environ, Logger: a.Logger()}
}

// Jobs runs operations in their frame and knows the history.
func (a *App) Jobs() (*job.Runner, error) {
	cfg, err := a.Config()
	if err != nil {
		return nil, err
	}
	host, err := os.Hostname()
	if err != nil {
		a.Logger().Warn("no host name for the records", "error", err)
	}
	return &job.Runner{
		StateDir: cfg.StateDir, Host: host, User: userName(), Version: buildInfo().Version,
		Now: a.Now, Logger: a.Logger(), Scrub: a.scrub, Proc: a.Proc(),
		Hooks: job.Hooks{Before: cfg.Hooks.Before, After: cfg.Hooks.After, Timeout: cfg.Hooks.Timeout},
	}, nil
}

// userName is who runs this, for locks and records.
func userName() string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	return strconv.Itoa(os.Getuid())
}

// scrub removes secrets from a text that people will read.
func (a *App) scrub(text string) string {
	secrets := a.secrets
	if a.loaded != nil {
		secrets = append(a.loaded.Secrets(), secrets...)
	}
	for _, secret := range secrets {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "***")
		}
	}
	return config.Mask(text)
}

// onClose registers what is closed when the command has ended, last one first.
func (a *App) onClose(c io.Closer) { a.closers = append(a.closers, c) }

func (a *App) close() {
	for i := len(a.closers) - 1; i >= 0; i-- {
		if err := a.closers[i].Close(); err != nil {
			a.warn(fmt.Sprintf("close: %v", err))
		}
	}
	a.closers = nil
}
