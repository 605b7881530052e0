package restore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/dumpset"
	"github.com/bmad-forge/forgectl/pkg/postgres/pgdump"
	"github.com/bmad-forge/forgectl/pkg/proc"
	"github.com/bmad-forge/forgectl/pkg/seal"
)

// Options say what to restore, and where to.
type Options struct {
	Catalog *catalog.Catalog
	Set     catalog.Set
	Unlock  seal.Unlocker
	Admin   *postgres.Endpoint // a role that may create databases, and another database to connect to
	Finder  postgres.ToolFinder
	Runner  proc.Runner
	Into    string // name of the new database

	Progress func(stage string, done, total int64)
	Logger   *slog.Logger
	Now      func() time.Time
	Step     func(name string) // tests interfere there
}

// Plan is what a restore is going to do, found out without changing anything.
type Plan struct {
	Set        catalog.Ref
	Server     string // endpoint, without secrets
	Version    postgres.Version
	Into       string
	Working    string // the name while it is loaded
	Owner      string
	Tools      postgres.Tools
	Bytes      int64 // size of the original database
	Free       int64 // on the server's data directory; -1: unknown
	Properties pgdump.Properties
}

// Result is a database that is there, compared and ready.
type Result struct {
	Plan
	Stages   []catalog.Stage
	Warnings []string
}

// SpaceError means that the server will hardly hold the new database.
type SpaceError struct {
	Dir        string
	Need, Free int64
}

func (e *SpaceError) Error() string {
	return fmt.Sprintf("the server has %d MB free in %s, the database needs about %d MB", e.Free>>20, e.Dir, e.Need>>20)
}

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
	if o.Step == nil {
		o.Step = func(string) {}
	}
	return o
}

// PlanInto checks everything that can be checked before a byte is loaded: the
// set's sums, the key, the name, versions, programs, roles, extensions and space.
func PlanInto(ctx context.Context, o Options) (Plan, error) {
	o = o.withDefaults()
	p := Plan{Set: o.Set.Ref, Into: o.Into, Free: -1, Server: o.Admin.WithDatabase(o.Into).String()}
	if why := postgres.ValidName(o.Into); why != "" {
		return p, &NameError{Name: o.Into, Why: why}
	}
	p.Working = postgres.CutName(o.Into, "_restore_"+strings.ToLower(string(catalog.NewID(o.Now()))))
	if o.Set.Problem != nil {
		return p, o.Set.Problem
	}
	reader := o.reader()
	if reader.Sealed() && o.Unlock == nil {
		return p, fmt.Errorf("%s: %w", o.Set.Ref, seal.ErrNoSecretKey)
	}
	if err := o.checkServer(ctx, &p); err != nil {
		return p, err
	}
	reader.Progress = meter(o, "checksum", o.Set.Bytes)
	damaged, err := reader.Hash(ctx)
	if err := errors.Join(append(damaged, err)...); err != nil {
		return p, err
	}
	if p.Properties, err = reader.Properties(ctx); err != nil {
		return p, err
	}
	p.Owner = p.Properties.Owner
	toc, err := reader.Definitions(ctx)
	if err != nil {
		return p, err
	}
	return p, pgdump.NeedsOf(toc, p.Properties).Check(ctx, o.Admin, false)
}

// Into restores the set into a new database of that name.
func Into(ctx context.Context, o Options) (Result, error) {
	o = o.withDefaults()
	r := Result{}
	var err error
	if r.Plan, err = PlanInto(ctx, o); err != nil {
		return r, err
	}
	candidate := pgdump.Candidate{Admin: o.Admin, Name: r.Working}
	note, err := json.Marshal(map[string]string{"forgectl": "restore", "set": o.Set.Ref.String(), "into": o.Into, "started": string(catalog.NewID(o.Now()))})
	if err != nil {
		return r, err
	}
	if err := candidate.Create(ctx, r.Properties, string(note)); err != nil {
		return r, err // and there is none
	}
	if err := o.fill(ctx, &r, candidate); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx) // what broke then, broke because of it
		}
		return r, errors.Join(err, candidate.Drop(ctx))
	}
	return r, nil
}

// finishTime bounds the one statement that is not interrupted. A server goes on
// with a commit although nobody waits for it any more: then the database would
// have its name after the run has said that it failed.
const finishTime = 5 * time.Minute

// finish gives the database its name. What was begun is seen through, so that the answer is true.
func (o Options) finish(ctx context.Context, r Result, candidate pgdump.Candidate) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishTime)
	defer cancel()
	return candidate.Finish(ctx, r.Properties, o.Into)
}

func (o Options) fill(ctx context.Context, r *Result, candidate pgdump.Candidate) error {
	o.Step("created")
	reader := o.reader()
	var raw int64
	for _, a := range o.Set.Manifest.Artifacts {
		raw += a.RawBytes
	}
	reader.Progress = meter(o, "load", raw)
	loader := pgdump.Loader{Endpoint: candidate.Endpoint(), Tools: r.Tools, Runner: o.Runner, Logger: o.Logger}
	said, err := reader.Load(ctx, loader, func(name string, took time.Duration) {
		r.took(name, took)
		o.Step("loaded " + name)
	})
	for _, s := range said {
		r.Warnings = append(r.Warnings, s.Text)
	}
	if err != nil {
		return err
	}
	if f := o.Set.Manifest.Fingerprint; f == nil || f.Level == catalog.FingerprintNone {
		r.Warnings = append(r.Warnings, "the set has no fingerprint: nothing proves that all rows are there")
	}
	for _, stage := range []struct {
		name string
		do   func() error
	}{
		{"compare", func() error {
			return pgdump.Compare(ctx, candidate.Endpoint(), o.Set.Manifest.Fingerprint, func(done, total int) {
				o.Progress("compare", int64(done), int64(total))
			})
		}},
		{"analyze", func() error { return candidate.Analyze(ctx) }},
		{"finish", func() error { return o.finish(ctx, *r, candidate) }},
	} {
		start := time.Now()
		if err := stage.do(); err != nil {
			return err
		}
		r.took(stage.name, time.Since(start))
		o.Step(stage.name)
	}
	return nil
}

func (r *Result) took(name string, d time.Duration) {
	r.Stages = append(r.Stages, catalog.Stage{Name: name, Seconds: d.Seconds()})
}

func (o Options) reader() dumpset.Reader {
	return dumpset.Reader{Catalog: o.Catalog, Set: o.Set, Unlock: o.Unlock}
}

func meter(o Options, stage string, total int64) func(int64) {
	var done int64
	return func(n int64) {
		done += n
		o.Progress(stage, done, total)
	}
}

// checkServer asks the server what must be known of it.
func (o Options) checkServer(ctx context.Context, p *Plan) error {
	conn, err := o.Admin.Connect(ctx)
	if err != nil {
		return err
	}
	server, err := postgres.Facts(ctx, conn)
	_ = conn.Close(context.WithoutCancel(ctx))
	if err != nil {
		return err
	}
	p.Version = server.Version
	if server.Standby {
		return errors.New("the server is a standby: nothing can be restored into it")
	}
	for _, name := range []string{o.Into, p.Working} {
		exists, err := pgdump.Exists(ctx, o.Admin, name)
		if err != nil {
			return err
		}
		if exists {
			return fmt.Errorf("restore into %s: %w", name, pgdump.ErrExists)
		}
	}
	source, err := o.reader().Source()
	if err != nil {
		return err
	}
	if server.Version.Major() < source.ServerVersionNum/10000 {
		return fmt.Errorf("%w: %s, not %s", ErrOlderServer, server.Version, source.ServerVersion)
	}
	if p.Tools, err = o.restoreTools(ctx, server.Version); err != nil {
		return err
	}
	p.Bytes = source.Bytes
	if o.Admin.OnThisHost() && server.DataDirectory != "" {
		var fs unix.Statfs_t
		if unix.Statfs(server.DataDirectory, &fs) == nil {
			p.Free = int64(fs.Bavail) * fs.Bsize
		}
	}
	if need := p.Bytes + p.Bytes/4; p.Free >= 0 && p.Free < need {
		return &SpaceError{Dir: server.DataDirectory, Need: need, Free: p.Free}
	}
	return nil
}

// restoreTools: pg_restore must be at least as new as the pg_dump that wrote
// the archive, and belongs to the server's version otherwise.
func (o Options) restoreTools(ctx context.Context, server postgres.Version) (postgres.Tools, error) {
	need := server.Major()
	if v, err := postgres.ParseVersion(o.Set.Manifest.Tools["pg_dump"]); err == nil && v.Major() > need {
		need = v.Major()
	}
	return o.Finder.Find(ctx, "pg_restore", need)
}
