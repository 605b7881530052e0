package main

import (
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bmad-forge/forgectl/pkg/catalog"
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
