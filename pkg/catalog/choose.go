package catalog

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Names, relative to the store, of the two locks of a group. They are files to flock, next to the sets.
//
// Who writes or removes sets holds WriteLock alone. Who reads artifacts for a longer time shares UseLock; who
// removes a set takes that one alone as well, so that nothing disappears under a reader.
func (g Group) WriteLock() string { return g.Dir() + "/.lock" }

// UseLock is the lock that readers share: see WriteLock.
func (g Group) UseLock() string { return g.Dir() + "/.in-use" }

// ParseRefIn reads a set's name as an operator gives it: an id means a set of g, anything else must be what
// ParseRef reads.
func ParseRefIn(g Group, s string) (Ref, error) {
	if id, err := ParseID(s); err == nil {
		return Ref{g, id}, nil
	}
	return ParseRef(s)
}

// Newest is the newest set of the group that Catalog.Good finds good, and that was started at or before a moment; the
// zero time is no limit. passed are the sets up to that moment that are newer but not good, newest first: whoever relies on the
// result should hear of them. Without a good set the error is ErrNotFound, and passed says why.
func (c *Catalog) Newest(ctx context.Context, g Group, at time.Time) (newest Set, passed []Set, err error) {
	found := false
	look := func(s Set) bool {
		if found, _ = c.Good(ctx, s); found {
			newest = s
		} else {
			passed = append(passed, s)
		}
		return found
	}
	when := ""
	if at.IsZero() {
		err = c.backward(ctx, g, look)
	} else {
		when = " at or before " + at.UTC().Format(time.RFC3339)
		err = c.backwardFrom(ctx, g, at, look)
	}
	switch {
	case err != nil:
		return Set{}, nil, err
	case !found:
		return Set{}, passed, fmt.Errorf("find a good set of %s%s: %w", g, when, ErrNotFound)
	}
	return newest, passed, nil
}

// backwardFrom is backward over those sets that began at or before a moment. When a set began is known only once it was
// read, since the clock may have been put right.
func (c *Catalog) backwardFrom(ctx context.Context, g Group, at time.Time, look func(Set) (enough bool)) error {
	sets, err := c.List(ctx, g)
	if err != nil {
		return err
	}
	now := c.now()
	slices.SortStableFunc(sets, func(a, b Set) int { return a.Began(now).Compare(b.Began(now)) })
	for _, s := range slices.Backward(sets) {
		if !s.Began(now).After(at) && look(s) {
			break
		}
	}
	return nil
}

// Last is the newest set of the group, good or not; without any, ErrNotFound.
func (c *Catalog) Last(ctx context.Context, g Group) (last Set, err error) {
	err = c.backward(ctx, g, func(s Set) bool { last = s; return true })
	if err == nil && last.ID == "" {
		err = fmt.Errorf("no set of %s yet: %w", g, ErrNotFound)
	}
	if err != nil {
		return Set{}, err
	}
	return last, nil
}
