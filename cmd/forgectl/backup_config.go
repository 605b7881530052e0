package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bmad-forge/forgectl/pkg/backup"
	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/configset"
	"github.com/bmad-forge/forgectl/pkg/job"
	"github.com/bmad-forge/forgectl/pkg/ui"
)

func newBackupConfigCmd(app *App) *cobra.Command {
	return &cobra.Command{
		Use:   "config",
		Short: "Back up the configuration files of this host",
		Long: `Writes a set of the paths in config_files.paths: files, and directories with all that
is in them, as one archive with an index of hashes, compressed and sealed to the
recipients of backup.encrypt in one stream; no plain text touches a disk. As long as
nobody chose paths, they are what such a host has, and the configuration file and
app.environment_file of forgectl. Nothing that is backed up is changed. What was written
is read back, and each entry compared.

These files hold passwords. Without a recipient the backup is refused, unless
config_files.allow_plaintext is true.

A path that was configured and is not there is a WARNING; one that was only guessed is
not. A file that cannot be read makes the set incomplete, which is a WARNING. A file that
changes while it is read is read again; for that it is held in memory, and so a file of
more than 64 MiB is not taken, which makes the set incomplete as well. Links are stored as
links; a path that is one is stored with what it points to. Sockets, FIFOs and devices
are never opened. Owner, mode, times, extended attributes and hard links are kept.

Signature, suspicion (guard.shrink: files and bytes) and pruning are as for
forgectl backup db.

With -o json: {"set", "path", "bytes", "raw_bytes", "files", "directories", "links",
"sealed_to", "signed_by", "missing": [PATH], "skipped": [PATH], "outside": [LINK],
"incomplete", "suspect", "stages": [{"name", "seconds"}], "removed": [], "freed_bytes"},
where "missing" has guessed paths too, "skipped" is what was not opened, and "outside"
are links to what is not in the set.`,
		Example: `  forgectl backup config
  30 2 * * * root /usr/local/bin/forgectl backup config    # in /etc/cron.d`,
		Annotations: operationCodes(),
		Args:        cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return app.operate(cmd.Context(), app.backupConfigFiles())
		},
	}
}

// backupConfigFiles is the backup of the configuration files.
func (a *App) backupConfigFiles() operation {
	group := configset.Group()
	spec := job.Spec{Operation: "backup config", Target: group.String()}
	return a.writeSet(spec, group, func(ctx context.Context, run *job.Run, repo *repository, to backup.SetOptions) (func() result, error) {
		o, err := a.configFilesOptions(ctx, to)
		if err != nil {
			return nil, err
		}
		done, err := backup.Config(ctx, o)
		if err != nil {
			return nil, fmt.Errorf("back up the configuration files: %w", err)
		}
		return func() result { return a.backedUpConfig(ctx, run, repo, done) }, nil
	})
}

// configFilesOptions say which files are backed up, and how.
func (a *App) configFilesOptions(ctx context.Context, to backup.SetOptions) (o backup.ConfigOptions, err error) {
	cfg := a.loaded
	o = backup.ConfigOptions{
		SetOptions: to, Paths: cfg.ConfigFiles.Paths, Guessed: cfg.Source("config_files.paths") == "default",
		AllowPlain: cfg.ConfigFiles.AllowPlaintext,
	}
	if o.Guessed {
		for _, path := range []string{cfg.File, cfg.App.EnvironmentFile} {
			if path != "" {
				o.Paths = append(slices.Clone(o.Paths), path)
			}
		}
	}
	o.Sealing, err = a.packing(ctx)
	return o, err
}

// backedUpConfigSet is the JSON of forgectl backup config.
type backedUpConfigSet struct {
	Set         string          `json:"set"`
	Path        string          `json:"path"`
	Bytes       int64           `json:"bytes"`
	RawBytes    int64           `json:"raw_bytes"`
	Files       int64           `json:"files"`
	Directories int64           `json:"directories"`
	Links       int64           `json:"links"`
	SealedTo    []string        `json:"sealed_to"`
	SignedBy    string          `json:"signed_by,omitempty"`
	Missing     []string        `json:"missing"`
	Skipped     []string        `json:"skipped"`
	Outside     []string        `json:"outside"`
	Incomplete  []string        `json:"incomplete"`
	Suspect     string          `json:"suspect"`
	Stages      []catalog.Stage `json:"stages"`
	Removed     []string        `json:"removed"`
	FreedBytes  int64           `json:"freed_bytes"`
}

func (a *App) backedUpConfig(ctx context.Context, run *job.Run, repo *repository, done backup.ConfigResult) result {
	m, packed := done.Set.Manifest, done.Packed
	path, _ := repo.Location(done.Set.Ref)
	shown := backedUpConfigSet{
		Set: done.Set.Ref.String(), Path: path, Bytes: done.Set.Bytes, RawBytes: m.RawBytes(),
		Files: packed.Totals.Files, Directories: packed.Totals.Directories, Links: packed.Totals.Links, SealedTo: m.Encryption.Names(),
		Missing: append([]string{}, packed.Missing...), Skipped: append([]string{}, packed.Skipped...), Outside: append([]string{}, packed.Outside...),
		Incomplete: append([]string{}, packed.Unread...), Stages: done.Stages,
	}
	run.Fact("set", shown.Set)
	run.Fact("bytes", shown.Bytes)
	run.Fact("files", shown.Files)
	for _, left := range leftOut(shown) {
		for _, name := range left.paths {
			run.Log.Info(left.what, "path", name)
		}
	}
	after := a.conclude(ctx, run, repo, done.Result, shown.Incomplete)
	shown.SignedBy, shown.Suspect, shown.Removed, shown.FreedBytes = after.SignedBy, after.Suspect, after.Removed, after.FreedBytes
	return result{Set: done.Set, JSON: shown, Text: func(s *ui.Streams) error {
		return cmp.Or(backedUpConfigText(s, shown, after.sealed(shown.SealedTo)), after.pruned(s.Out, shown.FreedBytes))
	}}
}

// leftPaths are paths that are not in the set, for one reason.
type leftPaths struct {
	what  string
	paths []string
}

func leftOut(shown backedUpConfigSet) []leftPaths {
	return []leftPaths{{"not there", shown.Missing}, {"not opened", shown.Skipped}, {"points to what is not in the set", shown.Outside}}
}

func backedUpConfigText(s *ui.Streams, shown backedUpConfigSet, sealed string) error {
	_, err := fmt.Fprintf(s.Out, "%s  %s, %s\n%s\n%s\n", s.Bold(ui.Printable(shown.Set)), sizes(shown.Bytes, shown.RawBytes), sealed,
		things(int(shown.Files), "file")+", "+things(int(shown.Links), "link"), s.Faint(stageTimes(shown.Stages)+"; compare: forgectl restore config --diff"))
	for _, line := range leftOut(shown) {
		if err == nil && len(line.paths) > 0 {
			_, err = fmt.Fprintf(s.Out, "%s: %s\n", line.what, ui.Printable(strings.Join(line.paths, ", ")))
		}
	}
	return err
}
