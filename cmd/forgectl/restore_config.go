package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/job"
	"github.com/bmad-forge/forgectl/pkg/restore"
	"github.com/bmad-forge/forgectl/pkg/ui"
)

type restoreConfigOptions struct {
	name   setName
	at     time.Time
	paths  []string
	to     string
	diff   bool
	reveal bool
	dryRun bool
}

func newRestoreConfigCmd(app *App) *cobra.Command {
	var o restoreConfigOptions
	var at string
	cmd := &cobra.Command{
		Use:   "config [ID|latest] [PATH]...",
		Short: "Bring configuration files back, or compare them",
		Long: `Compares a set of configuration files with what is there, shows what would be added,
replaced, or get another owner or mode, and does it when the name of this host was typed
(or --yes). The whole set is proven first: signature, sums, and each file against the
index. PATHs are absolute, and choose files, and directories with what is below them.

What is replaced is kept below state_dir/replaced, with the script "undo", which brings
it back. Each file is replaced by a rename, with owner, mode and time; links stay links,
hard links become files of their own. Owners are found by name, and by number where this
host does not know the name; without root everything belongs to who runs this, which is
said. What is there and not in the set is left alone, and named. Where the set has a file
and here is a directory, or the other way round, nothing is done. A restore that was cut
short is ended by running it again.

--diff shows what differs, line by line, from what is there to what is in the set, and
changes nothing. Secrets are masked: values of names that look like one, passwords in
URLs, private keys, files that are nothing but a password; a line that is masked on both
sides did change. --reveal shows them. Of files that are no text the hashes are shown.

--to DIR unpacks the files below DIR instead, which must be new or empty: /etc/x becomes
DIR/etc/x. Nothing else is touched.

"latest" (the default) is the newest good set; --at takes the newest good one that was
started at or before a time. An ID alone is a set of kind config.

With -o json: {"set", "to", "dry_run", "changes": [{"path", "state", "type", "what": []}],
"same", "left_alone": [PATH], "unstored": [], "kept", "undo"}, where "state" is add,
replace, dress or conflict; --diff adds "diff" to each that has one.`,
		Example: `  forgectl restore config --diff
  forgectl restore config --dry-run
  forgectl restore config latest /etc/nginx
  forgectl restore config --at '2026-11-23 12:00' --to /root/before`,
		Annotations: operationCodes(),
		Args:        cobra.ArbitraryArgs,
		ValidArgsFunction: func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
			if strings.HasPrefix(typed, "/") || len(args) > 0 {
				return nil, cobra.ShellCompDirectiveDefault
			}
			return app.completeSetsOf(catalog.KindConfig)(cmd, args, typed)
		},
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if err := app.parseRestoreConfig(&o, at, args); err != nil {
				return err
			}
			if o.at, err = app.parseAt(at); err != nil {
				return err
			}
			return app.restoreConfig(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.to, "to", "", "unpack below `DIR`, which must be new or empty")
	complete(cmd, "to", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return nil, cobra.ShellCompDirectiveFilterDirs
	})
	f.BoolVar(&o.diff, "diff", false, "show what differs, change nothing")
	f.BoolVar(&o.reveal, "reveal", false, "with --diff: show secrets too")
	chooseFlags(cmd, &at, &o.dryRun)
	return cmd
}

// parseRestoreConfig finds what arguments and flags alone show to be wrong.
func (a *App) parseRestoreConfig(o *restoreConfigOptions, at string, args []string) (err error) {
	name := latest
	if len(args) > 0 && !strings.HasPrefix(args[0], "/") {
		name, args = args[0], args[1:]
		if at != "" {
			return a.misuse("--at and a set were given: which is it?")
		}
	}
	if o.name, err = a.parseSetOf(catalog.KindConfig, name); err != nil {
		return err
	}
	o.paths = args
	for _, path := range args {
		if !filepath.IsAbs(path) {
			return a.misuse("%q: a path must be absolute", path)
		}
	}
	switch {
	case o.reveal && !o.diff:
		return a.misuse("--reveal is for --diff")
	case o.to != "" && (o.diff || o.dryRun):
		return a.misuse("--to and %s were given: which is it?", map[bool]string{true: "--diff", false: "--dry-run"}[o.diff])
	case o.to != "":
		o.to, err = filepath.Abs(o.to)
	}
	return err
}

func (a *App) restoreConfig(ctx context.Context, o restoreConfigOptions) error {
	var repo *repository
	looks := o.diff || o.dryRun || o.to != ""
	host, _ := os.Hostname()
	return a.operate(ctx, operation{
		Spec:  job.Spec{Operation: "restore config", Target: host},
		Check: o.diff || o.dryRun,
		Open: func(ctx context.Context) (lock string, err error) {
			if repo, err = a.Repository(ctx); err != nil || looks {
				return "", err
			}
			return a.configLock()
		},
		Do: func(ctx context.Context, run *job.Run) (result, error) {
			release, err := repo.use("restore config", o.name.group)
			if err != nil {
				return result{}, err
			}
			defer release()
			options, err := a.restoreConfigOptions(ctx, repo, run, o)
			if err != nil {
				return result{}, fmt.Errorf("restore configuration files: %w", err)
			}
			done, diffs, err := a.doRestoreConfig(ctx, o, options, host)
			shown := a.restoredConfig(run, o, done, diffs)
			if err != nil {
				err = fmt.Errorf("restore configuration files from %s: %w", options.Set.Ref, err)
				if done.Kept != "" && len(done.Done) > 0 {
					return shown, withHint(withCode(exitCritical, fmt.Errorf("%w; %s of %d were restored", err, things(len(done.Done), "entry"), len(done.Changes()))),
						"the same again does the rest; to go back: sh %s", shellWord(filepath.Join(done.Kept, restore.UndoName)))
				}
				return result{}, err
			}
			return shown, nil
		},
	})
}

func (a *App) restoreConfigOptions(ctx context.Context, repo *repository, run *job.Run, o restoreConfigOptions) (r restore.ConfigOptions, err error) {
	r = restore.ConfigOptions{
		Catalog: repo.Catalog, Paths: o.paths, Aside: filepath.Join(a.loaded.StateDir, "replaced"), Logger: run.Log, Now: a.Now,
	}
	if r.Provenance, err = a.Provenance(); err != nil {
		return r, err
	}
	if r.Set, err = a.setToRestore(ctx, repo, run, o.name, o.at); err != nil {
		return r, err
	}
	if host, _ := os.Hostname(); r.Set.Manifest != nil && r.Set.Manifest.Host != host {
		run.Warn(fmt.Sprintf("%s was taken on %s, and this is %s", r.Set.Ref, r.Set.Manifest.Host, host))
	}
	r.Unlock, err = a.Unlocker()
	return r, err
}

// doRestoreConfig calls the one of the four that was asked for.
func (a *App) doRestoreConfig(ctx context.Context, o restoreConfigOptions, options restore.ConfigOptions, host string) (r restore.ConfigResult, diffs map[string]string, err error) {
	switch {
	case o.to != "":
		r.ConfigPlan, err = restore.ConfigTo(ctx, options, o.to)
	case o.diff:
		diffs = map[string]string{}
		r.ConfigPlan, err = restore.DiffConfig(ctx, options, func(f restore.ConfigFile) error {
			diffs[f.Path] = configDiff(f, o.reveal, a.scrub)
			return nil
		})
	case o.dryRun:
		r.ConfigPlan, err = restore.PlanConfig(ctx, options)
	default:
		options.Confirm = func(ctx context.Context, p restore.ConfigPlan) error {
			return a.confirmPlan(ctx, func(s *ui.Streams) error { return configPlanText(s, p) }, fmt.Sprintf("Change %s of the configuration of %s?", things(len(p.Changes()), "file"), host), host)
		}
		r, err = restore.Config(ctx, options)
	}
	return r, diffs, err
}

// changedConfig is the JSON of a file.
type changedConfig struct {
	Path  string              `json:"path"`
	State restore.ConfigState `json:"state"`
	Type  string              `json:"type"`
	What  []string            `json:"what"`
	Diff  string              `json:"diff,omitempty"`
}

// restoredConfigFiles is the JSON of forgectl restore config.
type restoredConfigFiles struct {
	Set       string          `json:"set"`
	To        string          `json:"to"`
	DryRun    bool            `json:"dry_run"`
	Changes   []changedConfig `json:"changes"`
	Same      int             `json:"same"`
	LeftAlone []string        `json:"left_alone"`
	Unstored  []string        `json:"unstored"`
	Kept      string          `json:"kept,omitempty"`
	Undo      string          `json:"undo,omitempty"`
}

func (a *App) restoredConfig(run *job.Run, o restoreConfigOptions, done restore.ConfigResult, diffs map[string]string) result {
	shown := restoredConfigFiles{
		Set: done.Set.Ref.String(), To: o.to, DryRun: o.dryRun || o.diff, Changes: []changedConfig{}, Kept: done.Kept,
		LeftAlone: append([]string{}, done.LeftAlone...), Unstored: append([]string{}, done.Unstored...),
	}
	for _, c := range done.Changes() {
		shown.Changes = append(shown.Changes, changedConfig{c.Name(), c.State, string(c.Type), append([]string{}, c.What...), diffs[c.Path]})
	}
	shown.Same = len(done.Entries) - len(shown.Changes)
	if done.Kept != "" {
		shown.Undo = "sh " + shellWord(filepath.Join(done.Kept, restore.UndoName))
	}
	for _, w := range done.Warnings {
		run.Warn(w)
	}
	run.Fact("set", shown.Set)
	run.Fact("changes", len(done.Done))
	run.Fact("kept", shown.Kept)
	return result{JSON: shown, Text: func(s *ui.Streams) error {
		switch {
		case o.diff:
			return configDiffText(s, done.ConfigPlan, diffs)
		case o.dryRun:
			return configPlanText(s, done.ConfigPlan)
		case o.to != "":
			_, err := fmt.Fprintf(s.Out, "%s  %s from %s\n", s.Bold(ui.Printable(o.to)), things(len(shown.Changes), "file"), shown.Set)
			return err
		case len(done.Done) == 0:
			_, err := fmt.Fprintf(s.Out, "nothing to do: everything is as in %s\n", shown.Set)
			return err
		}
		_, err := fmt.Fprintf(s.Out, "%s restored from %s\nwhat was replaced is kept in %s; to go back: %s\n", things(len(done.Done), "file"), shown.Set, s.Bold(ui.Printable(shown.Kept)), ui.Printable(shown.Undo))
		return err
	}}
}
