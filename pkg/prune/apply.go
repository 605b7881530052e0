package prune

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/lock"
)

// Result is what Apply did.
type Result struct {
	Removed []catalog.Set
	Skipped []Left     // somebody reads in the group: try again later
	Failed  []Left     // could not be removed
	Kept    []Decision // the plan said remove; by now there is a reason to keep it
	Swept   []string   // leftovers of dead runs that were cleaned up
}

// Left is a set that should have been removed, and why it was not.
type Left struct {
	Set catalog.Set
	Err error
}

// Bytes is the size of all that was removed. Files that other sets share with a removed one, as snapshots of file
// trees do, take up their space further on.
func (r Result) Bytes() int64 {
	var n int64
	for _, s := range r.Removed {
		n += s.Bytes
	}
	return n
}

// Apply removes what the plan says of one group, the oldest first, and what dead runs left there. That a set cannot be
// removed does not keep it from the others. An error means that it stopped early; the result is how far it came.
func Apply(ctx context.Context, o Options, g catalog.Group, plan Plan) (Result, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	var r Result
	var err error
	if r.Swept, err = o.Catalog.Sweep(ctx, g); err != nil {
		return r, fmt.Errorf("clean up after earlier runs: %w", err)
	}
	var stay, remove []catalog.Set
	for _, d := range slices.Backward(plan.Decisions) {
		switch {
		case d.Set.Group != g:
		case d.Keep:
			stay = append(stay, d.Set)
		default:
			remove = append(remove, d.Set)
		}
	}
	for _, set := range remove {
		if ctx.Err() == nil {
			kept := len(r.Kept)
			err = o.removeOne(ctx, set, stay, &r)
			if len(r.Kept) > kept {
				stay = append(stay, set) // if it is suspect by now, the others stay as well
			}
		}
		if ctx.Err() != nil {
			return r, context.Cause(ctx)
		}
		switch {
		case errors.Is(err, lock.ErrHeld):
			r.Skipped = append(r.Skipped, Left{set, err})
		case err != nil:
			r.Failed = append(r.Failed, Left{set, err})
		}
	}
	return r, nil
}

// removeOne removes a set while nobody reads in its group, if it is still to be removed then.
func (o Options) removeOne(ctx context.Context, set catalog.Set, stay []catalog.Set, r *Result) (err error) {
	release, err := o.Lock(set.UseLock())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	// A verdict, a pin or a set may be younger than the plan. From here to the removal nobody can add a verdict or
	// a pin: who does so shares the lock.
	now, found, err := o.decideAgain(ctx, set.Ref, stay)
	switch {
	case err != nil:
		return err
	case !found:
		return nil // somebody else was faster
	case now.Keep:
		o.Logger.InfoContext(ctx, "stays after all", "set", set.Ref.String(), "why", now.Reasons)
		r.Kept = append(r.Kept, now)
		return nil
	}
	if err := o.Catalog.Remove(ctx, set.Ref); err != nil {
		return err
	}
	o.Logger.InfoContext(ctx, "removed", "set", set.Ref.String(), "bytes", set.Bytes, "why", now.Reasons)
	r.Removed = append(r.Removed, set)
	return nil
}

// decideAgain decides about one set by what is true now. Of the others it reads only those that are to stay: with fewer
// sets more of them stay, never less, so what is to be removed then is to be removed in any case. Only when it is not,
// because one of the others is not what it was, all have to be read.
func (o Options) decideAgain(ctx context.Context, ref catalog.Ref, stay []catalog.Set) (now Decision, found bool, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("look at %s again: %w", ref, err)
		}
	}()
	now, found, err = o.decideAmong(ctx, ref, stay)
	if err != nil || !found || !now.Keep {
		return now, found, err
	}
	o.Groups = []catalog.Group{ref.Group}
	plan, err := Decide(ctx, o)
	if err != nil {
		return Decision{}, false, err
	}
	now, found = find(plan.Decisions, ref)
	return now, found, nil
}

func (o Options) decideAmong(ctx context.Context, ref catalog.Ref, others []catalog.Set) (now Decision, found bool, err error) {
	set, err := o.Catalog.Get(ctx, ref)
	if errors.Is(err, catalog.ErrNotFound) {
		return Decision{}, false, nil
	}
	if err != nil {
		return Decision{}, false, err
	}
	sets := []catalog.Set{set}
	for _, other := range others {
		s, err := o.Catalog.Get(ctx, other.Ref)
		switch {
		case err == nil:
			sets = append(sets, s)
		case !errors.Is(err, catalog.ErrNotFound):
			return Decision{}, false, err
		}
	}
	var n needs
	var broken map[catalog.Ref]brokenPart
	if ref.Kind == catalog.KindFull {
		broken = o.broken(ctx, sets)
	} else {
		full, err := o.Catalog.List(ctx, fullGroup())
		if err != nil {
			return Decision{}, false, err
		}
		n = needsOf(full)
	}
	now, found = find(decide(o.Policy, o.Now, sets, n, broken), ref)
	return now, found, nil
}

func find(decisions []Decision, ref catalog.Ref) (Decision, bool) {
	for _, d := range decisions {
		if d.Set.Ref == ref {
			return d, true
		}
	}
	return Decision{}, false
}
