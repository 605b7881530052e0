package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// database measures backup, restore and verification of a database: pgbench's tables and one of text and JSON, the
// like of which an application has.
func database(ctx context.Context, b *bench) error {
	if err := b.makeDatabase(ctx); err != nil {
		return err
	}
	if err := b.makeKey(ctx); err != nil {
		return err
	}
	if err := b.configure("readback: hash", "hash.yaml"); err != nil {
		return err
	}
	if err := b.configure("readback: decode", "decode.yaml"); err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{b.backups, b.remoteBackups, b.restores} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) makeDatabase(ctx context.Context) error {
	if err := b.startServer(ctx); err != nil {
		return err
	}
	name := fmt.Sprintf("bench of scale %d", b.scale)
	if made, err := b.output(ctx, "psql", "-XAtc", "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = 'bench'", "postgres"); err != nil || made == name {
		return err
	}
	rows := b.path("rows")
	f, err := os.Create(rows)
	if err != nil {
		return err
	}
	if err := errors.Join(writeText(f, b.scale*10000), f.Close()); err != nil {
		return err
	}
	defer os.Remove(rows)
	for _, line := range []string{
		"psql -Xqc 'DROP DATABASE IF EXISTS bench' postgres",
		"createdb bench",
		fmt.Sprintf("pgbench -qis %d 2>/dev/null", b.scale),
		"psql -Xqc '" + tableSQL + "'",
		"psql -Xqc '\\copy document FROM rows'",
		"psql -Xqc 'VACUUM (FREEZE, ANALYZE)' -c CHECKPOINT",
		fmt.Sprintf("psql -Xqc \"COMMENT ON DATABASE bench IS '%s'\"", name),
	} {
		if err := b.shell(ctx, line); err != nil {
			return err
		}
	}
	return nil
}

// makeKey makes one key for gpg and forgectl alike.
func (b *bench) makeKey(ctx context.Context) error {
	if _, err := os.Stat(b.path("bench.key")); err == nil {
		return nil
	}
	return b.shell(ctx, `mkdir -p -m 700 gnupg
gpg --batch --quiet --pinentry-mode loopback --passphrase '' --quick-generate-key bench@example.org future-default default never
gpg --batch --quiet --export --output bench.pub bench@example.org
gpg --batch --quiet --pinentry-mode loopback --passphrase '' --export-secret-keys --output bench.key bench@example.org
gpgconf --kill all`)
}

// configure writes a configuration whose backup section has one more line.
func (b *bench) configure(line, name string) error {
	return b.configureAt("postgres://postgres@/bench?host="+b.path("server"), line, name)
}

// configureAt is configure for a database that is reached in another way.
func (b *bench) configureAt(url, line, name string) error {
	yaml := strings.NewReplacer("{dir}", b.dir, "{line}", line, "{url}", url).Replace(`repository: {dir}/repository
state_dir: {dir}/state
database:
  name: bench
  url: {url}
  admin_url: postgres://postgres@/postgres?host={dir}/server
  admin_os_user: ""
backup:
  {line}
  prune: manual
  encrypt: {required: true, recipient_files: [{dir}/bench.pub]}
  decrypt: {secret_key_files: [{dir}/bench.key], gpg: never}
`)
	return os.WriteFile(b.path(name), []byte(yaml), 0o600)
}

func (b *bench) ours(ctx context.Context, config string, args ...string) error {
	return b.command(ctx, b.forgectl, append([]string{"--config", b.path(config)}, args...)...)
}

// remove is a cleanup that is not measured.
func (b *bench) remove(names ...string) func(context.Context) error {
	return func(context.Context) error {
		for _, name := range names {
			if err := os.RemoveAll(b.path(name)); err != nil {
				return err
			}
		}
		return nil
	}
}

// repository makes an empty one.
func (b *bench) repository(ctx context.Context) error {
	// Without its memory of a repository forgectl would ask whether an empty one is mounted.
	if err := b.remove("repository", "state")(ctx); err != nil {
		return err
	}
	return os.Mkdir(b.path("repository"), 0o700)
}

// size is the bytes of all files below a name.
func (b *bench) size(name string) func() (int64, error) {
	return func() (n int64, err error) {
		err = filepath.WalkDir(b.path(name), func(_ string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			info, err := d.Info()
			if err == nil {
				n += info.Size()
			}
			return err
		})
		return n, err
	}
}

const gpgLine = "gpg --batch --quiet --trust-model always -z0 --encrypt --recipient bench@example.org"

func (b *bench) backups(ctx context.Context) error {
	line := func(name, line, file string) contender {
		c := contender{name: name, run: func(ctx context.Context) error { return b.shell(ctx, line) }}
		if file != "" {
			c.bytes, c.after = b.size(file), b.remove(file)
		}
		return c
	}
	ours := func(config string) func(context.Context) error {
		return func(ctx context.Context) error { return b.ours(ctx, config, "backup", "db") }
	}
	return b.try(ctx, trial{
		title:   "backup of a database, until the file is there",
		against: []string{"guide", "by hand"},
		contenders: []contender{
			line("limit", "pg_dump -Fc -Z0 >/dev/null", ""),
			line("guide", "pg_dump | gzip >guide.sql.gz", "guide.sql.gz"),
			line("by hand", "pg_dump -Fc -Z0 | zstd -q -3 -T2 | "+gpgLine+" >hand.gpg", "hand.gpg"),
			{name: "forgectl, readback hash", before: b.repository, run: ours("hash.yaml"), bytes: b.size("repository")},
			{name: "forgectl, readback decode", before: b.repository, run: ours("decode.yaml"), bytes: b.size("repository")},
		},
	})
}

func (b *bench) restores(ctx context.Context) error {
	if err := b.shell(ctx, "pg_dump | gzip >guide.sql.gz; pg_dump -Fc -Z0 >hand.dump"); err != nil {
		return err
	}
	if err := b.repository(ctx); err != nil {
		return err
	}
	if err := b.ours(ctx, "hash.yaml", "backup", "db"); err != nil {
		return err
	}
	fresh := func(name string) func(context.Context) error {
		return func(ctx context.Context) error {
			return b.shell(ctx, "dropdb --if-exists --force "+name+" && psql -Xqc CHECKPOINT")
		}
	}
	empty := func(name string) func(context.Context) error {
		return func(ctx context.Context) error {
			return b.shell(ctx, "dropdb --if-exists --force "+name+" && createdb -T template0 "+name+" && psql -Xqc CHECKPOINT")
		}
	}
	shell := func(line string) func(context.Context) error {
		return func(ctx context.Context) error { return b.shell(ctx, line) }
	}
	err := b.try(ctx, trial{
		title:   "restore of a database, until it is there, compared (ours only) and analyzed",
		against: []string{"guide", "pg_restore -j2"},
		contenders: []contender{
			{name: "guide", before: empty("guide"), run: shell("gunzip -c guide.sql.gz | psql -Xq -v ON_ERROR_STOP=1 guide >/dev/null")},
			{name: "pg_restore -j2", before: empty("hand"), run: shell("pg_restore -j2 --exit-on-error -d hand hand.dump")},
			{name: "forgectl", before: fresh("ours"), run: func(ctx context.Context) error {
				return b.ours(ctx, "hash.yaml", "restore", "db", "latest", "--into", "ours", "--yes")
			}},
		},
	})
	if err != nil {
		return err
	}
	if err := b.equal(ctx, "bench", "guide", "hand", "ours"); err != nil {
		return err
	}
	verify := func(args ...string) func(context.Context) error {
		return func(ctx context.Context) error {
			return b.ours(ctx, "hash.yaml", append([]string{"backup", "verify", "latest"}, args...)...)
		}
	}
	err = b.try(ctx, trial{
		title:   "verification of a sealed set",
		against: []string{"gpg | zstd"},
		contenders: []contender{
			{name: "gpg | zstd", run: shell("for f in repository/database/bench/*/*.gpg; do gpg --batch --quiet --decrypt $f | zstd -qdc >/dev/null; done")},
			{name: "forgectl, decode", run: verify("--level", "decode")},
			{name: "forgectl, drill", run: verify("--drill")},
		},
	})
	for _, name := range []string{"guide", "hand", "ours"} {
		if err == nil {
			err = b.command(ctx, "dropdb", name)
		}
	}
	if err == nil {
		err = b.remove("repository", "guide.sql.gz", "hand.dump")(ctx)
	}
	return err
}

// equal compares what pg_dump says of each database.
func (b *bench) equal(ctx context.Context, names ...string) error {
	var first string
	for _, name := range names {
		sum, err := b.output(ctx, "bash", "-euo", "pipefail", "-c", "pg_dump --restrict-key=bench "+name+" | sha256sum")
		if err != nil {
			return err
		}
		if first == "" {
			first = sum
		} else if sum != first {
			return fmt.Errorf("%s differs from %s", name, names[0])
		}
	}
	fmt.Printf("\nequal by pg_dump: %s\n", strings.Join(names, ", "))
	return nil
}
