package prune_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/prune"
	"github.com/bmad-forge/forgectl/pkg/retention"
	"github.com/bmad-forge/forgectl/pkg/store/storetest"
)

// repositories is how many random ones the properties are held against.
const repositories = 150

var configs = catalog.Group{Kind: catalog.KindConfig}

// grown is a random repository: nights with sets of all kinds, and what happens to sets.
type grown struct {
	*repository
	t      *testing.T
	random *rand.Rand
	groups []catalog.Group
	sets   map[catalog.Group][]catalog.Ref
}

func grow(t *testing.T, random *rand.Rand) *grown {
	other := catalog.Group{Kind: catalog.KindDatabase, Database: "other"}
	g := &grown{repository: newRepository(&storetest.Memory{}), t: t, random: random, groups: []catalog.Group{full, forge, other, media, configs}, sets: map[catalog.Group][]catalog.Ref{}}
	for range 2 + random.IntN(9) {
		g.night()
		g.happen()
	}
	return g
}

func (g *grown) add(group catalog.Group, references ...string) catalog.Ref {
	ref, err := g.write(g.t.Context(), group, references...)
	must(g.t, err)
	g.sets[group] = append(g.sets[group], ref)
	return ref
}

// night is a full run, with some of its parts, or single sets; the clock may be wrong in it.
func (g *grown) night() {
	right := g.now
	if g.random.IntN(15) == 0 {
		g.now = g.now.AddDate(0, 0, g.random.IntN(800)-400)
	}
	var parts []catalog.Ref
	for _, group := range g.groups[1:] {
		if g.random.IntN(3) > 0 {
			parts = append(parts, g.add(group))
		}
	}
	if len(parts) > 0 && g.random.IntN(3) > 0 {
		g.add(full, names(parts...)...)
	}
	g.now = right.Add(time.Duration(1+g.random.IntN(60)) * time.Hour)
}

// happen does something to a set that is there.
func (g *grown) happen() {
	group := g.groups[g.random.IntN(len(g.groups))]
	if len(g.sets[group]) == 0 || g.random.IntN(2) == 0 {
		return
	}
	ref := g.sets[group][g.random.IntN(len(g.sets[group]))]
	what := []string{"failed", "failed", "passed", "pin", "unpin", "suspect", "accept", "newer"}[g.random.IntN(8)]
	if what == "newer" {
		if g.random.IntN(4) == 0 {
			g.newer(g.t, ref)
		}
		return
	}
	g.check(g.t, ref, what)
}

func (g *grown) all() map[catalog.Ref]catalog.Set {
	all := map[catalog.Ref]catalog.Set{}
	for _, group := range g.groups {
		sets, err := g.List(g.t.Context(), group)
		must(g.t, err)
		for _, s := range sets {
			all[s.Ref] = s
		}
	}
	return all
}

// prune does what "backup prune" does: one plan, and then group by group.
func (g *grown) prune(o prune.Options) prune.Plan {
	plan := decided(g.t, o)
	for _, group := range o.Groups {
		done, err := prune.Apply(g.t.Context(), o, group, plan)
		must(g.t, err)
		if len(done.Kept)+len(done.Skipped)+len(done.Failed) > 0 {
			g.t.Errorf("%s: %+v", group, done)
		}
	}
	return plan
}

// newestGood is the newest set of each group that is good as a whole and not from the future.
func (g *grown) newestGood(sets map[catalog.Ref]catalog.Set) map[catalog.Group]catalog.Set {
	newest := map[catalog.Group]catalog.Set{}
	for _, s := range sets {
		good, _ := g.Good(g.t.Context(), s)
		began := s.Began(g.now)
		last, found := newest[s.Group]
		if good && !began.After(g.now) && (!found || began.After(last.Began(g.now)) || began.Equal(last.Began(g.now)) && s.ID > last.ID) {
			newest[s.Group] = s
		}
	}
	return newest
}

func (g *grown) examine(p retention.Policy) (removed int, problems []string) {
	before := g.all()
	newest := g.newestGood(before)
	suspect := map[catalog.Group]bool{}
	for _, s := range before {
		suspect[s.Group] = suspect[s.Group] || s.Suspect()
	}
	o := g.options(g.t, p, g.groups...)
	o.Now = g.now
	plan := g.prune(o)
	after := g.all()
	complain := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	for group, s := range newest {
		if _, left := after[s.Ref]; !left {
			complain("%s, the newest good set of %s, is gone", s.Ref, group)
		}
	}
	for ref, s := range before {
		_, left := after[ref]
		if left {
			for _, part := range s.Refers() {
				if _, was := before[part]; was && after[part].ID == "" {
					complain("%s is gone, and %s, which stays, refers to it", part, ref)
				}
			}
			continue
		}
		if removed++; s.Pinned() || suspect[ref.Group] {
			complain("%s is gone: pinned %v, its group frozen %v", ref, s.Pinned(), suspect[ref.Group])
		}
	}
	if want := len(plan.Remove()); removed != want {
		complain("%d sets are gone, %d should be", removed, want)
	}
	// One run is enough: what a full set kept went with it.
	if more := decided(g.t, o).Remove(); len(more) > 0 {
		complain("a second run would remove %v", refs(more))
	}
	// A full set that went has left nothing behind that only it kept.
	for _, d := range plan.Decisions {
		for _, why := range d.Reasons {
			if by, needed := strings.CutPrefix(why, "needed by "); needed && d.Keep {
				ref, err := catalog.ParseRef(strings.Split(by, ",")[0])
				if _, left := after[ref]; err != nil || !left {
					complain("%s stays because of %s, which is gone", d.Set.Ref, by)
				}
			}
		}
	}
	return removed, problems
}

// Promise: whatever a repository holds, and whatever happened to its sets and its clock, a prune never removes what a full
// set that stays refers to, nor the newest good set of a group, nor what is pinned or frozen; and a full set that goes
// takes with it, in the same run, what it alone has kept.
func TestPruneProperties(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	total := 0
	for n := range repositories {
		random := rand.New(rand.NewPCG(seed, uint64(n)))
		g := grow(t, random)
		p := retention.Policy{Last: random.IntN(3), Daily: random.IntN(3), Within: time.Duration(random.IntN(4)) * day, Min: random.IntN(3)}
		removed, problems := g.examine(p)
		total += removed
		for _, problem := range problems {
			t.Errorf("repository %d, %+v: %s", n, p, problem)
		}
		if t.Failed() {
			for _, ref := range slices.SortedFunc(maps.Keys(g.all()), func(a, b catalog.Ref) int { return strings.Compare(a.String(), b.String()) }) {
				t.Logf("left: %s", ref)
			}
			return
		}
	}
	if total < repositories {
		t.Errorf("only %d sets were removed in all", total)
	}
}
