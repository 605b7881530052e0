package main

import (
	"github.com/spf13/cobra"

	"github.com/bmad-forge/forgectl/pkg/catalog"
)

type verifyOptions struct {
	name   string // an id, or latest
	all    bool
	level  choice
	drill  bool
	maxAge ageLimit
	sample percent
}

func newBackupVerifyCmd(app *App) *cobra.Command {
	levels := []string{catalog.LevelChecksum, catalog.LevelDecode, catalog.LevelDrill}
	o := verifyOptions{level: choice{value: catalog.LevelChecksum, of: levels}}
	cmd := &cobra.Command{
		Use:   "verify [ID|latest]",
		Short: "Prove that sets are what they should be",
		Long: `Examines a set and records the verdict beside it, where "backup list" shows it.

  checksum  every file is there and has its hash
  decode    also: every artifact decrypts and decompresses to what went in
  drill     also: the set is restored into a throwaway server and compared, table by
            table. Only this proves a backup; the time it takes is the measured
            recovery time.

Of a media set, checksum holds every file against the index: type, size, mode, time, link
target, extended attributes and hash, and that nothing else is there; decode is the same,
and drill is for databases (with --all, files are held against their index then). With
--sample 5% the contents of so many files are read, those that nobody has read for
longest; everything else is compared for all, and what a full set refers to is read whole.
"backup show" says how much was read within 30 days. A damaged file is damaged in every
set that shares it: those get a failed check too, and the next backup copies it anew.

"latest" (the default) is the newest set of the database, good or not. --all takes
every set of every kind and every database, or with --database those of one. Decode and
drill need a secret key for sealed sets, and end UNKNOWN where there is none: nothing is
"verified" that was not. The throwaway server is a private one in scratch_dir, and is
removed on every exit. The sets themselves are never changed.

` + setNaming + `

With a full set all that it refers to is examined, each with a verdict of its own: the
database at the level asked for, media and configuration at decode at most, and whether
they are the very sets that were made with it. A drill also looks whether each file that
media.columns name in the restored database is in the media set: missing ones are
CRITICAL, and named; those that no column names are counted. The sets stay good: what the
application has lost itself no other set may have.

A signature is checked at each level: one that is wrong or was taken away is damage,
one by a key that is not accepted here a WARNING, or damage like none at all where
verify.require_signature is set. A set that comes from another server than the good
sets around it is a WARNING.

Damage is CRITICAL and names the file. With --max-age it is also CRITICAL when the
newest good set is older.

What was promised is compared as well. With recovery.rto, a drill says how long a restore
would take: all its stages but the start of the throwaway server. With recovery.rpo, the
age of the newest good set is looked at unless a set was named. Either is a WARNING from
80 % on and CRITICAL beyond; the verdict on the set stays "ok".

With -o json: {"verified": [{"set", "level", "ok", "problems", "warnings",
"signature" (as of "backup show"), "stages": [{"name", "seconds"}], "seconds",
"recovery": {"seconds", "promised_seconds", "kept"}, "files": {"named", "missing",
"missing_names": [], "orphans"}}]}; "recovery" is there after a drill of a database that
went well, with recovery.rto, and "files" after one of a full set, with media.columns.`,
		Example: `  forgectl backup verify --max-age 26h
  forgectl backup verify --drill
  forgectl backup verify full/latest --drill
  forgectl backup verify --all --level decode
  forgectl backup verify media/latest --sample 5%
  forgectl backup verify 20261123T020000Z`,
		Annotations:       operationCodes(),
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: app.completeSets,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.name = append(args, latest)[0]
			if err := app.checkVerify(cmd, &o, len(args) > 0); err != nil {
				return err
			}
			return app.verifyBackups(cmd, o)
		},
	}
	databaseFlag(app, cmd)
	f := cmd.Flags()
	f.BoolVar(&o.all, "all", false, "every set instead of one")
	f.Var(&o.level, "level", "how far to go: checksum, decode or drill")
	complete(cmd, "level", cobra.FixedCompletions(levels, cobra.ShellCompDirectiveNoFileComp))
	f.BoolVar(&o.drill, "drill", false, "short for --level drill")
	f.Var(&o.sample, "sample", "of a media set, read the contents of so many `PERCENT` of the files, such as 5%")
	complete(cmd, "sample", cobra.FixedCompletions([]string{"5%", "10%", "25%"}, cobra.ShellCompDirectiveNoFileComp))
	ageFlag(cmd, &o.maxAge, "CRITICAL when the newest good set is older than this `TIME`, such as 26h, or rpo (default: recovery.rpo)")
	return cmd
}

func (a *App) checkVerify(cmd *cobra.Command, o *verifyOptions, named bool) error {
	switch {
	case o.sample > 0 && o.level.value == catalog.LevelDrill, o.sample > 0 && o.drill:
		return a.misuse("--sample reads files, and a drill restores databases: which is it?")
	case o.all && named:
		return a.misuse("--all and a set were given: which is it?")
	case o.drill && o.level.given && o.level.value != catalog.LevelDrill:
		return a.misuse("--drill and --level %s were given: which is it?", o.level.value)
	}
	if o.drill {
		o.level.value = catalog.LevelDrill
	}
	cfg, err := a.Config()
	if err != nil {
		return err
	}
	// Who names a set asks about that one.
	if !o.maxAge.given && !named {
		o.maxAge.rpo = cfg.Recovery.RPO > 0
	}
	return a.checkAgeLimit(o.maxAge)
}
