package main

import (
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/proc"
)

type restoreMediaOptions struct {
	name   setName
	at     time.Time
	paths  []string
	to     string
	dryRun bool
}

func newRestoreMediaCmd(app *App) *cobra.Command {
	var o restoreMediaOptions
	var at string
	cmd := &cobra.Command{
		Use:   "media [ID|latest] [PATH]...",
		Short: "Restore uploaded files, all or some, into service or beside",
		Long: `Restores the files of media.path, or only some paths of it. First everything is
checked that can be: the signature, the sums, space, rights, mounts, and what would be
added, changed and removed, judged by type, size, time, owner and mode. The files are
then built in a directory beside the live one (NAME_restore_TIME), as copies, or clones
where the file system has them, and each is hashed while it is copied. A set that turns
out damaged is refused there, and nothing has been touched. Permissions, times, links
and extended attributes come back, and owners as far as this user may set them; what
could not be set is a WARNING. What was built is synced, compared with the index, and
exchanged with the live directory in one step. What was live is kept in
NAME_before_TIME/tree, also what was uploaded meanwhile. The plan is shown first, and the
name of the directory has to be typed (or --yes).

Units are not stopped: there are files under each name at every moment, and a process
that has one open keeps the old one.

PATHs are relative to media.path (or absolute, and inside of it) and need the set before
them, or --at. Each is exchanged by itself, with all that is below it; nothing else is
touched. With --to the files become a new directory, and the live one stays as it is:
the way where media.path is a mount point, which cannot be renamed.

"latest" (the default) is the newest good set; a newer one that is not good is a
WARNING. --at takes the newest good set that was started at or before a time. Sockets,
FIFOs and devices are listed in a set, and not restored.

With -o json: {"set", "directory", "paths", "files", "directories", "symlinks", "bytes",
"added", "changed", "removed" (lists of {"path" or "path_b64", "bytes", "why"}; with --to
empty), "not_restored", "owners_not_set", "attributes_not_set", "kept", "stages":
[{"name", "seconds"}], "seconds", "dry_run"}.`,
		Example: `  forgectl restore media --dry-run
  forgectl restore media 20261123T020000Z
  forgectl restore media latest documents/2026/contract.pdf
  forgectl restore media --at '2026-11-23 12:00' --to /srv/before_noon
  forgectl restore undo --media`,
		Annotations:       operationCodes(),
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: app.completeSetsOf(catalog.KindMedia),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if err := app.readMediaArgs(&o, at, args); err != nil {
				return err
			}
			return app.restoreMedia(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.to, "to", "", "restore into the new directory `DIR`, leave the live one as it is")
	complete(cmd, "to", cobra.FixedCompletions(nil, cobra.ShellCompDirectiveFilterDirs))
	chooseFlags(cmd, &at, &o.dryRun)
	return cmd
}

// readMediaArgs: the set comes first, unless --at says which.
func (a *App) readMediaArgs(o *restoreMediaOptions, at string, args []string) (err error) {
	o.name = setName{group: catalog.Group{Kind: catalog.KindMedia}}
	if at != "" {
		if o.at, err = a.parseAt(at); err != nil {
			return err
		}
		if len(args) > 0 {
			if _, err := a.parseSetOf(catalog.KindMedia, args[0]); err == nil {
				return a.misuse("--at and a set were given: which is it?")
			}
		}
	} else if len(args) > 0 {
		if o.name, err = parseSetIn(o.name.group, args[0]); err != nil {
			return withHint(unknown("%q is no media set, such as latest or 20261123T020000Z", args[0]), "paths come after the set: forgectl restore media latest %s", proc.ShellWord(args[0]))
		}
		if err := o.name.mustBe(catalog.KindMedia); err != nil {
			return err
		}
		args = args[1:]
	}
	cfg, err := a.Config()
	if err != nil {
		return err
	}
	for _, arg := range args {
		if filepath.IsAbs(arg) {
			rel, err := filepath.Rel(cfg.Media.Path, arg)
			if err != nil || rel == ".." || strings.HasPrefix(rel, "../") {
				return a.misuse("%s is not inside media.path (%s)", arg, cfg.Media.Path)
			}
			arg = rel
		}
		o.paths = append(o.paths, arg)
	}
	return nil
}
