package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/bmad-forge/forgectl/pkg/artifact"
	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/dumpset"
	"github.com/bmad-forge/forgectl/pkg/postgres/pgdump"
	"github.com/bmad-forge/forgectl/pkg/proc"
	"github.com/bmad-forge/forgectl/pkg/seal"
)

// DatabaseOptions say what to back up, where to, and how.
type DatabaseOptions struct {
	Endpoint *postgres.Endpoint
	Catalog  *catalog.Catalog
	Finder   postgres.ToolFinder
	Runner   proc.Runner

	Seal          seal.Options
	RequireSealed bool           // refuse to write a plain set
	Signer        catalog.Signer // nil: the set is not signed
	Fingerprint   string         // catalog.Fingerprint…; default counts
	Readback      string         // catalog.Readback…; default decode
	LockTimeout   time.Duration  // for a lock on a table; default 1 minute
	Jobs          int            // processor cores to use; 0: all
	Split         int64          // tables of more bytes than this get a data artifact of their own; 0: none
	RolePasswords bool           // password hashes in the globals: needs a superuser
	Release       Release        // facts about the application, for the manifest
	Shrink        int            // a set that lost more than so many percent is suspect; 0: none is

	// Free returns the free bytes of the repository, an error when nobody knows; nil: not asked.
	Free     func(context.Context) (int64, error)
	Progress Progress
	Logger   *slog.Logger
	// Step, if set, is called at named points, for tests that interfere there.
	Step func(name string)
}

// Progress hears how far a stage is; total 0 is unknown.
type Progress func(stage string, done, total int64)

// Result is a published set and how it came about.
type Result struct {
	Set      catalog.Set
	Warnings []string // somebody should look, though the set is whole
	Removed  []string // leftovers of dead runs that were cleaned up
	Stages   []catalog.Stage
}

// attempts is how often a backup that met a locked table starts over. Starting
// over lets go of all locks, so whoever waited behind them can finish.
const attempts = 3

// Database backs up one database. Errors that callers tell apart:
// *pgdump.RightsError, *pgdump.BusyError, *postgres.ToolsError,
// *postgres.ConnectError, postgres.ErrPooled, *SpaceError, ErrPlain, pgdump.ErrGuardLost.
func Database(ctx context.Context, o DatabaseOptions) (Result, error) {
	o = o.withDefaults()
	group := catalog.Group{Kind: catalog.KindDatabase, Database: o.Endpoint.Database()}
	if err := o.checkLevels(); err != nil {
		return Result{}, err
	}
	if err := o.checkRecipients(); err != nil {
		return Result{}, err
	}
	removed, err := o.Catalog.Sweep(ctx, group)
	if err != nil {
		return Result{}, fmt.Errorf("clean up after earlier runs: %w", err)
	}
	for attempt := 1; ; attempt++ {
		run := &databaseRun{DatabaseOptions: o, group: group}
		result, err := run.do(ctx)
		result.Removed = removed
		if err == nil || attempt == attempts || !errors.Is(err, pgdump.ErrBusy) || ctx.Err() != nil {
			return result, err
		}
		o.Logger.Info("a table was locked, starting over", "attempt", attempt, "error", err)
	}
}

func (o DatabaseOptions) withDefaults() DatabaseOptions {
	if o.Fingerprint == "" {
		o.Fingerprint = catalog.FingerprintCounts
	}
	if o.Readback == "" {
		o.Readback = catalog.ReadbackDecode
	}
	if o.Jobs <= 0 {
		o.Jobs = runtime.GOMAXPROCS(0)
	}
	if o.Progress == nil {
		o.Progress = func(string, int64, int64) {}
	}
	o.Progress = inTurn(o.Progress)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Step == nil {
		o.Step = func(string) {}
	}
	return o
}

// inTurn lets one goroutine at a time report.
func inTurn(report Progress) Progress {
	var mu sync.Mutex
	return func(stage string, done, total int64) {
		mu.Lock()
		defer mu.Unlock()
		report(stage, done, total)
	}
}

// databaseRun is one attempt at a set.
type databaseRun struct {
	DatabaseOptions
	group  catalog.Group
	guard  *pgdump.Guard
	dumper pgdump.Dumper
	draft  *catalog.Draft

	mu       sync.Mutex // of what the parallel writers add
	manifest catalog.Manifest
	written  map[string]artifact.Written // by base name
	earlier  []catalog.Set               // of the group, oldest first
	expected int64                       // bytes of the data archive: those of the last good set; 0: there is none
	recovery artifact.Written            // RECOVER.md
	warnings []string
	stages   []catalog.Stage
}

func (r *databaseRun) do(ctx context.Context) (Result, error) {
	r.written = map[string]artifact.Written{}
	defer func() {
		for _, w := range r.written {
			w.Forget()
		}
	}()
	if err := r.preflight(ctx); err != nil {
		return Result{}, err
	}
	var err error
	if r.draft, err = r.Catalog.Begin(ctx, r.group); err != nil {
		return Result{}, fmt.Errorf("start set: %w", err)
	}
	r.draft.SignWith(r.Signer)
	r.warnings = append(r.warnings, r.draft.Warnings...)
	set, err := r.write(ctx)
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx) // what broke then, broke because of it
		}
		// Discard runs even when ctx has ended.
		return Result{}, errors.Join(err, r.draft.Discard(context.WithoutCancel(ctx)))
	}
	return Result{Set: set, Warnings: r.warnings, Stages: r.stages}, nil
}

func (r *databaseRun) write(ctx context.Context) (catalog.Set, error) {
	// The first file proves that the repository can be written, before anything is locked.
	if err := r.writeRecover(ctx); err != nil {
		return catalog.Set{}, err
	}
	if err := r.stage("dump", func() error { return r.dump(ctx) }); err != nil {
		return catalog.Set{}, err
	}
	r.Step("dumped")
	if err := r.stage("read back", func() error { return r.readBack(ctx) }); err != nil {
		return catalog.Set{}, err
	}
	r.Step("read back")
	r.describe()
	if err := r.judge(ctx); err != nil {
		return catalog.Set{}, err
	}
	set, err := r.draft.Publish(ctx, r.manifest)
	if err != nil {
		return catalog.Set{}, fmt.Errorf("publish set: %w", err)
	}
	r.Step("published")
	return set, nil
}

// dump holds the guard from the first lock to the last comparison.
func (r *databaseRun) dump(ctx context.Context) (err error) {
	defer func() { err = pgdump.Explain(err) }()
	guard, guarded, err := pgdump.OpenGuard(ctx, r.Endpoint, pgdump.GuardOptions{LockTimeout: r.LockTimeout, Logger: r.Logger, Step: r.Step})
	if err != nil {
		return err
	}
	defer guard.Abort()
	r.guard = guard
	r.incomplete(guard.Unseen...)
	if err := r.dumpParts(guarded); err != nil {
		if lost := context.Cause(guarded); errors.Is(lost, pgdump.ErrGuardLost) {
			return lost // what broke then, broke because of it
		}
		return err
	}
	r.Step("before close")
	return guard.Close(ctx)
}

// dumpParts runs everything that reads the snapshot, at once: the dump programs
// take their own locks as early as they can. One after the other where the
// server has no room for so many locks.
func (r *databaseRun) dumpParts(ctx context.Context) error {
	total := r.expected
	for _, rel := range r.guard.Relations {
		if r.expected == 0 {
			total += rel.Bytes
		}
	}
	meter := newMeter(func(done int64) { r.Progress("dump", done, total) })
	group, running := errgroup.WithContext(ctx)
	if fits, err := r.guard.LocksFit(ctx, lockers); err != nil {
		return err
	} else if !fits {
		r.Logger.Info("too many tables for all locks at once: one part after the other", "tables", len(r.guard.Relations))
		group.SetLimit(1)
	}
	shares, err := r.guard.Shares(ctx, r.Split)
	if err != nil {
		return err
	}
	tocs := make([]*pgdump.TOC, len(shares))
	r.dumpRows(running, group, shares, tocs, meter)
	for name, part := range map[string]pgdump.Part{dumpset.PreDataName: pgdump.PreData, dumpset.PostDataName: pgdump.PostData} {
		group.Go(func() error {
			return r.put(running, name, 1, func(w io.Writer) error {
				return r.heard(r.dumper.Part(running, part, r.guard.Snapshot, w))
			})
		})
	}
	group.Go(func() error {
		return r.put(running, dumpset.GlobalsName, 1, func(w io.Writer) error {
			return r.heard(r.dumper.Globals(running, r.guard, r.RolePasswords, w))
		})
	})
	var properties pgdump.Properties
	group.Go(func() error {
		return r.put(running, dumpset.PropertiesName, 1, func(w io.Writer) (err error) {
			properties, err = pgdump.WriteProperties(running, r.guard, w)
			return err
		})
	})
	var migration string
	group.Go(func() (err error) {
		migration, err = r.migration(running)
		return err
	})
	group.Go(func() (err error) {
		r.manifest.Fingerprint, err = pgdump.Measure(running, r.guard, r.Fingerprint, nil)
		return err
	})
	if err := group.Wait(); err != nil {
		return err
	}
	toc := pgdump.Union(tocs)
	if err := r.guard.DecodeNames(ctx, toc); err != nil {
		return err
	}
	if err := pgdump.CheckEntries(toc, r.manifest.Fingerprint); err != nil {
		return fmt.Errorf("compare counted tables with dumped ones: %w", err)
	}
	r.manifest.Source = r.source(properties)
	r.manifest.Source.Migration = migration
	return nil
}

// dumpRows writes the data artifacts, as many at once as there are cores, the
// largest first. Together they compress on as many cores as one would alone.
func (r *databaseRun) dumpRows(ctx context.Context, group *errgroup.Group, shares []pgdump.Share, tocs []*pgdump.TOC, meter *meter) {
	streams := min(r.Jobs, len(shares))
	slots := make(chan struct{}, streams)
	for i, share := range shares {
		group.Go(func() error {
			select {
			case slots <- struct{}{}:
				defer func() { <-slots }()
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			return r.put(ctx, dumpset.ShareName(i, len(shares)), (r.Jobs+streams-1)/streams, func(w io.Writer) error {
				tap := newTOCTap(meter, w)
				if err := r.heard(r.dumper.Rows(ctx, share, r.guard.Snapshot, tap)); err != nil {
					tap.abandon()
					return err
				}
				var err error
				tocs[i], err = tap.result()
				return err
			})
		})
	}
}

// lockers are the sessions that lock every table: the guard, the three dumps and the fingerprint.
const lockers = 5

// maxCompressors is as many as one pg_dump can keep busy.
const maxCompressors = 4

// put writes one artifact, compressed by that many goroutines, and remembers it.
func (r *databaseRun) put(ctx context.Context, base string, jobs int, fill func(io.Writer) error) error {
	sealing := r.Seal
	sealing.Jobs = min(jobs, maxCompressors)
	w, err := artifact.Write(ctx, r.draft, sealing, base, fill)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.written[base] = w
	return nil
}

// heard sorts what a program said into warnings and what the set lacks.
func (r *databaseRun) heard(said []pgdump.Said, err error) error {
	for _, s := range said {
		if s.Class == pgdump.Incomplete {
			r.incomplete(s.Text)
			continue
		}
		r.mu.Lock()
		r.warnings = append(r.warnings, s.Text)
		r.mu.Unlock()
	}
	return err
}

func (r *databaseRun) incomplete(reasons ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, reason := range reasons {
		if !slices.Contains(r.manifest.Incomplete, reason) {
			r.manifest.Incomplete = append(r.manifest.Incomplete, reason)
		}
	}
}

// ordered are the artifacts in the order of their names, which is that of a restore.
func (r *databaseRun) ordered() []artifact.Written {
	all := make([]artifact.Written, 0, len(r.written))
	for _, w := range r.written {
		all = append(all, w)
	}
	slices.SortFunc(all, func(a, b artifact.Written) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// readBack proves what lies in the repository, as many artifacts at once as there are cores.
func (r *databaseRun) readBack(ctx context.Context) error {
	var total int64
	var done atomic.Int64
	for _, w := range r.written {
		total += w.Bytes
	}
	group, running := errgroup.WithContext(ctx)
	group.SetLimit(min(r.Jobs, maxCompressors))
	for _, w := range r.ordered() {
		var inspect func(io.Reader) error
		if strings.Contains(w.Name, ".dump.") {
			inspect = func(plain io.Reader) error {
				_, err := pgdump.Inspect(plain)
				return err
			}
		}
		group.Go(func() error {
			return w.ReadBack(running, r.draft, r.Readback, func(n int64) { r.Progress("read back", done.Add(n), total) }, inspect)
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return r.recovery.ReadBack(ctx, r.draft, catalog.ReadbackHash, nil, nil)
}

func (r *databaseRun) stage(name string, f func() error) error {
	start := time.Now()
	err := f()
	r.stages = append(r.stages, catalog.Stage{Name: name, Seconds: time.Since(start).Seconds()})
	return err
}

// describe fills in what the manifest says of the run.
func (r *databaseRun) describe() {
	m := &r.manifest
	m.Readback = r.Readback
	m.Tools = map[string]string{"pg_dump": r.dumper.Tools.Version.String()}
	m.Warnings = r.warnings
	for _, w := range r.ordered() {
		m.Artifacts = append(m.Artifacts, w.Artifact)
	}
	m.Encryption = r.encryption()
}

// encryption is what the manifest says of the recipients; nil without any.
func (o DatabaseOptions) encryption() *catalog.Encryption {
	if len(o.Seal.Recipients) == 0 {
		return nil
	}
	e := &catalog.Encryption{Format: "openpgp"}
	for _, k := range o.Seal.Recipients {
		e.Recipients = append(e.Recipients, catalog.Recipient{Fingerprint: k.Fingerprint(), UserID: k.UserID()})
	}
	return e
}
