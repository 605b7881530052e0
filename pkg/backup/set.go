package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"text/template"
	"time"

	"github.com/bmad-forge/forgectl/pkg/artifact"
	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/guard"
	"github.com/bmad-forge/forgectl/pkg/postgres/dumpset"
)

// SetOptions say where to and how a set of any kind is written. Only Catalog is required.
type SetOptions struct {
	Catalog *catalog.Catalog
	Signer  catalog.Signer // nil: the set is not signed
	Release Release        // facts about the application, for the manifest
	Shrink  int            // a set that lost more than so many percent is suspect; 0: none is

	// Free returns the free bytes of the repository, an error when nobody knows; nil: not asked.
	Free     func(context.Context) (int64, error)
	Progress Progress
	Logger   *slog.Logger
	// Step, if set, is called at named points, for tests that interfere there; it may be called from several goroutines.
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

func (o SetOptions) withDefaults() SetOptions {
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

// sweep removes what dead runs left in a group.
func (o SetOptions) sweep(ctx context.Context, group catalog.Group) ([]string, error) {
	removed, err := o.Catalog.Sweep(ctx, group)
	if err != nil {
		return nil, fmt.Errorf("clean up after earlier runs: %w", err)
	}
	return removed, nil
}

// kind is what is particular to the sets of one kind. Its methods are called once each, in this order.
type kind interface {
	// prepare is what can be said before anything is written: programs, rights, room. earlier is known.
	prepare(ctx context.Context) error
	// recovery is RECOVER.md, the first file: it proves that the repository can be written.
	recovery() (*template.Template, any)
	// fill writes the artifacts; stage is its name for people.
	stage() string
	fill(ctx context.Context) error
	// readBack proves what lies in the repository now.
	readBack(ctx context.Context) error
	// describe fills in the manifest.
	describe()
	// measure says how much the set of a manifest holds.
	measure(*catalog.Manifest) guard.Measures
}

// setRun is one attempt at a set: what all kinds go through.
type setRun struct {
	to       SetOptions
	group    catalog.Group
	draft    *catalog.Draft
	earlier  []catalog.Set    // of the group, oldest first
	page     artifact.Written // RECOVER.md
	manifest catalog.Manifest
	warnings []string
	stages   []catalog.Stage
}

// write makes the set, whole, or leaves nothing of it.
func (r *setRun) write(ctx context.Context, k kind) (Result, error) {
	var err error
	if r.earlier, err = r.to.Catalog.List(ctx, r.group); err != nil {
		return Result{}, fmt.Errorf("list earlier sets: %w", err)
	}
	if err := k.prepare(ctx); err != nil {
		return Result{}, err
	}
	set, err := r.inDraft(ctx, func() (catalog.Set, error) { return r.complete(ctx, k) })
	if err != nil {
		return Result{}, err
	}
	return Result{Set: set, Warnings: r.warnings, Stages: r.stages}, nil
}

// inDraft begins a draft that fill makes a set of. After an error it is removed, also when ctx has ended.
func (r *setRun) inDraft(ctx context.Context, fill func() (catalog.Set, error)) (catalog.Set, error) {
	var err error
	if r.draft, err = r.to.Catalog.Begin(ctx, r.group); err != nil {
		return catalog.Set{}, fmt.Errorf("start set: %w", err)
	}
	r.draft.SignWith(r.to.Signer)
	r.warnings = append(r.warnings, r.draft.Warnings...)
	set, err := fill()
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx) // what broke then, broke because of it
		}
		return catalog.Set{}, errors.Join(err, r.draft.Discard(context.WithoutCancel(ctx)))
	}
	return set, nil
}

// complete goes from the empty draft to the published set.
func (r *setRun) complete(ctx context.Context, k kind) (catalog.Set, error) {
	if err := r.putRecover(ctx, k.recovery); err != nil {
		return catalog.Set{}, err
	}
	r.to.Step("begun")
	if err := r.timed(k.stage(), func() error { return k.fill(ctx) }); err != nil {
		return catalog.Set{}, err
	}
	err := r.timed("read back", func() error {
		if err := k.readBack(ctx); err != nil {
			return err
		}
		return r.page.ReadBack(ctx, r.draft, catalog.ReadbackHash, nil, nil)
	})
	if err != nil {
		return catalog.Set{}, err
	}
	r.to.Step("read back")
	k.describe()
	if err := r.judge(ctx, k.measure); err != nil {
		return catalog.Set{}, err
	}
	r.to.Step("judged")
	return r.publish(ctx)
}

func (r *setRun) publish(ctx context.Context) (catalog.Set, error) {
	set, err := r.draft.Publish(ctx, r.manifest)
	if err != nil {
		return catalog.Set{}, fmt.Errorf("publish set: %w", err)
	}
	r.to.Step("published")
	return set, nil
}

func (r *setRun) putRecover(ctx context.Context, recovery func() (*template.Template, any)) error {
	page, facts := recovery()
	blob, err := r.draft.Put(ctx, dumpset.RecoverName, func(w io.Writer) error { return page.Execute(w, facts) })
	if err != nil {
		return fmt.Errorf("write to repository: %w", err)
	}
	r.page = artifact.Written{Artifact: catalog.Artifact{Name: blob.Name, Bytes: blob.Bytes, SHA256: blob.SHA256}}
	return nil
}

func (r *setRun) timed(name string, f func() error) error {
	start := time.Now()
	err := f()
	r.stages = append(r.stages, catalog.Stage{Name: name, Seconds: time.Since(start).Seconds()})
	return err
}

// hasRoom compares the free bytes with what the set will need.
func (r *setRun) hasRoom(ctx context.Context, need int64) error {
	if r.to.Free == nil {
		return nil
	}
	free, err := r.to.Free(ctx)
	if err != nil {
		r.to.Logger.Info("free space of the repository is unknown", "error", err)
		return nil
	}
	if free < need {
		return &SpaceError{Need: need, Free: free}
	}
	return nil
}

// judge marks the draft as suspect when it holds much less than the sets before
// it. The mark is published with the set, in the same step: no kill leaves one
// that passes for good, and whoever lists sets later needs neither the limit nor
// the sets that it was compared with, which may be gone by then.
func (r *setRun) judge(ctx context.Context, measure func(*catalog.Manifest) guard.Measures) error {
	var earlier []guard.Measures
	for _, s := range slices.Backward(r.earlier) {
		if good, _ := s.Good(); good && len(earlier) < guard.Sets {
			earlier = append(earlier, measure(s.Manifest))
		}
	}
	falls := guard.Compare(r.to.Shrink, earlier, measure(&r.manifest))
	if len(falls) == 0 {
		return nil
	}
	return r.draft.Mark(ctx, catalog.Check{What: catalog.CheckSuspect, Reason: guard.Reason(falls)})
}
