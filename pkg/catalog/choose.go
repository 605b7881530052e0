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
	sets, err := c.List(ctx, g)
	if err != nil {
		return Set{}, nil, err
	}
	if now := c.now(); !at.IsZero() {
		slices.SortStableFunc(sets, func(a, b Set) int { return a.Began(now).Compare(b.Began(now)) })
		sets = slices.DeleteFunc(sets, func(s Set) bool { return s.Began(now).After(at) })
	}
	for _, s := range slices.Backward(sets) {
		if good, _ := c.Good(ctx, s); good {
			return s, passed, nil
		}
		passed = append(passed, s)
	}
	when := ""
	if !at.IsZero() {
		when = " at or before " + at.UTC().Format(time.RFC3339)
	}
	return Set{}, passed, fmt.Errorf("find a good set of %s%s: %w", g, when, ErrNotFound)
}
