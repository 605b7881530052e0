package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/lock"
)

// find is the named set, good or not.
func (r *repository) find(ctx context.Context, name setName) (catalog.Set, error) {
	if name.id != "" {
		return r.Get(ctx, catalog.Ref{Group: name.group, ID: name.id})
	}
	set, err := r.Last(ctx, name.group)
	if errors.Is(err, catalog.ErrNotFound) {
		err = withHint(err, "forgectl backup %s makes one; forgectl backup list shows all there are", restoreVerb(name.group.Kind))
	}
	return set, err
}

// namedSet is the set that an operator named, good or not.
func (a *App) namedSet(ctx context.Context, repo *repository, name string) (catalog.Set, error) {
	named, err := a.parseSet(name)
	if err != nil {
		return catalog.Set{}, err
	}
	return repo.find(ctx, named)
}

// referredTo adds to groups those that a full set of them refers to: a named one,
// or else any. A set that cannot be read refers to nothing that could be found.
func (r *repository) referredTo(ctx context.Context, name setName, groups []catalog.Group) ([]catalog.Group, error) {
	full := catalog.Group{Kind: catalog.KindFull}
	if !slices.Contains(groups, full) {
		return groups, nil
	}
	sets, err := r.List(ctx, full)
	if err != nil {
		return nil, err
	}
	groups = slices.Clone(groups)
	for _, s := range sets {
		if s.Manifest == nil || name.group == full && name.id != "" && name.id != s.ID {
			continue
		}
		for _, reference := range s.Manifest.References {
			if ref, err := catalog.ParseRef(reference); err == nil && !slices.Contains(groups, ref.Group) {
				groups = append(groups, ref.Group)
			}
		}
	}
	return groups, nil
}

// use shares the locks of groups whose sets are going to be read, so that none
// is removed meanwhile.
func (r *repository) use(operation string, groups ...catalog.Group) (release func(), err error) {
	var held []*lock.Lock
	release = func() {
		for _, l := range held {
			_ = l.Release() // the kernel does it at the latest when this process ends
		}
	}
	for i, g := range groups {
		path, err := r.useLock(g)
		if err != nil || path == "" || slices.Contains(groups[:i], g) {
			if err != nil {
				release()
				return nil, err
			}
			continue
		}
		l, err := lock.AcquireShared(path, lock.Holder{User: userName(), Operation: operation})
		if err != nil {
			release()
			return nil, err
		}
		held = append(held, l)
	}
	return release, nil
}

// hold shares the locks of groups whose sets are going to be referred to.
func (r *repository) hold(ctx context.Context, groups ...catalog.Group) (release func(), err error) {
	for try := 1; ; try++ {
		release, err = r.use("backup full", groups...)
		if !errors.Is(err, lock.ErrHeld) || try == holdTries {
			return release, err
		}
		select {
		case <-time.After(holdPause):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// holdTries is how often, and holdPause how long apart, a lock is asked for that a
// prune holds while it removes a set. Elsewhere nobody waits for a lock; but here
// the work of hours would be lost to one moment.
const (
	holdTries = 60
	holdPause = 500 * time.Millisecond
)
