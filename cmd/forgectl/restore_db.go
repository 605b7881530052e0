package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/bmad-forge/forgectl/pkg/catalog"
)

type restoreOptions struct {
	name   setName
	file   string // restored in place of a set
	trust  bool
	at     time.Time
	into   string
	tables []string
	dryRun bool
}

func newRestoreDBCmd(app *App) *cobra.Command {
	var o restoreOptions
	var at string
	cmd := &cobra.Command{
		Use:   "db [ID|latest|FILE]",
		Short: "Restore a database, into service or beside the live one",
		Long: `Restores a set. First everything is checked that can be: the signature (where
verify.require_signature is set, one of an accepted key must be there), the sums, the
key, versions, rights, roles, extensions, space, who is connected. It is then loaded
beside the live database under a working name, compared with what was counted when
the backup was taken, and analyzed. When anything fails it is dropped again.

With --into it gets the name given, which must be new, and every existing database
stays as it is. Without --into it takes the place of the live database, which is kept
as NAME_before_TIME: the units of service.units that run are stopped, the names are
swapped in one transaction, the units are started, and the health check is asked.
When the application is not well, everything is put back, and the restored database
is kept as NAME_failed_TIME. The plan is shown first, and the name of the database
has to be typed (or --yes). Missing roles are made from the globals of the set.

With --table (repeatable, needs --into) only these tables have rows: those of all their
partitions, and with them their indexes, constraints, triggers, rules and policies, and
the sequences they take numbers from. Everything else is defined and empty. Foreign keys
to tables that are not chosen, materialized views, large objects and what belongs to the
whole database are left out and named. A name is written as in SQL, with or without its
schema.

FILE is a dump that older scripts left: plain SQL or any archive of pg_dump, packed by
gzip or zstd and encrypted by gpg or not; its bytes say what it is. Such a file is
hostile until proven otherwise: it is read to its end first, one that creates, drops or
connects to databases, or has psql run something, is refused, and the rest is loaded by
a role that can do nothing else. --trusted loads it with the rights of the admin role,
owners and privileges included. The new database is like the live one.

"latest" (the default) is the newest good set; a newer one that is not good is a
WARNING. --at takes the newest good set that was started at or before a time. An ID
alone is a set of the configured database; DATABASE/ID names any. The connection is
database.admin_url.

With -o json: {"set", "server", "database", "owner", "bytes", "rows", "stages":
[{"name", "seconds"}], "seconds", "dry_run"}, and without --into also "kept",
"roles_made", "roles_without_password", "downtime_seconds", "gap_seconds",
"sessions_ended"; with --table also "tables", "left_out"; with recovery.rto "recovery":
{"seconds", "promised_seconds", "kept"}.`,
		Example: `  forgectl restore db --dry-run
  forgectl restore db 20261123T020000Z
  forgectl restore db --at '2026-11-23 12:00' --into before_noon
  forgectl restore db --into one_back --table forge_document --table forge_template
  forgectl restore db /var/backups/bmad-forge/database/bmad_forge_20260128_020000.sql.gz
  forgectl restore undo`,
		Annotations:       operationCodes(),
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: app.completeSetsOf(catalog.KindDatabase),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if at != "" && len(args) > 0 {
				return app.misuse("--at and a set were given: which is it?")
			}
			if o.name, o.file, err = app.parseSource(append(args, latest)[0]); err != nil {
				return err
			}
			if o.trust && o.file == "" {
				return app.misuse("--trusted is for files: a set is known by its sums")
			}
			if err := app.checkTables(cmd, o); err != nil {
				return err
			}
			if o.at, err = app.parseAt(at); err != nil {
				return err
			}
			return app.restoreDatabase(cmd.Context(), o)
		},
	}
	databaseFlag(app, cmd)
	jobsFlag(cmd)
	f := cmd.Flags()
	f.StringVar(&o.into, "into", "", "restore beside, as the new database `NAME`")
	complete(cmd, "into", cobra.NoFileCompletions)
	tableFlag(app, cmd, &o.tables)
	f.BoolVar(&o.trust, "trusted", false, "load a FILE with the rights of the admin role")
	chooseFlags(cmd, &at, &o.dryRun)
	return cmd
}
