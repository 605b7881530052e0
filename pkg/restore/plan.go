package restore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/cutover"
	"github.com/bmad-forge/forgectl/pkg/postgres/dumpfile"
	"github.com/bmad-forge/forgectl/pkg/postgres/pgdump"
	"github.com/bmad-forge/forgectl/pkg/proc"
	"github.com/bmad-forge/forgectl/pkg/provenance"
	"github.com/bmad-forge/forgectl/pkg/seal"
	"github.com/bmad-forge/forgectl/pkg/space"
)

// Options say what to restore, and where to.
type Options struct {
	Catalog *catalog.Catalog
	Set     catalog.Set
	Unlock  seal.Unlocker
	// Provenance says whose signatures count.
	Provenance provenance.Policy
	Admin      *postgres.Endpoint // a role that may create databases, and another database to connect to
	Finder     postgres.ToolFinder
	Runner     proc.Runner

	// File, if set, is restored in place of Set. Trusted loads it with the rights of
	// Admin and forgives what a trusted person may have had reasons for; an
	// untrusted file is loaded by a role that can do nothing else.
	File    *dumpfile.File
	Trusted bool

	Jobs int    // sessions that load at once; below 2: one
	Into string // of Into: the name of the new database
	// Tables, if not empty, are all that Into restores of a set: their rows with
	// what belongs to them. Everything else is defined, and empty.
	Tables []string

	// Of Replace, Undo and Resume:
	Live    string  // the database whose place is taken
	Intents Intents // where it is remembered that an exchange is going on
	Units   Units   // nil: nothing is stopped
	Gate    Gate    // nil: the application is not asked
	Host    string  // for the intent
	PID     int     // for the intent
	// Confirm hears what Replace is going to do, when everything has been checked
	// and nothing has been changed; ConfirmUndo the same of Undo. An error ends it there.
	Confirm     func(context.Context, Plan) error
	ConfirmUndo func(context.Context, UndoPlan) error
	// Ready, if set, is called by Replace when the restored database is loaded and compared, and nothing has been put into
	// service: what is to come into service with it goes there now, before units are started with both. An error drops
	// the restored database.
	Ready func(context.Context) error
	// Swapped, if set, is called when another database has come into its place, forwards or backwards, before units are
	// started: what was derived from the one before (a cache) is to go now. It cannot fail an exchange.
	Swapped func(context.Context)
	// Report hears each step of an exchange before it is taken.
	Report func(step, detail string)

	Progress func(stage string, done, total int64)
	Logger   *slog.Logger
	Now      func() time.Time
	Step     func(name string) // tests interfere there
}

// Plan is what a restore is going to do, found out without changing anything.
type Plan struct {
	Source     string // what is restored: a set's name
	Server     string // endpoint, without secrets
	Version    postgres.Version
	Into       string
	Working    string // the name while it is loaded
	Owner      string
	Tools      postgres.Tools
	Bytes      int64 // size of the original database, or what chosen tables need of it, about
	Free       int64 // on the server's data directory; -1: unknown
	Properties pgdump.Properties
	Warnings   []string
	Signature  provenance.Finding // of the set
	// Fingerprint is what the restored database is compared with; nil: nothing was counted.
	Fingerprint *catalog.Fingerprint
	// Choice is which tables are restored, and what is left out; nil: everything.
	Choice *pgdump.Choice

	// Of Replace:
	Run   string
	Live  *cutover.Live // nil: there is no database of that name yet
	Aside string        // what the live one is called afterwards
	Units []string      // that run now, and are stopped for the exchange
	Roles []string      // that are missing and will be made from the globals
	// Passwordless are those of Roles that log in, and come back without a password.
	Passwordless []string

	roleScript []string // what makes them
	started    string   // the run in Working
	dataDir    string   // of the server
}

// Result is a database that is there, compared and ready.
type Result struct {
	Plan
	Stages []catalog.Stage

	// Of Replace:
	Gap      time.Duration // how long new connections waited at most
	Downtime time.Duration // from the first unit that was stopped to the healthy answer
	Ended    int           // sessions that were terminated
}

func (r *Result) took(name string, d time.Duration) {
	r.Stages = append(r.Stages, catalog.Stage{Name: name, Seconds: d.Seconds()})
}

// SpaceError means that the server will hardly hold the new database.
type SpaceError struct {
	Dir        string
	Need, Free int64
	Media      bool // it is files that do not fit there
}

func (e *SpaceError) Error() string {
	if e.Media {
		return fmt.Sprintf("%d MB are free in %s, the files need %d MB", e.Free>>20, e.Dir, e.Need>>20)
	}
	return fmt.Sprintf("the server has %d MB free in %s, the database needs about %d MB", e.Free>>20, e.Dir, e.Need>>20)
}

// ErrTables means that single tables cannot be restored like this.
var ErrTables = errors.New("single tables come out of a backup set, into a database beside the live one")

// ErrOlderServer means that the set comes from a newer server than the one it is to go into.
var ErrOlderServer = errors.New("the server is older than the one the backup was taken from")

// NameError means that a database cannot have that name.
type NameError struct{ Name, Why string }

func (e *NameError) Error() string { return fmt.Sprintf("name %q %s", e.Name, e.Why) }

func (o Options) withDefaults() Options {
	if o.Progress == nil {
		o.Progress = func(string, int64, int64) {}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Report == nil {
		o.Report = func(string, string) {}
	}
	if o.Swapped == nil {
		o.Swapped = func(context.Context) {}
	}
	if o.Step == nil {
		o.Step = func(string) {}
	}
	return o
}

// prepare checks everything that can be checked before a byte is loaded: the
// name, the server, the programs, the source itself, and what the source needs
// of the server. Into and Working of p are set.
func (o Options) prepare(ctx context.Context, p *Plan) error {
	if why := postgres.ValidName(p.Into); why != "" {
		return &NameError{Name: p.Into, Why: why}
	}
	if len(o.Tables) > 0 && (o.File != nil || p.Run != "") {
		return ErrTables // the live database would be replaced by a few tables
	}
	src := o.source()
	p.Source, p.Server, p.Free = src.name(), o.Admin.WithDatabase(p.Into).String(), -1
	facts, err := src.facts(ctx)
	if err != nil {
		return err
	}
	p.Signature, p.Warnings = facts.signature, append(p.Warnings, facts.warnings...)
	if err := o.checkServer(ctx, p, facts); err != nil {
		return err
	}
	contents, err := src.examine(ctx)
	if err != nil {
		return err
	}
	// A backup of a database that an earlier restore had moved aside carries its mark.
	contents.properties.Comment = cutover.Plain(contents.properties.Comment)
	p.Properties, p.Owner, p.Choice = contents.properties, contents.properties.Owner, contents.choice
	p.Fingerprint = p.Choice.Fingerprint(src.fingerprint())
	if p.Choice != nil {
		p.Bytes = shareOf(p.Bytes, p.Fingerprint, src.fingerprint())
		if err := p.checkSpace(); err != nil {
			return err
		}
	}
	return o.checkNeeds(ctx, p, contents)
}

// checkServer asks the server what must be known of it.
func (o Options) checkServer(ctx context.Context, p *Plan, source facts) error {
	conn, err := o.Admin.Connect(ctx)
	if err != nil {
		return err
	}
	server, err := postgres.Facts(ctx, conn)
	if err == nil {
		err = postgres.RefusePooler(ctx, o.Admin, conn)
	}
	_ = conn.Close(context.WithoutCancel(ctx))
	if err != nil {
		return err
	}
	p.Version = server.Version
	if server.Standby {
		return errors.New("the server is a standby: nothing can be restored into it")
	}
	if err := o.checkNames(ctx, p); err != nil {
		return err
	}
	if server.Version.Major() < source.server.Major() {
		return fmt.Errorf("%w: %s, not %s", ErrOlderServer, server.Version, source.server)
	}
	// pg_restore must be at least as new as the pg_dump that wrote the archive,
	// and belongs to the server's version otherwise.
	if p.Tools, err = o.Finder.Find(ctx, "pg_restore", max(server.Version.Major(), source.dumper.Major())); err != nil {
		return err
	}
	p.Bytes, p.dataDir = source.bytes, server.DataDirectory
	if o.Admin.OnThisHost() && server.DataDirectory != "" {
		if free, err := space.Free(server.DataDirectory); err == nil {
			p.Free = free
		}
	}
	if len(o.Tables) > 0 {
		return nil // how much room they need is not known yet
	}
	return p.checkSpace()
}

func (p *Plan) checkSpace() error {
	if need := p.Bytes + p.Bytes/4; p.Free >= 0 && p.Free < need {
		return &SpaceError{Dir: p.dataDir, Need: need, Free: p.Free}
	}
	return nil
}

// shareOf guesses how large some tables are: twice their share of the rows, for
// theirs may be wider than others, but not more than the whole database.
func shareOf(bytes int64, some, all *catalog.Fingerprint) int64 {
	if all.Rows() == 0 {
		return bytes
	}
	return min(bytes, int64(2*float64(bytes)*float64(some.Rows())/float64(all.Rows())))
}

// checkNames: a new database takes a name that is free.
func (o Options) checkNames(ctx context.Context, p *Plan) error {
	names := []string{p.Working, p.Into}
	if p.Live != nil {
		names = []string{p.Working, cutover.Name(p.Into, cutover.Before, p.Run), cutover.Name(p.Into, cutover.Failed, p.Run)}
	}
	for _, name := range names {
		exists, err := pgdump.Exists(ctx, o.Admin, name)
		if err != nil {
			return err
		}
		if exists {
			return fmt.Errorf("restore into %s: %w", name, pgdump.ErrExists)
		}
	}
	return nil
}

// checkNeeds compares what the source needs with what the server has. Missing
// roles are made when a database is put into service and the globals know them.
func (o Options) checkNeeds(ctx context.Context, p *Plan, c contents) error {
	live := ""
	if p.Live != nil {
		live = p.Live.Name
	}
	if err := pgdump.AdminRights(ctx, o.Admin, c.tocs, c.properties, live); err != nil {
		return err
	}
	err := c.needs.Check(ctx, o.Admin, false)
	var missing *pgdump.MissingError
	if p.Run == "" || !errors.As(err, &missing) || len(missing.Roles) == 0 {
		return err
	}
	// On an empty host every role of the globals comes back, not only those that own something.
	wanted := missing.Roles
	if p.Live == nil {
		wanted = append(slices.Clone(wanted), c.roles.All()...)
	}
	if p.Roles, err = missingRoles(ctx, o.Admin, c.roles.Needed(wanted)); err != nil {
		return err
	}
	p.roleScript = c.roles.Making(p.Roles)
	for _, r := range c.globals.Roles {
		if r.Login && !c.globals.Passwords && slices.Contains(p.Roles, r.Name) {
			p.Passwordless = append(p.Passwordless, r.Name)
		}
	}
	missing.Roles = slices.DeleteFunc(missing.Roles, c.roles.Knows)
	if len(missing.Roles)+len(missing.Extensions)+len(missing.Tablespaces) > 0 {
		return missing
	}
	return nil
}

// missingRoles are those that the server does not have.
func missingRoles(ctx context.Context, admin *postgres.Endpoint, names []string) ([]string, error) {
	err := pgdump.Needs{Roles: names}.Check(ctx, admin, false)
	var missing *pgdump.MissingError
	if errors.As(err, &missing) {
		return missing.Roles, nil
	}
	return nil, err
}
