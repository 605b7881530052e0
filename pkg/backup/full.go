package backup

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/bmad-forge/forgectl/pkg/catalog"
)

// FullOptions say what one recovery point is made of.
type FullOptions struct {
	Catalog *catalog.Catalog
	// Parts are made one after the other, in this order. A restore relies on it: what the database refers to was
	// there before the media were read.
	Parts []FullPart
	// Without is what is not configured, one sentence each, for the manifest.
	Without []string
	Signer  catalog.Signer // nil: the set is not signed
	// Release says which version of the application is live; nil: unknown. It is asked before and after, because one
	// that was deployed meanwhile makes the parts less of one point.
	Release func() Release
	// Hold keeps the sets of groups from being removed until release is called; nil: nobody removes any. When it is
	// called the parts are written, and hours may have been spent on them.
	Hold func(ctx context.Context, groups ...catalog.Group) (release func(), err error)

	Logger *slog.Logger
	// Step, if set, is called at named points, for tests that interfere there.
	Step func(name string)
}

// FullPart makes one of the sets.
type FullPart struct {
	Name   string // for messages: "database", "media", "config"
	Backup func(ctx context.Context) (catalog.Set, error)
}

// FullError is a recovery point that did not come about because a part did not. The others stay, as sets of their
// own.
type FullError struct {
	Made   []catalog.Set
	Failed []string // names of parts
	Errs   []error  // why, one each
}

func (e *FullError) Error() string {
	text := "no full set was made, because of: " + strings.Join(e.Failed, ", ")
	if len(e.Made) > 0 {
		text += "; what was made stays: " + strings.Join(names(e.Made), ", ")
	}
	return text
}

// Full makes every part, and then a set of kind full that stands for them. When one fails the others are made all the
// same, unless ctx has ended, and the error is a *FullError.
func Full(ctx context.Context, o FullOptions) (Result, error) {
	o = o.withDefaults()
	to := SetOptions{Catalog: o.Catalog, Signer: o.Signer, Logger: o.Logger, Step: o.Step}.withDefaults()
	o.Logger, o.Step = to.Logger, to.Step
	run := &fullRun{FullOptions: o, setRun: setRun{to: to, group: catalog.Group{Kind: catalog.KindFull}}}
	removed, err := to.sweep(ctx, run.group)
	if err != nil {
		return Result{}, err
	}
	set, err := run.inDraft(ctx, func() (catalog.Set, error) { return run.do(ctx) })
	if err != nil {
		return Result{Removed: removed}, err
	}
	return Result{Set: set, Warnings: run.warnings, Removed: removed}, nil
}

func (o FullOptions) withDefaults() FullOptions {
	if o.Release == nil {
		o.Release = func() Release { return Release{} }
	}
	if o.Hold == nil {
		o.Hold = func(context.Context, ...catalog.Group) (func(), error) { return func() {}, nil }
	}
	return o
}

type fullRun struct {
	FullOptions
	setRun
	made []catalog.Set
}

func (r *fullRun) do(ctx context.Context) (catalog.Set, error) {
	before := r.Release()
	if err := r.makeParts(ctx); err != nil {
		return catalog.Set{}, err
	}
	if after := r.Release(); after != before {
		r.warnings = append(r.warnings, fmt.Sprintf("the release changed meanwhile, from %s to %s: the parts may be of either", before, after))
	}
	release, err := r.Hold(ctx, r.groups()...)
	if err != nil {
		return catalog.Set{}, fmt.Errorf("keep the parts (%s) from being removed: %w", strings.Join(names(r.made), ", "), err)
	}
	defer release()
	if err := r.stillThere(ctx); err != nil {
		return catalog.Set{}, err
	}
	if err := r.putRecover(ctx, r.recovery); err != nil {
		return catalog.Set{}, err
	}
	r.Step("referred")
	r.describe(before)
	return r.publish(ctx)
}

func (r *fullRun) makeParts(ctx context.Context) error {
	failed := &FullError{}
	for _, p := range r.Parts {
		set, err := p.Backup(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			failed.Failed, failed.Errs = append(failed.Failed, p.Name), append(failed.Errs, err)
			continue
		}
		r.made = append(r.made, set)
		r.Logger.Info("part written", "part", p.Name, "set", set.Ref.String())
		r.Step(p.Name + " written")
	}
	if len(failed.Failed) > 0 {
		failed.Made = r.made
		return failed
	}
	return nil
}

func (r *fullRun) groups() []catalog.Group {
	var groups []catalog.Group
	for _, s := range r.made {
		groups = append(groups, s.Group)
	}
	return groups
}

// stillThere looks at the parts again: until now anybody who removes sets might have had a reason to.
func (r *fullRun) stillThere(ctx context.Context) error {
	for _, s := range r.made {
		now, err := r.Catalog.Get(ctx, s.Ref)
		if err == nil && now.SumsSHA256() != s.SumsSHA256() {
			err = errors.New("another set has its name")
		}
		if err != nil {
			return fmt.Errorf("refer to %s: %w", s.Ref, err)
		}
	}
	return nil
}

func (r *fullRun) describe(release Release) {
	m := catalog.Manifest{
		Source:        &catalog.Source{ReleaseDir: release.Dir, GitRevision: release.Revision},
		Warnings:      append(append([]string{}, r.Without...), r.warnings...),
		ReferenceSums: map[string]string{},
	}
	for _, s := range r.made {
		name := s.Ref.String()
		m.References = append(m.References, name)
		m.ReferenceSums[name] = s.SumsSHA256()
		for _, reason := range s.Manifest.Incomplete {
			m.Incomplete = append(m.Incomplete, name+": "+reason)
		}
		if s.Kind == catalog.KindDatabase {
			m.Source.Database = s.Database
			if s.Manifest.Source != nil {
				m.Source.Migration = s.Manifest.Source.Migration
			}
		}
	}
	r.manifest = m
}

func names(sets []catalog.Set) []string {
	var all []string
	for _, s := range sets {
		all = append(all, s.Ref.String())
	}
	return all
}
