package main

import (
	"strings"

	"github.com/bmad-forge/forgectl/pkg/health"
	"github.com/bmad-forge/forgectl/pkg/media"
	"github.com/bmad-forge/forgectl/pkg/postgres/cutover"
	"github.com/bmad-forge/forgectl/pkg/postgres/dumpfile"
	"github.com/bmad-forge/forgectl/pkg/postgres/pgdump"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch"
	"github.com/bmad-forge/forgectl/pkg/proc"
	"github.com/bmad-forge/forgectl/pkg/restore"
	"github.com/bmad-forge/forgectl/pkg/service"
	"github.com/bmad-forge/forgectl/pkg/verify"
)

// meaningOfRestores are errors of dumps and of bringing them back, with the units of the application.
func meaningOfRestores() []mapping {
	return []mapping{
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
				return "see to the units, then: forgectl restore resume --database " + proc.ShellWord(e.Live)
			}
			return "look at the application's log; forgectl restore drop-old --database " + proc.ShellWord(e.Live) + " lists what was kept"
		}},
		{is(restore.ErrElsewhere), exitLocked, say("forgectl history, here and on other hosts")},
		{isA[*restore.AdminError], exitUnknown, say("name another database of the server, such as postgres: database.admin_url")},
		{is(cutover.ErrOther), exitCritical, say("nothing was changed; look who else is at work, then run it again")},
		{isA[*restore.OpenError], exitCritical, func(err error) string {
			e := find[*restore.OpenError](err)
			return resumeHint(e.Media, e.Live)
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
	}
}
