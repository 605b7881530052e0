package prune

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/retention"
)

// Options say what to prune, and how.
type Options struct {
	Catalog *catalog.Catalog
	Policy  retention.Policy
	// Now is what the time is; the zero time is no limit. A set that was started later is one from the future.
	Now time.Time
	// Groups are those that Decide looks at.
	Groups []catalog.Group
	// Lock takes a lock of the repository alone; its name is what Group.UseLock says. lock.ErrHeld means that
	// somebody else has it. Only Apply needs it.
	Lock func(name string) (release func() error, err error)

	Logger *slog.Logger // nil: silent
}

// Decision is what is to become of a set.
type Decision struct {
	Set     catalog.Set
	Keep    bool
	Reasons []string
	// Unproven is that only the evidence is missing that the policy requires.
	Unproven bool
}

// Plan is one decision for each set, by group and then the newest first. Groups of kind full come first: what they
// keep decides about others.
type Plan struct {
	Decisions []Decision
	// Frozen are the groups in which nothing is removed, because a set is suspect.
	Frozen []Frozen
	// Unproven are the groups in which nothing is removed, although something would be due, because no set has what
	// the policy requires.
	Unproven []catalog.Group
	// Warnings is why less is removed than the rules say, where somebody should do something about it.
	Warnings []string
}

// Frozen is a group in which nothing is removed before somebody has accepted its suspect sets.
type Frozen struct {
	Group catalog.Group
	Sets  []catalog.Set // that are suspect, newest first
}

// Remove lists the sets that are to be removed.
func (p Plan) Remove() []catalog.Set {
	var sets []catalog.Set
	for _, d := range p.Decisions {
		if !d.Keep {
			sets = append(sets, d.Set)
		}
	}
	return sets
}

// Decide makes a plan. It changes nothing and needs no lock.
func Decide(ctx context.Context, o Options) (Plan, error) {
	var plan Plan
	full := fullGroup()
	sets, err := o.Catalog.List(ctx, full)
	if err != nil {
		return Plan{}, fmt.Errorf("find out what full sets need: %w", err)
	}
	if slices.Contains(o.Groups, full) {
		plan.Decisions = decide(o.Policy, o.Now, sets, needs{}, o.broken(ctx, sets))
		sets = nil
		for _, d := range plan.Decisions {
			if d.Keep {
				sets = append(sets, d.Set)
			}
		}
	}
	needed := needsOf(sets)
	stay := 0
	for _, g := range o.Groups {
		if g == full {
			continue
		}
		sets, err := o.Catalog.List(ctx, g)
		if err != nil {
			return Plan{}, err
		}
		for _, d := range decide(o.Policy, o.Now, sets, needed, nil) {
			plan.Decisions = append(plan.Decisions, d)
			if d.Keep && len(d.Reasons) == len(needed.unknown) { // and no other reason
				stay++
			}
		}
	}
	plan.explain()
	if stay > 0 {
		plan.Warnings = append(plan.Warnings, fmt.Sprintf("%d sets stay only because they may be needed by %s", stay, strings.Join(needed.unknown, "; by ")))
	}
	return plan, nil
}

// explain finds the groups of which nothing goes, though something might.
func (p *Plan) explain() {
	goes := map[catalog.Group]bool{}
	for _, d := range p.Decisions {
		g := d.Set.Group
		if d.Set.Suspect() {
			if n := len(p.Frozen); n == 0 || p.Frozen[n-1].Group != g {
				p.Frozen = append(p.Frozen, Frozen{Group: g})
			}
			last := &p.Frozen[len(p.Frozen)-1]
			last.Sets = append(last.Sets, d.Set)
		}
		if d.Unproven && !slices.Contains(p.Unproven, g) {
			p.Unproven = append(p.Unproven, g)
		}
		goes[g] = goes[g] || !d.Keep
	}
	p.Unproven = slices.DeleteFunc(p.Unproven, func(g catalog.Group) bool { return goes[g] })
}

func fullGroup() catalog.Group { return catalog.Group{Kind: catalog.KindFull} }

// needs is what sets that stay need of others.
type needs struct {
	by      map[catalog.Ref][]string // the names of those that need a set
	unknown []string                 // those of which nobody knows what they need
}

func needsOf(full []catalog.Set) needs {
	n := needs{by: map[catalog.Ref][]string{}}
	for _, s := range full {
		if s.Manifest == nil {
			n.unknown = append(n.unknown, s.Ref.String()+", whose manifest cannot be read")
			continue
		}
		for _, ref := range s.Refers() {
			n.by[ref] = append(n.by[ref], s.Ref.String())
		}
	}
	return n
}

// broken are full sets that are not good because of what they refer to, and why; doubted is that nobody could look.
func (o Options) broken(ctx context.Context, full []catalog.Set) map[catalog.Ref]brokenPart {
	all := map[catalog.Ref]brokenPart{}
	for _, s := range full {
		if s.Manifest == nil {
			continue
		}
		parts, err := catalog.Parts(ctx, s, o.Catalog.Get)
		if err != nil {
			all[s.Ref] = brokenPart{why: err.Error(), doubted: true}
		} else if good, why := catalog.Whole(s, parts); !good {
			all[s.Ref] = brokenPart{why: why}
		}
	}
	return all
}

type brokenPart struct {
	why     string
	doubted bool
}

// decide is the retention of one group, newest first.
func decide(p retention.Policy, now time.Time, sets []catalog.Set, n needs, broken map[catalog.Ref]brokenPart) []Decision {
	if len(sets) > 0 && sets[0].Kind != catalog.KindDatabase {
		p.Requires = "" // nothing else can be verified: it would never be there
	}
	items := make([]retention.Item, len(sets))
	for i, s := range sets {
		items[i] = item(s, now, slices.Concat(n.by[s.Ref], n.unknown))
		if b, found := broken[s.Ref]; found && items[i].Good {
			items[i].Good, items[i].Why, items[i].Unjudged = false, b.why, b.doubted
		}
		items[i].Proven = p.Requires != "" && s.LastCheck(p.Requires) != nil
	}
	decisions := make([]Decision, len(sets))
	for i, d := range retention.Apply(p, items) {
		decisions[len(sets)-1-i] = Decision{Set: sets[i], Keep: d.Keep, Reasons: d.Reasons, Unproven: d.Unproven}
	}
	return decisions
}

// item is a set in the words of the retention.
func item(s catalog.Set, now time.Time, neededBy []string) retention.Item {
	good, why := s.Good()
	i := retention.Item{
		ID: string(s.ID), Time: s.ID.Time(), Good: good, Why: why,
		Unjudged: unjudged(s), Suspect: s.Suspect(), Pinned: s.Pinned(), NeededBy: neededBy,
	}
	if !now.IsZero() {
		i.Time = s.Began(now)
		i.Future = i.Time.After(now)
	}
	if pin := Pin(s); pin != nil {
		i.PinReason = pin.Reason
	}
	return i
}

// unjudged tells what is known to be bad from what nobody can tell.
func unjudged(s catalog.Set) bool {
	if s.Problem == nil {
		return false
	}
	var damage *catalog.DamageError
	if !errors.As(s.Problem, &damage) {
		return true
	}
	// Without its sums it may never have been one of ours.
	lost := damage.Artifact == catalog.SumsName && damage.Kind == catalog.DamageMissing
	dir, _, _ := strings.Cut(damage.Artifact, "/")
	return lost || dir == catalog.ChecksDir
}

// Pin is the check that pins the set, nil when it is not pinned.
func Pin(s catalog.Set) *catalog.Check {
	for _, k := range slices.Backward(s.Checks) {
		switch k.What {
		case catalog.CheckPin:
			return &k
		case catalog.CheckUnpin:
			return nil
		}
	}
	return nil
}
