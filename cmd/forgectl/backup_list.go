package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/bmad-forge/forgectl/pkg/inventory"
	"github.com/bmad-forge/forgectl/pkg/ui"
)

// listedOptions are those of the list alone.
type listedOptions struct {
	listOptions
	maxAge ageLimit
}

func newBackupListCmd(app *App) *cobra.Command {
	var o listedOptions
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the sets in the repository",
		Long: `Lists every set, kind by kind and database by database, the newest first: its age and
size, how much smaller it is than what went in, how many rows it holds, to whom it is
sealed, how it was verified last (checksum, decode or drill) and how long ago, and
whether it is good, or why not. Good means that every file is there with its size, no
verification stands that failed, and nothing about it is suspect. That a set is signed
is shown, but not by whom: "backup show" and "backup verify" check signatures. Where
verify.require_signature is set, one without a signature is not good. A full set is good
when all that it refers to is. Nothing is changed.

On a terminal each kind and database is summed up below: the age of its newest good set
next to what recovery.rpo promises, and a bar of the last 31 days, one cell each by the
best set that was made on that day: # good, ? suspect, x failed, . no set.

With --max-age the list is a check: it is CRITICAL when the newest good set of the
database (--database, else database.name), or of --kind, is older, or when there is none.
"--max-age rpo" takes recovery.rpo, and is a WARNING from 80 % of it on.

With -o json: {"sets": [{"set", "kind", "database", "id", "path", "started",
"age_seconds", "bytes", "raw_bytes", "tables", "rows", "sealed_to", "signed",
"verified": {"level", "time", "host", "seconds"} or null, "pinned", "suspect",
"incomplete", "good", "why"}], "groups": [{"group", "kind", "database", "sets", "bytes",
"newest_good", "age_seconds", "promised_seconds", "kept", "days": [{"day", "state":
"good", "suspect", "failed" or "none"}]}]}. The days are local ones, the oldest first.
Without a good set "newest_good" is "" and "age_seconds" null.`,
		Example: `  forgectl backup list
  forgectl backup list --database other
  forgectl backup list --max-age 26h
  forgectl backup list --kind full --max-age rpo
  forgectl backup list -o json | jq -r '.sets[] | select(.good | not) | .set'`,
		Annotations: codes(exitOK, exitWarning, exitCritical, exitInterrupted, exitTerminated),
		Args:        cobra.NoArgs,
		RunE:        func(cmd *cobra.Command, _ []string) error { return app.listBackups(cmd.Context(), o) },
	}
	groupFlags(app, cmd, &o.listOptions)
	ageFlag(cmd, &o.maxAge, "CRITICAL when the newest good set of the database, or of --kind, is older than this `TIME`, such as 26h, or rpo")
	return cmd
}

func (a *App) listBackups(ctx context.Context, o listedOptions) error {
	if err := a.checkListOptions(o.listOptions); err != nil {
		return err
	}
	group, err := a.databaseGroup()
	if err == nil {
		err = a.checkAgeLimit(o.maxAge)
	}
	if err != nil {
		return err
	}
	repo, err := a.Repository(ctx)
	if err != nil {
		return err
	}
	listed, err := inventory.List(ctx, a.inventory(repo), o.of(), o.database)
	if err != nil {
		return err
	}
	if len(listed.Sets) == 0 && a.Streams.ErrTTY {
		a.Streams.Message("", ui.LevelHint, "no such sets in "+repo.path+"; forgectl backup db makes one")
	}
	if o.maxAge.given {
		err = a.checkAge(ctx, repo, o.group(group), o.maxAge, a.warn)
	}
	return all(a.show(result{JSON: listed, Text: func(s *ui.Streams) error {
		if err := a.listTable(s, listed.Sets); err != nil {
			return err
		}
		return groupsTable(s, listed.Groups)
	}}), err)
}

// inventory is what the sets of the repository are judged by.
func (a *App) inventory(repo *repository) inventory.Options {
	return inventory.Options{Catalog: repo.Catalog, Promised: a.loaded.Recovery.RPO, Now: a.Now}
}
