package dumpset

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/bmad-forge/forgectl/pkg/artifact"
	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/postgres/pgdump"
)

// Load feeds the archives to l: definitions, all data, and only then the rest. Of
// the data artifacts as many are loaded at once as l has jobs; a table that is
// there before the others is given its plain indexes and keys meanwhile. stage
// hears how long each part took.
func (r Reader) Load(ctx context.Context, l pgdump.Loader, stage func(name string, took time.Duration)) ([]pgdump.Said, error) {
	var all []pgdump.Said
	var early *pgdump.Early
	for _, step := range []struct {
		part pgdump.Part
		load func() ([]pgdump.Said, error)
	}{
		{pgdump.PreData, func() ([]pgdump.Said, error) {
			return r.loadOnly(ctx, l, pgdump.PreData, PreDataName, r.wanted(pgdump.PreData, 0))
		}},
		{pgdump.Data, func() (said []pgdump.Said, err error) {
			if early, err = r.early(ctx, l); err != nil {
				return nil, err
			}
			return r.loadData(ctx, l, early)
		}},
		{pgdump.PostData, func() ([]pgdump.Said, error) {
			return r.loadOnly(ctx, l, pgdump.PostData, PostDataName, early.Rest(r.wanted(pgdump.PostData, 0)))
		}},
	} {
		start := time.Now()
		said, err := step.load()
		all = append(all, said...)
		if err != nil {
			return all, err
		}
		if stage != nil {
			stage(string(step.part), time.Since(start))
		}
	}
	return all, nil
}

// early is nil where nothing is loaded beside something else.
func (r Reader) early(ctx context.Context, l pgdump.Loader) (*pgdump.Early, error) {
	if l.Jobs < 2 || len(r.artifacts(DataPrefix)) < 2 {
		return nil, nil //nolint:nilnil // as documented
	}
	plain, err := r.open(ctx, PostDataName)
	if err != nil {
		return nil, err
	}
	defer plain.Close()
	l.Only = r.wanted(pgdump.PostData, 0)
	return l.ReadEarly(plain)
}

// artifacts are those whose names begin with prefix.
func (r Reader) artifacts(prefix string) []catalog.Artifact {
	var found []catalog.Artifact
	for _, a := range r.Set.Manifest.Artifacts {
		if strings.HasPrefix(a.Name, prefix) {
			found = append(found, a)
		}
	}
	return found
}

// loadOnly loads a part that is one archive.
func (r Reader) loadOnly(ctx context.Context, l pgdump.Loader, part pgdump.Part, base string, only []int) ([]pgdump.Said, error) {
	l.Only = only
	artifacts := r.artifacts(base)
	if len(artifacts) == 0 {
		return nil, &catalog.DamageError{Ref: r.Set.Ref, Artifact: base, Kind: catalog.DamageMissing}
	}
	return r.loadOne(ctx, l, part, artifacts[0])
}

// loadData loads the archives with rows.
func (r Reader) loadData(ctx context.Context, l pgdump.Loader, early *pgdump.Early) ([]pgdump.Said, error) {
	artifacts := r.artifacts(DataPrefix)
	if len(artifacts) == 0 {
		return nil, &catalog.DamageError{Ref: r.Set.Ref, Artifact: DataPrefix, Kind: catalog.DamageMissing}
	}
	if r.Progress != nil && len(artifacts) > 1 {
		r.Progress = inTurn(r.Progress)
	}
	said := make([][]pgdump.Said, len(artifacts))
	var left atomic.Int64
	left.Store(int64(len(artifacts)))
	group, loading := errgroup.WithContext(ctx)
	group.SetLimit(max(l.Jobs, 1))
	for i, a := range artifacts {
		group.Go(func() (err error) {
			one := l
			one.Only = r.wanted(pgdump.Data, i)
			var tables [][2]string
			one.Loaded = func(schema, name string) { tables = append(tables, [2]string{schema, name}) }
			said[i], err = r.loadOne(loading, one, pgdump.Data, a)
			// Behind the last one nobody waits: what is left is built with all sessions.
			if err != nil || left.Add(-1) == 0 {
				return err
			}
			more, err := early.Build(loading, l, tables)
			said[i] = append(said[i], more...)
			return err
		})
	}
	err := group.Wait()
	return slices.Concat(said...), err
}

// inTurn lets one caller at a time report.
func inTurn(report func(n int64)) func(n int64) {
	var mu sync.Mutex
	return func(n int64) {
		mu.Lock()
		defer mu.Unlock()
		report(n)
	}
}

// wanted is what Choice says of an archive, the data ones by their number.
func (r Reader) wanted(part pgdump.Part, number int) []int {
	switch {
	case r.Choice == nil:
		return nil
	case part == pgdump.PreData:
		return r.Choice.PreData
	case part == pgdump.PostData:
		return r.Choice.PostData
	}
	return r.Choice.Data[number]
}

func (r Reader) loadOne(ctx context.Context, l pgdump.Loader, part pgdump.Part, a catalog.Artifact) ([]pgdump.Said, error) {
	plain, err := artifact.Open(ctx, r.Catalog, r.Set.Ref, a, r.Unlock, r.Progress)
	if err != nil {
		return nil, err
	}
	defer plain.Close()
	return l.Load(ctx, part, plain)
}
