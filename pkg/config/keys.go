package config

import "time"

// site is what the defaults depend on beside the table.
type site struct {
	home     string
	stateDir string
}

// table lists every setting in the order in which an operator meets them, each tied to its field of c.
//
// The first sentence of a doc says what the setting is; it must stand alone. The rest says what follows from it and
// when to change it.
func table(c *Config, s site) []*key {
	var rows []*key
	for _, part := range [][]*key{
		placeKeys(c, s), databaseKeys(&c.Database, s), backupKeys(&c.Backup, s), maintenanceKeys(&c.Maintenance), verifyKeys(&c.Verify, s), promiseKeys(c), checkKeys(&c.Checks),
		mediaKeys(c, s), configFileKeys(c, s), serviceKeys(c), redisKeys(c, s), hookKeys(&c.Hooks),
	} {
		rows = append(rows, part...)
	}
	return rows
}

func placeKeys(c *Config, s site) []*key {
	return []*key{
		{name: "app", doc: `The application that is looked after.`},
		{name: "app.name", value: text(&c.App.Name), def: "bmad-forge",
			doc: `The name of the application, as it appears in reports and records. It changes no path and no unit: those have keys of their own.`},
		{name: "app.root", value: path(&c.App.Root, s.home), def: "/var/www/bmad-forge",
			doc: `The directory the application is deployed in. A backup records the release and the revision found there, so that a database can later be matched with its code.`},
		{name: "app.environment_file", value: optionalPath(&c.App.EnvironmentFile, s.home), def: "",
			doc: `The file that systemd gives the application as EnvironmentFile=. When it is set, DATABASE_URL, REDIS_URL, PG* and the like are taken from there, so that they need not be written twice. It is read by systemd's rules; variables of the calling environment win over it. It must be readable for the user who runs forgectl, and must not be readable for everybody when there is a secret in it.`},
		{name: "repository", value: path(&c.Repository, s.home), def: "/var/backups/bmad-forge",
			doc: `The directory in which backup sets are kept. Best a file system of its own and not the disk the database is on, with room for every set that backup.keep retains, and one more while it is written.`},
		{name: "state_dir", value: path(&c.StateDir, s.home), def: s.stateDir,
			doc: `The directory for what forgectl remembers: the record of each run. Small. The default for a user who cannot write there is $XDG_STATE_HOME/forgectl, else ~/.local/state/forgectl.`},
		{name: "scratch_dir", value: optionalPath(&c.ScratchDir, s.home), def: "",
			doc: `The directory for the throwaway database server of "backup verify --drill". Default: "scratch" below state_dir. It needs room for the whole restored database, and holds it as plain data for as long as the drill runs, so never put it on a disk you would not put the database on. When forgectl runs as root, the server runs as database.admin_os_user, who must be able to pass through every directory above this one.`},
	}
}

func databaseKeys(d *Database, s site) []*key {
	return []*key{
		{name: "database", doc: `How PostgreSQL is reached. Besides what is set here, the usual ways of its own clients work: PGHOST and the other PG* variables, service files, ~/.pgpass.`},
		{name: "database.name", value: text(&d.Name), def: "bmad_forge",
			env: []variable{{name: "DB_NAME"}, {name: "PGDATABASE"}},
			doc: `The database that is backed up and restored. When it is not set, the one named in database.url is taken; when it is, it wins over that one. As for psql, PGDATABASE gives way to a database named in a URL.`},
		{name: "database.url", value: postgresURL(&d.URL, false), def: "postgres:///bmad_forge",
			env: []variable{{name: "DATABASE_URL"}},
			doc: `How to connect for backups: a URL such as postgres://bmad_forge_backup@db1:5432/bmad_forge?sslmode=verify-full, or keywords such as host=db1 user=bmad_forge_backup. Default: database.name through the local socket. The role must be able to read everything (member of pg_read_all_data); what it cannot see makes a set incomplete. Keep the password out of here, in password_file or ~/.pgpass; a configuration file that holds one must have mode 0600.`},
		{name: "database.password_file", value: optionalPath(&d.PasswordFile, s.home), def: "", secret: true,
			doc: `A file that holds nothing but the password for database.url, mode 0600. For when there is no ~/.pgpass, or systemd provides the file (LoadCredential=).`},
		{name: "database.password_command", value: command(&d.PasswordCommand), def: "",
			doc: `A shell command that prints the password for database.url, for a password store or a vault. Set this or password_file, not both.`},
		{name: "database.maintenance_url", value: postgresURL(&d.MaintenanceURL, true), def: "",
			doc: `How to connect for vacuum and reindex. Default: database.url. Set it when the backup role does not own the tables, which is the usual and better arrangement: PostgreSQL silently skips tables of others.`},
		{name: "database.admin_url", value: postgresURL(&d.AdminURL, false), def: "postgres:///postgres",
			doc: `How to connect for restores: as a superuser, or as a role that may create the databases and objects in question. Restores never connect to the live database through it, so the database "postgres" is right. Set it when the server is on another host than this one.`},
		{name: "database.admin_os_user", value: optional(&d.AdminOSUser), def: "postgres",
			doc: `The system user as whom forgectl, when it runs as root, connects through the local socket where no role is named, and runs database servers. (A role that is named is connected as by the system user of the same name, if there is one.) PostgreSQL trusts that user by name (peer authentication) and refuses to run as root. Without effect for anybody but root; empty: stay root, for servers that expect it.`},
	}
}

func maintenanceKeys(m *Maintenance) []*key {
	return []*key{
		{name: "maintenance", doc: `How the database is vacuumed and its indexes are rebuilt, so that the application does not notice.`},
		{name: "maintenance.window", value: spans(&m.Window), def: "",
			doc: `When the application can bear that a table is locked: the five fields of cron in local time, and a length, such as "0 2 * * 0 4h" for Sundays from 02:00 to 06:00. "vacuum --full" and "vacuum --reindex --no-concurrently" run only then (or with --force), and what still runs at its end is stopped. Default: never.`},
		{name: "maintenance.jobs", value: number(&m.Jobs, 1, 64), def: "1",
			doc: `How many tables are worked on at once. More is faster, and leaves less of the disk to the application.`},
		{name: "maintenance.lock_timeout", value: duration(&m.LockTimeout, 10*time.Millisecond), def: "2s",
			doc: `How long a table is waited for that somebody holds a lock on. While "vacuum --full" waits, whoever else wants that table waits behind it. Then the table is left, tried once more at the end, and named. The work itself has no such limit.`},
		{name: "maintenance.transaction_wait", value: duration(&m.TransactionWait, time.Second), def: "10m",
			doc: `How long the rebuilding of an index without locks waits for transactions that are older than it. It blocks nobody meanwhile. Then that rebuilding is given up, and what it made is removed.`},
	}
}

func backupKeys(b *Backup, s site) []*key {
	rows := []*key{
		{name: "backup", doc: `How backup sets are written, proven and kept.`},
		{name: "backup.jobs", value: number(&b.Jobs, 0, 256), def: "0",
			doc: `How many processor cores a backup, a drill or a restore may use, and how many sessions load and build indexes at once. 0: as many as this machine has cores, at most 8. Lower it when the application suffers.`},
		{name: "backup.split", value: size(&b.Split), def: "256MB",
			doc: `Tables larger than this on the server's disk become files of their own in a set, so that they are dumped, and loaded again, at the same time as the rest. 0: never.`},
		{name: "backup.compression", value: enum(&b.Compression, CompressionFastest, CompressionDefault, CompressionBetter), def: CompressionFastest,
			doc: `How hard zstd tries: fastest, default or better. "fastest" makes files of about gzip's size, and a host whose cores are all busy is done a fifth sooner than with "default", which makes them some percent smaller. "better" saves some percent more at less than half the speed.`},
		{name: "backup.fingerprint", value: enum(&b.Fingerprint, FingerprintNone, FingerprintCounts, FingerprintFull), def: FingerprintCounts,
			doc: `What is recorded of each table to compare a restored copy with: none, counts (of rows) or full (also a hash over every row). "full" reads the whole database once more, in exchange for proof that every value came back; "none" leaves a restore with nothing to compare.`},
		{name: "backup.readback", value: enum(&b.Readback, ReadbackHash, ReadbackDecode), def: ReadbackDecode,
			doc: `How a set is read back before it counts as written: hash (the bytes on disk) or decode (also decrypted and decompressed). "hash" saves some processor time.`},
		{name: "backup.prune", value: enum(&b.Prune, PruneAuto, PruneManual), def: PruneAuto,
			doc: `When sets that backup.keep no longer wants are removed: auto (after each good backup) or manual (only by "backup prune").`},
		{name: "backup.prune_requires", value: enum(&b.PruneRequires, RequiresNone, RequiresDecode, RequiresDrill), def: RequiresNone,
			doc: `What must have been proven before a set of a database is removed: none, decode or drill. With "drill", a set goes only when a newer good one has passed "backup verify --drill", so that something that is known to restore always stays. Set it only where such verifications come regularly and their verdicts reach this repository: until then nothing is removed.`},
		{name: "backup.lock_timeout", value: duration(&b.LockTimeout, time.Millisecond), def: "1m",
			doc: `How long a backup waits for a table that somebody holds a lock on (a migration, say) before it gives up and names it. While it waits, later statements on that table wait behind it.`},
		{name: "backup.role_passwords", value: toggle(&b.RolePasswords), def: "false",
			doc: `Whether the password hashes of roles are part of a backup. Superusers may read them, and so may members of pg_read_all_data. Without them, roles come back without a password after the loss of a whole server, and passwords have to be set again.`},
	}
	rows = append(rows, keepKeys(&b.Keep)...)
	rows = append(rows, encryptKeys(&b.Encrypt, s)...)
	return append(rows, decryptKeys(&b.Decrypt, s)...)
}

func promiseKeys(c *Config) []*key {
	return []*key{
		{name: "guard", doc: `What is not believed without a look.`},
		{name: "guard.shrink", value: percent(&c.Guard.Shrink), def: "50%",
			doc: `By how much a new set of a database may hold less than the median of the last seven good ones: rows in all, bytes of data, or rows of a table that had more than 1000. A set that lost more is suspect: it is no "latest", it fills no place of backup.keep, and nothing is removed before somebody has looked and said so with "backup accept". 0 or off: everything is believed.`},
		{name: "recovery", doc: `What was promised for a bad day. Both are measured: checks warn from 80 % on, and are CRITICAL beyond.`},
		{name: "recovery.rto", value: optionalDuration(&c.Recovery.RTO), def: "",
			doc: `How long a restore of the database may take (recovery time objective), such as 30m. "backup verify --drill" compares it with what the drill took, but for the start of its server; the time to notice and to decide is not in it. Default: nothing was promised.`},
		{name: "recovery.rpo", value: optionalDuration(&c.Recovery.RPO), def: "",
			doc: `How old the newest good set may be (recovery point objective): what was written since is lost. "backup verify" and doctor compare, and so does "backup list --max-age rpo". For a backup each night not less than 31h, or the warning comes before the next backup. Default: nothing was promised.`},
	}
}

func keepKeys(k *Keep) []*key {
	const most = 100000
	return []*key{
		{name: "backup.keep", doc: `Which sets are kept, for each kind and each database by itself. A set stays when at least one rule wants it. Only good sets count, pinned ones always stay, and the last good one is never removed.`},
		{name: "backup.keep.within", value: duration(&k.Within, 0), def: "30d",
			env: []variable{{name: "RETENTION_DAYS", convert: days}},
			doc: `Every set not older than this, counted back from the newest good set, not from today: when backups stop, nothing ages away. 0: this rule keeps nothing. RETENTION_DAYS is a bare number of days.`},
		{name: "backup.keep.last", value: number(&k.Last, 0, most), def: "0",
			doc: `So many of the newest sets. 0: this rule keeps nothing.`},
		{name: "backup.keep.daily", value: number(&k.Daily, 0, most), def: "7",
			doc: `The last set of each day, for the so many most recent days that have one. 0: this rule keeps nothing.`},
		{name: "backup.keep.weekly", value: number(&k.Weekly, 0, most), def: "8",
			doc: `The last set of each week (Monday to Sunday), for the so many most recent weeks that have one. 0: this rule keeps nothing.`},
		{name: "backup.keep.monthly", value: number(&k.Monthly, 0, most), def: "12",
			doc: `The last set of each month, for the so many most recent months that have one. 0: this rule keeps nothing.`},
		{name: "backup.keep.yearly", value: number(&k.Yearly, 0, most), def: "0",
			doc: `The last set of each year, for the so many most recent years that have one. 0: this rule keeps nothing.`},
		{name: "backup.keep.min", value: number(&k.Min, 1, most), def: "1",
			doc: `So many good sets always stay, whatever the other rules say. At least 1.`},
	}
}

func encryptKeys(e *Encrypt, s site) []*key {
	return []*key{
		{name: "backup.encrypt", doc: `To whom sets are sealed (OpenPGP). Only public keys are needed here. Keep the secret keys on another machine, and a copy of them where a fire does not reach both.`},
		{name: "backup.encrypt.required", value: toggle(&e.Required), def: "false",
			doc: `Whether a backup refuses to run when it would not be encrypted. Set it to true once a recipient is set, so that a lost line in this file cannot end in plain backups.`},
		{name: "backup.encrypt.recipients", value: words(&e.Recipients), def: "", sealed: true,
			env: []variable{{name: "GPG_RECIPIENT"}},
			doc: `The keys that can open a set, found in gpg's keyring: fingerprints (best), long key ids or e-mail addresses that match exactly one usable key. Any one of them can open it; two people are wiser than one. For example [ops@example.com, 0D69E11F12BDBA077B3726AB4E1F799AA4FF2279]. In the environment, a variable that is set but empty is an error.`},
		{name: "backup.encrypt.recipient_files", value: paths(&e.RecipientFiles, s.home), def: "", sealed: true,
			doc: `Files with public keys, armored or binary; each key in them is a recipient. They need no keyring, which suits a machine that is set up by a script.`},
		{name: "backup.encrypt.gnupg_home", value: optionalPath(&e.GNUPGHome, s.home), def: "",
			doc: `The directory of the gpg keyring. Default: GNUPGHOME, else ~/.gnupg of the user who runs forgectl, which differs between root and the application's user.`},
		{name: "backup.encrypt.sign_key_file", value: optionalPath(&e.SignKeyFile, s.home), def: "", secret: true,
			doc: `A file with one secret key, armored or binary, mode 0600, that sets are signed with. Default: they are not signed. A signature proves who wrote a set; take a key of its own for it, not one that opens sets.`},
		{name: "backup.encrypt.sign_passphrase_file", value: optionalPath(&e.SignPassphraseFile, s.home), def: "", secret: true,
			doc: `A file that holds nothing but the passphrase of that key, mode 0600. Nobody is ever asked for it.`},
		{name: "backup.encrypt.sign_passphrase_command", value: command(&e.SignPassphraseCommand), def: "",
			doc: `A shell command that prints the passphrase of that key. Set this or sign_passphrase_file, not both.`},
	}
}

func verifyKeys(v *Verify, s site) []*key {
	return []*key{
		{name: "verify", doc: `Whose signatures are accepted when a set is verified or restored.`},
		{name: "verify.signer_files", value: paths(&v.SignerFiles, s.home), def: "",
			doc: `Files with public keys, armored or binary; each key in them may sign. The public half of backup.encrypt.sign_key_file may too. Needed on hosts that only verify or restore, and to go on accepting a key that was replaced.`},
		{name: "verify.require_signature", value: toggle(&v.RequireSignature), def: "false",
			doc: `Whether a set that is not signed by one of those keys counts as damaged, and is not restored. Without it an unknown signer is a warning, and only a signature that is wrong or was taken away is damage. Set it to true once all sets that are kept are signed.`},
	}
}

func decryptKeys(d *Decrypt, s site) []*key {
	return []*key{
		{name: "backup.decrypt", doc: `What opens a sealed set again, to decode, drill or restore it. Leave this alone on a machine that only writes backups: a key that is not here cannot be stolen here.`},
		{name: "backup.decrypt.secret_key_files", value: paths(&d.SecretKeyFiles, s.home), def: "", secret: true,
			doc: `Files with secret keys, armored or binary, mode 0600.`},
		{name: "backup.decrypt.passphrase_file", value: optionalPath(&d.PassphraseFile, s.home), def: "", secret: true,
			doc: `A file that holds nothing but the passphrase of those keys, mode 0600.`},
		{name: "backup.decrypt.passphrase_command", value: command(&d.PassphraseCommand), def: "",
			doc: `A shell command that prints the passphrase. Set this or passphrase_file, not both.`},
		{name: "backup.decrypt.gpg", value: enum(&d.GPG, GPGAuto, GPGNever), def: GPGAuto,
			doc: `Whether gpg and its agent are asked for a key when the files above do not fit: auto or never. "never" is for jobs that must not end in a passphrase prompt.`},
	}
}

func mediaKeys(c *Config, s site) []*key {
	return []*key{
		{name: "media", doc: `The files that users uploaded.`},
		{name: "media.path", value: optionalPath(&c.Media.Path, s.home), def: "/var/www/bmad-forge/media",
			doc: `The directory that holds them (MEDIA_ROOT in Django). Empty: there are none, and "backup full" goes without them. A directory that is not there is an error: it is more likely not mounted.`},
		{name: "media.exclude", value: words(&c.Media.Exclude), def: "",
			doc: `Patterns of what is left out, as in .gitignore: [/cache/, "*.tmp"] leaves out the directory cache at the top, and files that end in .tmp anywhere. Only for what the application can make again.`},
		{name: "media.columns", value: columns(&c.Media.Columns), def: "",
			doc: `The columns of the database that hold names of such files, as table.column or schema.table.column, such as [forge_document.file]. A drill of a full set looks whether each file that they name is in the media set. "config check" proposes some.`},
	}
}

func configFileKeys(c *Config, s site) []*key {
	return []*key{
		{name: "config_files", doc: `The configuration of this machine that a rebuilt one would need.`},
		{name: "config_files.paths", value: paths(&c.ConfigFiles.Paths, s.home), def: defaultConfigFiles,
			doc: `Files, and directories with all that is in them. One that is named here and is not there is a warning at each backup; of the default nothing is expected, and app.environment_file and this file belong to it too. Add what was changed by hand, such as certificates. Empty: there are none, and "backup full" goes without them.`},
		{name: "config_files.allow_plaintext", value: toggle(&c.ConfigFiles.AllowPlaintext), def: "false",
			doc: `Whether they may be backed up without encryption. They hold passwords, so without a recipient such a backup is refused unless this is true.`},
	}
}

func serviceKeys(c *Config) []*key {
	return []*key{
		{name: "service", doc: `What runs the application, so that it can be stopped around a restore.`},
		{name: "service.manager", value: enum(&c.Service.Manager, ManagerSystemd, ManagerSupervisor, ManagerCommand, ManagerPIDFile, ManagerNone), def: ManagerSystemd,
			doc: `How it is controlled: systemd, supervisor, command (the commands below), pidfile, or none (forgectl touches nothing).`},
		{name: "service.units", value: words(&c.Service.Units), def: "bmad-forge",
			doc: `The units or programs, in the order in which they are started; they are stopped in the reverse order. Name workers and schedulers too: whatever writes to the database.`},
		{name: "service.start", value: commands(&c.Service.Start), def: "",
			doc: `Shell commands that start it, one after the other, for the manager "command".`},
		{name: "service.stop", value: commands(&c.Service.Stop), def: "",
			doc: `Shell commands that stop it, for the manager "command".`},
		{name: "service.restart", value: commands(&c.Service.Restart), def: "",
			doc: `Shell commands that restart it, for the manager "command". Default: stop, then start.`},
		{name: "health", doc: `How the application says that it is well.`},
		{name: "health.url", value: serviceURL(&c.Health.URL, "http", "https"), def: "http://localhost:8000/health/",
			env: []variable{{name: "HEALTH_URL"}},
			doc: `The address of its health check. Empty: there is none.`},
		{name: "health.timeout", value: duration(&c.Health.Timeout, time.Millisecond), def: "10s",
			doc: `How long an answer may take before it counts as ill.`},
		{name: "health.wait", value: duration(&c.Health.Wait, time.Millisecond), def: "1m",
			doc: `How long the application may take after it was started until it is healthy. When a restore has put a database into service and the application is not healthy by then, the old database comes back.`},
	}
}

func redisKeys(c *Config, s site) []*key {
	r := &c.Redis
	return []*key{
		{name: "redis", doc: `The application's cache.`},
		{name: "redis.url", value: redisURL(&r.URL), def: "redis://localhost:6379/0",
			env: []variable{{name: "REDIS_URL"}},
			doc: `How Redis is reached, with the number of its database at the end: redis://[USER@]HOST[:PORT]/DB, rediss:// for TLS, unix:///PATH?db=DB for a socket, redis+sentinel://HOST[:PORT],HOST[:PORT]/MASTER/DB for the master that Sentinel knows (rediss+sentinel:// with TLS). Empty: there is none. Keep the password out of here, in password_file; a configuration file that holds one must have mode 0600. Without it and without password_file, the variables REDIS_PASSWORD and REDISCLI_AUTH are asked.`},
		{name: "redis.password_file", value: optionalPath(&r.PasswordFile, s.home), def: "", secret: true,
			doc: `A file that holds nothing but the password for redis.url, mode 0600.`},
		{name: "redis.password_command", value: command(&r.PasswordCommand), def: "",
			doc: `A shell command that prints the password for redis.url. Set this or password_file, not both.`},
		{name: "redis.sentinel_password_file", value: optionalPath(&r.SentinelPasswordFile, s.home), def: "", secret: true,
			doc: `A file that holds nothing but the password that the sentinels ask for, mode 0600. Default: they ask for none.`},
		{name: "redis.ca_file", value: optionalPath(&r.CAFile, s.home), def: "",
			doc: `The certificates (PEM) of those who may have signed the certificate of Redis, for rediss://. Default: the authorities that this system trusts.`},
		{name: "redis.cert_file", value: optionalPath(&r.CertFile, s.home), def: "",
			doc: `The certificate (PEM) that forgectl shows, where Redis wants one.`},
		{name: "redis.key_file", value: optionalPath(&r.KeyFile, s.home), def: "", secret: true,
			doc: `The key (PEM, mode 0600) of that certificate. Default: it is in cert_file.`},
		{name: "redis.key_prefix", value: optional(&r.KeyPrefix), def: "",
			doc: `KEY_PREFIX in the application's CACHES setting. Only keys that begin with it are the application's own. Empty, as Django has it by default, its keys begin with ":1:".`},
		{name: "redis.version", value: number(&r.Version, 0, 1<<31-1), def: "1",
			doc: `VERSION in the application's CACHES setting.`},
		{name: "redis.flush_after_restore", value: toggle(&r.FlushAfterRestore), def: "true",
			doc: `Whether a restore into service, and its undo, removes the application's keys from the cache before the units start: what was cached is of the other database. It is never the reason why a restore fails. Without effect where redis.url was not set by anybody.`},
		{name: "redis.warm", value: warmEntries(&r.Warm), def: defaultWarm,
			doc: `What "cache warm" puts into the cache: a list of entries, each with a name, a query (one SELECT), a key such as template:{id} with columns in braces, a ttl (1h; 0: for ever), a jitter by which keys live less, and a codec: pickle (a dict of the row), json (for a JSON serializer), raw (the bytes of a column), or django-model (an instance of model, app_label.ObjectName, in its table; with the alias of its database and django_version, by default what the release pins). value names one column to be kept instead of the row. With via: command, the application's own command is run instead, by the user who owns its directory. An instance is kept in a form that is Django's own and differs between its releases: django-model is used only where it is asked for. In an environment variable, a JSON list.`},
		{name: "redis.check", doc: `When "cache stats" warns.`},
		{name: "redis.check.memory", value: percent(&r.Check.Memory), def: "90%",
			doc: `The share of maxmemory that may be used, where a full memory refuses writes (policy noeviction or volatile-*). It is CRITICAL from half of what is left on. Where any key may be evicted a full memory is as it should be.`},
		{name: "redis.check.clients", value: percent(&r.Check.Clients), def: "80%",
			doc: `The share of maxclients that may be connected. CRITICAL from half of what is left on.`},
		{name: "redis.check.hit_ratio", value: percent(&r.Check.HitRatio), def: "off",
			doc: `The share of reads that must find something. Judged over the time that "cache stats --for" watches, else since the start of Redis.`},
		{name: "redis.check.latency", value: duration(&r.Check.Latency, time.Microsecond), def: "50ms",
			doc: `How long the median of PING may take. CRITICAL from ten times that on.`},
		{name: "redis.check.evictions", value: number(&r.Check.Evictions, 0, 1<<31-1), def: "0",
			doc: `How many keys may be evicted in a second, judged over the time of "cache stats --for". 0: any number.`},
	}
}

func hookKeys(h *Hooks) []*key {
	return []*key{
		{name: "hooks", doc: `Shell commands around every operation, run by /bin/sh with FORGECTL_OPERATION and FORGECTL_TARGET in their environment. In an environment variable, one command a line.`},
		{name: "hooks.before", value: commands(&h.Before), def: "",
			doc: `Commands before the operation. When one of them fails, the operation does not start.`},
		{name: "hooks.after", value: commands(&h.After), def: "",
			doc: `Commands after the operation, also when it failed: FORGECTL_OUTCOME and FORGECTL_ERROR tell. When one of them fails, that is a warning.`},
		{name: "hooks.timeout", value: duration(&h.Timeout, time.Millisecond), def: "1m",
			doc: `How long one command may take before it is ended.`},
	}
}

// defaultConfigFiles is what a host of the guide has.
const defaultConfigFiles = "/etc/bmad-forge, /etc/nginx/sites-available/bmad-forge, " +
	"/etc/systemd/system/bmad-forge.service, /etc/cron.d/bmad-forge, /etc/logrotate.d/bmad-forge"
