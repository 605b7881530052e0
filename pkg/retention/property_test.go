package retention_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/bmad-forge/forgectl/pkg/retention"
)

var seedFlag = flag.Uint64("seed", 0, "repeat the histories of that seed")

// histories is how many random histories the properties are held against.
const histories = 100_000

// world makes histories.
type world struct{ *rand.Rand }

// policy is one of any sort: rules that are absent, and rules that are small enough to matter.
func (w world) policy() retention.Policy {
	small := func() int { return max(0, w.IntN(9)-4) }
	within := []time.Duration{0, 0, time.Hour, 36 * time.Hour, 7 * day, 30 * day, 365 * day}
	return retention.Policy{Within: within[w.IntN(len(within))], Last: small(), Daily: small(), Weekly: small(), Monthly: small(), Yearly: small(), Min: w.IntN(4) - 1, Requires: []string{"", "", "drill"}[w.IntN(3)]}
}

// history is sets in the order in which they were written: nights, hours, gaps, several in one day or at one time,
// and clocks that jump either way.
func (w world) history() []retention.Item {
	moment := time.Date(2026, 1, 1, 2, 0, 0, 0, time.UTC).Add(time.Duration(w.IntN(800)) * day)
	var list []retention.Item
	for range w.IntN(16) {
		switch w.IntN(12) {
		case 0: // the same moment
		case 1, 2:
			moment = moment.Add(time.Duration(w.IntN(3600)) * time.Second)
		case 3:
			moment = moment.Add(time.Duration(w.IntN(70)) * day)
		case 4:
			moment = moment.AddDate(w.IntN(3), 0, 0)
		case 5: // the clock went back
			moment = moment.Add(-time.Duration(w.IntN(400)) * time.Hour)
		default:
			moment = moment.Add(day + time.Duration(w.IntN(120)-60)*time.Second)
		}
		list = append(list, w.item(moment, len(list)))
	}
	return list
}

func (w world) item(moment time.Time, n int) retention.Item {
	item := retention.Item{ID: fmt.Sprintf("%s-%02d", moment.Format("20060102T150405Z"), n), Time: moment, Good: w.IntN(5) > 0, Proven: w.IntN(4) == 0}
	if !item.Good {
		item.Why = "failed"
		item.Suspect = w.IntN(8) == 0
		item.Unjudged = w.IntN(6) == 0
	}
	if w.IntN(20) == 0 {
		item.Pinned, item.PinReason = true, "because"
	}
	if w.IntN(20) == 0 {
		item.NeededBy = []string{"full/x"}
	}
	return item
}

func kept(decisions []retention.Decision) []retention.Item {
	var list []retention.Item
	for _, d := range decisions {
		if d.Keep {
			list = append(list, d.Item)
		}
	}
	return list
}

func sameDecision(a, b retention.Decision) bool {
	return a.Item.ID == b.Item.ID && a.Keep == b.Keep && slices.Equal(a.Reasons, b.Reasons)
}

// sorted is newest first, in a copy.
func sorted(list []retention.Item) []retention.Item {
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b retention.Item) int {
		if c := b.Time.Compare(a.Time); c != 0 {
			return c
		}
		if a.ID > b.ID {
			return -1
		}
		return 1
	})
	return list
}

// expected says by another way which sets stay: for each set by itself, by counting what is newer.
func expected(p retention.Policy, list []retention.Item) map[string]bool {
	stay := map[string]bool{}
	order := sorted(list)
	newest := slices.IndexFunc(order, func(i retention.Item) bool { return i.Good })
	suspect := slices.ContainsFunc(list, func(i retention.Item) bool { return i.Suspect })
	proven := slices.IndexFunc(order, func(i retention.Item) bool { return i.Good && i.Proven })
	limits := [4]int{p.Daily, p.Weekly, p.Monthly, p.Yearly}
	var newer []retention.Item // good, and newer than the item at hand
	for n, item := range order {
		held := item.Pinned || item.Suspect || item.Unjudged || len(item.NeededBy) > 0
		within := newest >= 0 && p.Within > 0 && order[newest].Time.Sub(item.Time) <= p.Within
		unproven := p.Requires != "" && (proven < 0 || n <= proven)
		stay[item.ID] = newest < 0 || held || n <= newest || within || suspect || unproven
		if !item.Good {
			continue
		}
		if len(newer) < max(p.Min, 1, p.Last) {
			stay[item.ID] = true
		}
		for unit, limit := range limits {
			var seen []int
			for _, other := range newer {
				if u := units(other.Time)[unit]; !slices.Contains(seen, u) {
					seen = append(seen, u)
				}
			}
			if limit > len(seen) && !slices.Contains(seen, units(item.Time)[unit]) {
				stay[item.ID] = true
			}
		}
		newer = append(newer, item)
	}
	return stay
}

// units number the day, week, month and year of a time. Weeks begin on Mondays.
func units(t time.Time) [4]int {
	days := int(t.Unix() / 86400) // the first one was a Thursday
	return [4]int{days, (days + 3) / 7, t.Year()*12 + int(t.Month()), t.Year()}
}

// Promise: in every history the newest good set stays, with all that is pinned, needed, suspect or not judged; the
// rest is what the rules say; nothing goes while a set is suspect, nor before there is newer evidence where that is
// required; the order of the items means nothing; pruning what was pruned removes nothing; what goes goes also when
// there are more sets, newer ones for example, unless one of these is suspect; a policy that wants more keeps more;
// and pruning after each backup ends where pruning once at the end does.
func TestProperties(t *testing.T) {
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", seed)
	var wg sync.WaitGroup
	const workers = 4
	for n := range workers {
		wg.Go(func() {
			for i := n; i < histories && !t.Failed(); i += workers {
				w := world{rand.New(rand.NewPCG(seed, uint64(i)))}
				p, list := w.policy(), w.history()
				if problem := w.examine(p, list); problem != "" {
					t.Errorf("history %d: %s\n%+v", i, problem, p)
					for _, d := range retention.Apply(p, list) {
						t.Logf("%s  %+v", show(d), d.Item)
					}
				}
			}
		})
	}
	wg.Wait()
}

// examine holds one history against everything that is promised.
func (w world) examine(p retention.Policy, list []retention.Item) string {
	decisions := retention.Apply(p, list)
	stay := expected(p, list)
	if len(decisions) != len(list) {
		return "not one decision for each set"
	}
	goodBefore, goodAfter := 0, 0
	for i, d := range decisions {
		item := list[i]
		held := item.Pinned || item.Suspect || item.Unjudged || len(item.NeededBy) > 0
		switch {
		case d.Item.ID != item.ID:
			return "a decision is not in the place of its item"
		case len(d.Reasons) == 0:
			return item.ID + " has no reason"
		case held && !d.Keep:
			return item.ID + " is held, but would be removed"
		case (d.Frozen || d.Unproven) && !d.Keep:
			return item.ID + " is held back, but would be removed"
		case d.Keep != stay[item.ID]:
			return item.ID + " is not what the rules say"
		}
		if item.Good {
			goodBefore++
			if d.Keep {
				goodAfter++
			}
		}
	}
	if goodAfter < min(goodBefore, max(p.Min, 1)) {
		return fmt.Sprintf("%d good sets of %d are left", goodAfter, goodBefore)
	}
	left := kept(decisions)
	order := sorted(list)
	if newest := slices.IndexFunc(order, func(i retention.Item) bool { return i.Good }); newest >= 0 {
		if !slices.ContainsFunc(left, func(i retention.Item) bool { return i.ID == order[newest].ID }) {
			return "the newest good set would be removed"
		}
	}
	return w.compare(p, list, decisions, left)
}

// compare holds what Apply says against what it says of something similar.
func (w world) compare(p retention.Policy, list []retention.Item, decisions []retention.Decision, left []retention.Item) string {
	// Twice.
	again := retention.Apply(p, left)
	var first []retention.Decision
	for _, d := range decisions {
		if d.Keep {
			first = append(first, d)
		}
	}
	if len(left) > 0 && !slices.EqualFunc(again, first, sameDecision) {
		return "the second time says something else"
	}
	// In another order.
	other := slices.Clone(list)
	w.Shuffle(len(other), func(a, b int) { other[a], other[b] = other[b], other[a] })
	if ids(kept(retention.Apply(p, other))) != ids(left) {
		return "the order of the items matters"
	}
	// With more wanted.
	more := p
	for _, rule := range []*int{&more.Last, &more.Daily, &more.Weekly, &more.Monthly, &more.Yearly, &more.Min} {
		*rule += w.IntN(2)
	}
	more.Within += time.Duration(w.IntN(2)) * day
	if !subset(left, kept(retention.Apply(more, list))) {
		return fmt.Sprintf("%+v keeps less", more)
	}
	// With fewer sets, as before a newer one came or while others are removed.
	var some []retention.Item
	for _, item := range list {
		if w.IntN(4) > 0 || item.Suspect {
			some = append(some, item)
		}
	}
	if once := kept(retention.Apply(p, some)); !subset(among(left, some), once) {
		return "more sets bring one back"
	}
	// Night after night. A clock that goes back makes no older set: ids only grow.
	if w.IntN(10) > 0 {
		return "" // it takes long
	}
	var nightly []retention.Item
	for _, item := range slices.Backward(sorted(list)) {
		nightly = kept(retention.Apply(p, append(nightly, item)))
	}
	if slices.ContainsFunc(list, func(i retention.Item) bool { return i.Suspect }) {
		// What went before the suspect one came is not there any more.
		if !subset(nightly, left) {
			return "pruning each night keeps what pruning once does not"
		}
		return ""
	}
	if ids(nightly) != ids(left) {
		return "pruning each night ends elsewhere than pruning once"
	}
	return ""
}

func ids(list []retention.Item) string {
	text := ""
	for _, i := range sorted(list) {
		text += i.ID + " "
	}
	return text
}

func subset(part, whole []retention.Item) bool {
	has := map[string]bool{}
	for _, i := range whole {
		has[i.ID] = true
	}
	return !slices.ContainsFunc(part, func(i retention.Item) bool { return !has[i.ID] })
}

// among is the items of list that are in some.
func among(list, some []retention.Item) []retention.Item {
	return slices.DeleteFunc(slices.Clone(list), func(i retention.Item) bool { return !subset([]retention.Item{i}, some) })
}

// Promise: also when sets that were good turn out not to be, pruning night after night never leaves a group that had a
// good set without one.
func TestNightsWithSurprises(t *testing.T) {
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", seed)
	isGood := func(i retention.Item) bool { return i.Good }
	for n := range histories / 20 {
		w := world{rand.New(rand.NewPCG(seed, uint64(n)))}
		p := w.policy()
		var list []retention.Item
		for _, item := range slices.Backward(sorted(w.history())) {
			list = append(list, item)
			if w.IntN(3) == 0 {
				i := w.IntN(len(list))
				list[i].Good, list[i].Why = !list[i].Good && !list[i].Unjudged && !list[i].Suspect, "changed"
			}
			before := slices.ContainsFunc(list, isGood)
			list = kept(retention.Apply(p, list))
			if before && !slices.ContainsFunc(list, isGood) {
				t.Fatalf("history %d: no good set is left: %+v", n, p)
			}
		}
	}
}
