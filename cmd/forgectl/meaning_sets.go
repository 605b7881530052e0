package main

import (
	"errors"

	"github.com/bmad-forge/forgectl/pkg/archive"
	"github.com/bmad-forge/forgectl/pkg/backup"
	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/inventory"
	"github.com/bmad-forge/forgectl/pkg/media"
	"github.com/bmad-forge/forgectl/pkg/restore"
	"github.com/bmad-forge/forgectl/pkg/seal"
	"github.com/bmad-forge/forgectl/pkg/store"
)

// meaningOfSets are errors about sets, the files in them, and their keys.
func meaningOfSets() []mapping {
	return []mapping{
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
		{isA[*inventory.FutureError], exitCritical, say("timedatectl status; when the clock is right: forgectl backup db")},
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
	}
}
