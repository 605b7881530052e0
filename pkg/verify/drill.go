package verify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/dumpset"
	"github.com/bmad-forge/forgectl/pkg/postgres/pgdump"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch"
)

// SpaceError means that the throwaway server will hardly fit.
type SpaceError struct {
	Dir        string
	Need, Free int64 // bytes; Need is an estimate
}

func (e *SpaceError) Error() string {
	return fmt.Sprintf("%s has %d MB free, the drill needs about %d MB", e.Dir, e.Free>>20, e.Need>>20)
}

// drillDatabase is the name inside the throwaway server.
const drillDatabase = "drill"

// drill restores the set into a throwaway server and compares. Damage and
// differences go into the verdict; what this host lacks is the error.
func (o Options) drill(ctx context.Context, v *Verdict, reader dumpset.Reader) error {
	properties, globals, toc, err := o.plan(ctx, v, reader)
	if err != nil || len(v.Damage) > 0 {
		return err
	}
	// What a killed drill left is plain data, and it takes the space that is asked for next.
	if v.Removed, err = scratch.Sweep(ctx, o.Scratch.Dir, o.Logger); err != nil {
		v.Warnings = append(v.Warnings, err.Error())
	}
	if err := o.checkSpace(v.Set); err != nil {
		return err
	}
	tools, err := o.Finder.Find(ctx, "postgres", needMajor(v.Set.Manifest))
	if err != nil {
		return err
	}
	var cluster *scratch.Cluster
	err = o.stage(v, "start server", func() (err error) {
		cluster, err = scratch.Start(ctx, o.scratch(tools, properties, labelled(toc, properties)))
		return err
	})
	if err != nil {
		return fmt.Errorf("start throwaway server: %w", err)
	}
	defer func() {
		if err := cluster.Stop(context.WithoutCancel(ctx)); err != nil {
			v.Warnings = append(v.Warnings, fmt.Sprintf("remove throwaway server: %v", err))
		}
	}()
	o.Step("server started")
	admin, err := postgres.Resolve(ctx, postgres.Target{URL: cluster.ConnString("postgres"), OSUser: "postgres"})
	if err != nil {
		return err
	}
	if err := pgdump.NeedsOf(toc, properties).Check(ctx, admin, true); err != nil {
		return err
	}
	if err := createRoles(ctx, admin, globals, properties); err != nil {
		return err
	}
	properties.Tablespace = "" // as the archives are loaded without theirs
	candidate := pgdump.Candidate{Admin: admin, Name: drillDatabase}
	if err := candidate.Create(ctx, properties, ""); err != nil {
		return err
	}
	return o.loadAndCompare(ctx, v, reader, candidate, tools)
}

// plan reads what the drill must know before it starts anything.
func (o Options) plan(ctx context.Context, v *Verdict, reader dumpset.Reader) (p pgdump.Properties, g pgdump.Globals, toc *pgdump.TOC, err error) {
	keep := func(err error) error {
		if errors.Is(err, catalog.ErrDamaged) {
			v.Damage = append(v.Damage, err)
			return nil
		}
		return err
	}
	if _, err = reader.Source(); err != nil {
		return p, g, toc, keep(err)
	}
	if p, err = reader.Properties(ctx); err != nil {
		return p, g, toc, keep(err)
	}
	if g, err = reader.Globals(ctx); err != nil {
		return p, g, toc, keep(err)
	}
	toc, err = reader.Definitions(ctx)
	return p, g, toc, keep(err)
}

// needMajor is the least major version that can load the set: the server must
// be no older than the one that was dumped, and pg_restore, which comes with it,
// no older than the pg_dump that wrote the archives.
func needMajor(m *catalog.Manifest) int {
	need := m.Source.ServerVersionNum / 10000
	if v, err := postgres.ParseVersion(m.Tools["pg_dump"]); err == nil {
		need = max(need, v.Major())
	}
	return need
}

// Need estimates the space of a drill: data with indexes is about what the
// database was; WAL and temporary files of index builds come on top.
func Need(databaseBytes int64) int64 { return databaseBytes + databaseBytes/2 + 200<<20 }

func (o Options) checkSpace(set catalog.Set) error {
	if o.FreeScratch == nil {
		return nil
	}
	free, err := o.FreeScratch()
	if err != nil {
		o.Logger.Info("free space for the drill is unknown", "error", err)
		return nil
	}
	if need := Need(set.Manifest.Source.Bytes); free < need {
		return &SpaceError{Dir: o.Scratch.Dir, Need: need, Free: free}
	}
	return nil
}

// labelled reports whether anything has a security label: only a library that knows the label lets it be set.
func labelled(toc *pgdump.TOC, p pgdump.Properties) bool {
	return len(p.Labels) > 0 || slices.ContainsFunc(toc.Entries, func(e pgdump.Entry) bool { return e.Type == "SECURITY LABEL" })
}

// scratch says what the throwaway server must be like for this database.
func (o Options) scratch(tools postgres.Tools, p pgdump.Properties, labelled bool) scratch.Options {
	s := o.Scratch
	s.BinDir = tools.Dir
	s.Runner = o.Runner
	s.Logger = o.Logger
	s.Encoding = p.Encoding
	s.Locale = p.CType
	for _, lib := range p.Preload {
		// Only libraries that an extension of the database belongs to: a server's
		// others (auto_explain, say) change nothing about its data. Which of them is a
		// provider of security labels nobody can say.
		if labelled || slices.Contains(p.Extensions, lib) {
			s.PreloadLibraries = append(s.PreloadLibraries, lib)
		}
	}
	return s
}

// createRoles makes every role that the set names: owners and grants need them
// to exist, nobody can log in as them. None has any right, but for those that were
// superusers: what belongs to one cannot be given to anybody else.
func createRoles(ctx context.Context, admin *postgres.Endpoint, g pgdump.Globals, p pgdump.Properties) error {
	names := p.Roles()
	super := map[string]bool{}
	for _, r := range g.Roles {
		names = append(names, r.Name)
		super[r.Name] = r.Superuser
	}
	slices.Sort(names)
	conn, err := admin.Connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	for _, name := range slices.Compact(names) {
		if name == admin.User() || strings.HasPrefix(name, "pg_") {
			continue
		}
		attributes := " NOLOGIN"
		if super[name] {
			attributes += " SUPERUSER"
		}
		if _, err := conn.Exec(ctx, "CREATE ROLE "+postgres.QuoteIdent(name)+attributes); err != nil {
			return fmt.Errorf("create role %s: %w", name, err)
		}
	}
	return nil
}

// loadAndCompare is the drill proper.
func (o Options) loadAndCompare(ctx context.Context, v *Verdict, reader dumpset.Reader, candidate pgdump.Candidate, tools postgres.Tools) error {
	reader.Progress = o.meter("load", rawBytes(v.Set))
	loader := pgdump.Loader{Endpoint: candidate.Endpoint(), Tools: tools, Runner: o.Runner, Logger: o.Logger, Jobs: o.Jobs, Elsewhere: true}
	said, err := reader.Load(ctx, loader, func(name string, took time.Duration) {
		v.took(name, took)
		o.Step("loaded " + name)
	})
	for _, s := range said {
		v.Warnings = append(v.Warnings, s.Text)
	}
	if err != nil {
		return v.judge(ctx, err)
	}
	if f := v.Set.Manifest.Fingerprint; f == nil || f.Level == catalog.FingerprintNone {
		v.Warnings = append(v.Warnings, "the set has no fingerprint: the drill proves that it loads, not that all rows are there")
	}
	err = o.stage(v, "compare", func() error {
		return pgdump.Compare(ctx, candidate.Endpoint(), v.Set.Manifest.Fingerprint, func(done, total int) {
			o.Progress("compare", int64(done), int64(total))
		})
	})
	if err != nil {
		return v.judge(ctx, err)
	}
	if o.restored != nil {
		if err := o.restored(ctx, candidate.Endpoint()); err != nil {
			return err
		}
	}
	return o.stage(v, "analyze", func() error { return candidate.Analyze(ctx, o.Jobs) })
}

// judge decides whether a failure is the set's: damage, a difference, or an
// archive that a healthy server refuses to load. An end of the context, or of
// the server, is not.
func (v *Verdict) judge(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return err
	}
	if errors.Is(err, catalog.ErrDamaged) || errors.Is(err, pgdump.ErrDiffers) || pgdump.Refused(err) {
		v.Damage = append(v.Damage, err)
		return nil
	}
	return err
}
