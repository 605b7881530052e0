package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/bmad-forge/forgectl/pkg/artifact"
	"github.com/bmad-forge/forgectl/pkg/postgres/dumpset"
	"github.com/bmad-forge/forgectl/pkg/postgres/pgdump"
)

func (r *databaseRun) stage() string { return "dump" }

// fill holds the guard from the first lock to the last comparison.
func (r *databaseRun) fill(ctx context.Context) (err error) {
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
	if err := guard.Close(ctx); err != nil {
		return err
	}
	r.Step("dumped")
	return nil
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
