package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"

	"github.com/bmad-forge/forgectl/pkg/archive"
	"github.com/bmad-forge/forgectl/pkg/backup"
	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/config"
	"github.com/bmad-forge/forgectl/pkg/health"
	"github.com/bmad-forge/forgectl/pkg/job"
	"github.com/bmad-forge/forgectl/pkg/lock"
	"github.com/bmad-forge/forgectl/pkg/media"
	"github.com/bmad-forge/forgectl/pkg/moment"
	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/cutover"
	"github.com/bmad-forge/forgectl/pkg/postgres/dumpfile"
	"github.com/bmad-forge/forgectl/pkg/postgres/insight"
	"github.com/bmad-forge/forgectl/pkg/postgres/maintain"
	"github.com/bmad-forge/forgectl/pkg/postgres/pgdump"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch"
	"github.com/bmad-forge/forgectl/pkg/rediscache"
	"github.com/bmad-forge/forgectl/pkg/rediscache/warm"
	"github.com/bmad-forge/forgectl/pkg/restore"
	"github.com/bmad-forge/forgectl/pkg/seal"
	"github.com/bmad-forge/forgectl/pkg/service"
	"github.com/bmad-forge/forgectl/pkg/store"
	"github.com/bmad-forge/forgectl/pkg/ui"
	"github.com/bmad-forge/forgectl/pkg/verify"
)

// mapping says what an error of a library means for the caller: an exit code,
// and what to do next.
type mapping struct {
	is   func(error) bool
	code int
	hint func(error) string // nil: nothing to add
}

// mappings is the whole table. The first row that matches counts, so what is
// more particular stands higher.
func mappings() []mapping {
	return []mapping{
		// What leaves an exchange open outweighs its causes.
		{isA[*restore.UnfinishedError], exitCritical, func(err error) string {
			if find[*restore.UnfinishedError](err).Media {
				return "forgectl restore resume --media"
			}
			return "forgectl restore resume --database " + shellWord(find[*restore.UnfinishedError](err).Live)
		}},
		{isA[*job.TimeoutError], exitCritical, say("a longer --timeout")},
		{is(context.DeadlineExceeded), exitCritical, nil},
		{is(lock.ErrHeld), exitLocked, say("forgectl history")},
		{isA[*config.Error], exitUnknown, configHint},
		{is(ui.ErrNoTerminal), exitUnknown, say("--yes confirms without a terminal")},
		{is(ui.ErrDeclined), exitUnknown, nil},
		{is(job.ErrNotFound), exitUnknown, say("forgectl history")},
		{is(verify.ErrKind), exitUnknown, say("forgectl backup list")},
		{isA[*moment.LocalError], exitUnknown, say("write it with its offset, as in 2026-11-23T02:00:00+01:00")},
		{is(moment.ErrSyntax), exitUnknown, nil},

		// What was backed up, and where it lies.
		{is(catalog.ErrNotRepository), exitUnknown, say("forgectl config show repository")},
		{is(store.ErrGone), exitCritical, say("is it mounted? when it is back, run it again")},
		{is(catalog.ErrNewer), exitUnknown, say("use the forgectl that wrote it, or a newer one")},
		{func(err error) bool {
			return errors.Is(err, catalog.ErrDamaged) && find[*catalog.DamageError](err).Kind == catalog.DamageSignature
		},
			exitCritical, say("forgectl backup show; who may sign: forgectl config show verify")},
		{is(catalog.ErrDamaged), exitCritical, say("forgectl backup list")},
		{is(catalog.ErrNotFound), exitUnknown, say("forgectl backup list")},
		{is(catalog.ErrInvalid), exitUnknown, say("forgectl backup list")},

		// Trees of files.
		{is(media.ErrNoLinks), exitUnknown, say("put the repository on ext4, xfs or btrfs; or --copy, and every set holds every file")},
		{is(media.ErrGone), exitCritical, say("is it mounted? nothing was published; run it again")},
		{is(media.ErrPattern), exitUnknown, say("forgectl config show media.exclude")},
		{is(backup.ErrNoTree), exitUnknown, say("forgectl config show repository")},

		// Keys.
		{is(backup.ErrPlainConfig), exitUnknown, say("name a key in backup.encrypt.recipients or recipient_files, or set config_files.allow_plaintext")},
		{is(backup.ErrNoPaths), exitUnknown, say("forgectl config show config_files.paths")},
		{is(archive.ErrPath), exitUnknown, say("forgectl config show config_files.paths")},
		{isA[*restore.PartsError], exitUnknown, nil},
		{isA[*restore.ConfigPathError], exitUnknown, say("forgectl restore config --dry-run names what the set and this host have")},
		{isA[*restore.ConfigConflictError], exitUnknown, say("move it away, or choose other paths; --to DIR unpacks beside")},
		{isA[*restore.ConfigUnreadError], exitUnknown, say("move it away, or choose other paths; --to DIR unpacks beside")},
		{is(restore.ErrConfigChanged), exitCritical, say("forgectl restore config --dry-run")},
		{is(archive.ErrNotEmpty), exitUnknown, say("name a directory that does not exist yet")},
		{is(backup.ErrPlain), exitUnknown, say("name a key in backup.encrypt.recipients or recipient_files")},
		{is(seal.ErrNoSecretKey), exitUnknown, say("run this where the secret key is: backup.decrypt.secret_key_files, or a gpg keyring that holds it")},
		{is(seal.ErrPassphrase), exitUnknown, say("set backup.decrypt.passphrase_file or passphrase_command")},
		{isA[*seal.AmbiguousError], exitUnknown, fingerprintsOf},
		{isA[*seal.KeyError], exitUnknown, say("forgectl config show backup.encrypt")},
		{is(seal.ErrNoKey), exitUnknown, say("gpg --list-keys; forgectl config show backup.encrypt")},
		{is(seal.ErrKeyName), exitUnknown, say("forgectl config show backup.encrypt.recipients")},

		// PostgreSQL.
		{isA[*postgres.ConnectError], exitCritical, func(err error) string { return find[*postgres.ConnectError](err).Hint }},
		{is(postgres.ErrConninfo), exitUnknown, say("forgectl config show database")},
		{is(postgres.ErrPooled), exitCritical, say("connect to PostgreSQL itself, not to the pooler: forgectl config show database.url")},
		{isA[*insight.StatementsError], exitUnknown, func(err error) string { return find[*insight.StatementsError](err).Hint }},
		{is(insight.ErrNoSnapshot), exitUnknown, say("each run of forgectl db slow remembers the counters: let cron run it, then compare")},
		{is(insight.ErrMayNotEnd), exitCritical, say("a superuser runs: GRANT pg_signal_backend TO the role of database.url")},
		{isA[*postgres.ToolsError], exitUnknown, func(err error) string {
			e := find[*postgres.ToolsError](err)
			if e.Program == "postgres" { // for a drill
				return fmt.Sprintf("apt-get install postgresql-%d; no cluster of it is needed", e.Need)
			}
			return fmt.Sprintf("apt-get install postgresql-client-%d", e.Need)
		}},
		// Redis.
		{isA[*rediscache.ConnectError], exitCritical, func(err error) string { return find[*rediscache.ConnectError](err).Hint }},
		{is(rediscache.ErrURL), exitUnknown, say("forgectl config show redis.url")},
		{is(rediscache.ErrSelection), exitUnknown, nil},
		{is(rediscache.ErrReadOnly), exitCritical, say("redis.url leads to a replica: name the master, or the sentinels that know it")},
		{is(rediscache.ErrRights), exitCritical, say("ACL LIST, as an administrator, says what that user may do")},
		{is(rediscache.ErrFull), exitCritical, say("forgectl cache stats; forgectl cache memory")},
		{is(rediscache.ErrLoading), exitCritical, say("try again when it has read its dump")},
		{is(rediscache.ErrRefused), exitCritical, say("forgectl cache stats")},

		{is(pgdump.ErrRights), exitCritical, remediesOf},
		{is(pgdump.ErrBusy), exitCritical, say("run it again when that session has ended, or with a longer backup.lock_timeout")},
		{isA[*pgdump.ConflictError], exitCritical, func(err error) string { return find[*pgdump.ConflictError](err).Hint() }},
		{isA[*pgdump.LocksError], exitCritical, say("raise max_locks_per_transaction on the server: it has too many tables for it")},
		{isA[*pgdump.ConnectionsError], exitCritical, say("a backup needs up to ten connections at once: see max_connections and who holds them in pg_stat_activity")},
		{is(pgdump.ErrGuardLost), exitCritical, say("nothing was published; run it again")},
		{is(pgdump.ErrChanged), exitCritical, say("nothing was published; run it again")},
		{is(pgdump.ErrExists), exitCritical, say("choose another name for --into")},
		{isA[*verify.FilesError], exitCritical, say("an older set may have them: forgectl backup list --kind media; those that the application has lost itself are for its own people")},
		{is(pgdump.ErrDiffers), exitCritical, say("forgectl backup list")},
		{isA[*pgdump.MissingError], exitCritical, missingHint},
		{is(scratch.ErrUnavailable), exitUnknown, func(err error) string { return find[*scratch.UnavailableError](err).Hint }},
		{isA[*restore.NameError], exitUnknown, nil},
		{isA[*pgdump.TableError], exitUnknown, tableHint},
		{is(dumpfile.ErrRefused), exitUnknown, refusalHint},
		{is(dumpfile.ErrNotDump), exitUnknown, nil},
		{is(dumpfile.ErrUnsupported), exitUnknown, nil},
		{is(dumpfile.ErrDamaged), exitCritical, say("nothing was loaded; look for an older file")},
		{is(dumpfile.ErrNoLogin), exitCritical, say("let it log in (pg_hba.conf), or --trusted if you know who wrote the file")},
		{is(dumpfile.ErrOwner), exitCritical, say("--trusted if you know who wrote the file")},
		{is(restore.ErrNoOwner), exitUnknown, say("create the database with its owner first; the restore then takes its place")},
		{isA[*restore.UnendableError], exitCritical, func(err error) string {
			return strings.Join(find[*restore.UnendableError](err).Remedies(), "\n")
		}},
		{isA[*restore.ReturnedError], exitCritical, func(err error) string {
			e := find[*restore.ReturnedError](err)
			if e.Trouble != nil {
				return "see to the units, then: forgectl restore resume --database " + shellWord(e.Live)
			}
			return "look at the application's log; forgectl restore drop-old --database " + shellWord(e.Live) + " lists what was kept"
		}},
		{is(restore.ErrElsewhere), exitLocked, say("forgectl history, here and on other hosts")},
		{isA[*restore.AdminError], exitUnknown, say("name another database of the server, such as postgres: database.admin_url")},
		{is(cutover.ErrOther), exitCritical, say("nothing was changed; look who else is at work, then run it again")},
		{isA[*restore.OpenError], exitCritical, func(err error) string {
			if find[*restore.OpenError](err).Media {
				return "forgectl restore resume --media"
			}
			return "forgectl restore resume --database " + shellWord(find[*restore.OpenError](err).Live)
		}},
		{is(restore.ErrNothingKept), exitUnknown, say("forgectl restore drop-old --dry-run lists what restores left")},
		{is(restore.ErrNoFilesKept), exitUnknown, say("forgectl restore drop-old --media --dry-run lists what restores left")},
		{is(cutover.ErrBusy), exitCritical, say("nothing was changed; forgectl restore db --dry-run shows who is connected")},
		{is(service.ErrUnavailable), exitUnknown, func(err error) string { return find[*service.UnavailableError](err).Hint }},
		{is(service.ErrNotFound), exitUnknown, unitHint},
		{is(service.ErrUnitName), exitUnknown, say("forgectl config show service.units")},
		{is(service.ErrNoCommand), exitUnknown, say("forgectl config show service")},
		{isA[*service.UnitError], exitCritical, unitHint},
		{is(health.ErrURL), exitUnknown, say("forgectl config show health.url")},
		{isA[*health.GateError], exitCritical, func(err error) string { return find[*health.GateError](err).Report.Hint }},
		{is(media.ErrPath), exitUnknown, say("paths are relative to media.path: forgectl config show media.path")},
		{is(media.ErrRemote), exitUnknown, say("run it where the repository is a directory")},
		{is(restore.ErrNotInSet), exitUnknown, say("forgectl restore media --dry-run -o json lists what differs; forgectl backup list names other sets")},
		{is(restore.ErrMediaExists), exitUnknown, say("choose another directory for --to")},
		{isA[*restore.MountError], exitUnknown, say("restore beside it with --to DIR, and copy from there")},
		{isA[*restore.PlaceError], exitUnknown, say("nothing was changed; --to DIR restores into another directory")},
		{is(restore.ErrMediaDiffers), exitCritical, say("nothing was replaced; look at the disk and the kernel's log, then run it again")},
		{is(verify.ErrNoDrill), exitUnknown, say("forgectl backup verify --level checksum")},
		{is(verify.ErrNoSample), exitUnknown, say("forgectl backup verify media/latest --sample 5%")},
		{is(restore.ErrOlderServer), exitCritical, say("restore into a server of that version or newer: forgectl config show database.admin_url")},

		// Maintenance.
		{is(maintain.ErrStandby), exitUnknown, say("connect to the primary: forgectl config show database.maintenance_url")},
		{is(maintain.ErrNotFound), exitUnknown, say("forgectl vacuum --dry-run lists the tables; names are written as in SQL")},
		{isA[*maintain.WindowError], exitUnknown, say("set maintenance.window, such as \"0 2 * * 0 4h\"; or --force, now")},
		{is(maintain.ErrFailed), exitCritical, say("the other tables are done; see the server's log, then run it again with --table")},

		// Warming the cache.
		{isA[*warm.RoomError], exitUnknown, warmHint},
		{isA[*warm.ColumnError], exitUnknown, warmHint},
		{is(warm.ErrEntry), exitUnknown, warmHint},
		{is(warm.ErrDjangoVersion), exitUnknown, warmHint},

		// Space.
		{isA[*backup.SpaceError], exitCritical, say("free space in the repository: forgectl backup list; df -h")},
		{isA[*verify.SpaceError], exitUnknown, say("set scratch_dir to a directory with more room")},
		{isA[*restore.SpaceError], exitCritical, func(err error) string {
			if find[*restore.SpaceError](err).Media {
				return "free space there, restore some paths, or into another directory: --to DIR"
			}
			return "free space on the server, or restore into another one"
		}},
		{is(syscall.ENOSPC), exitCritical, say("df -h shows which file system is full: make room there, then run it again")},
	}
}

func say(hint string) func(error) string { return func(error) string { return hint } }

func is(target error) func(error) bool {
	return func(err error) bool { return errors.Is(err, target) }
}

func isA[T error](err error) bool {
	var target T
	return errors.As(err, &target)
}

// find is the first error of a type in a chain that holds one.
func find[T error](err error) T {
	var target T
	errors.As(err, &target)
	return target
}

func unitHint(err error) string {
	if e := find[*service.UnitError](err); e != nil {
		return e.Hint
	}
	return ""
}

func configHint(err error) string {
	var permission *config.PermissionError
	switch {
	case errors.As(err, &permission):
		return "chmod 0600 " + shellWord(permission.Path)
	case errors.Is(err, fs.ErrPermission):
		return "run it as root, or let this user read the file: chgrp GROUP FILE; chmod 0640 FILE"
	}
	return "forgectl config init --print"
}

// refusalHint offers trust only where trust is of use.
func refusalHint(err error) string {
	e := find[*dumpfile.RefusedError](err)
	for _, f := range e.Findings {
		if f.Kind != dumpfile.Cluster {
			return "such a file is never loaded as it is: have a look at what it does"
		}
	}
	return "look at the file; if you know who wrote it and why: --trusted"
}

func missingHint(err error) string {
	if len(find[*pgdump.MissingError](err).Roles) > 0 {
		return "create those roles (a restore into service makes them from the set; RECOVER.md beside the set has the command)"
	}
	return "install or create what is missing on the server, then run it again"
}

func remediesOf(err error) string {
	return "a superuser runs, in the database:\n" + strings.Join(find[*pgdump.RightsError](err).Remedies(), "\n")
}

func fingerprintsOf(err error) string {
	text := "name one of them by its fingerprint:"
	for _, k := range find[*seal.AmbiguousError](err).Keys {
		text += "\n" + k.Fingerprint() + "  " + k.UserID()
	}
	return text
}
