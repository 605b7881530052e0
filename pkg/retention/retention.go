package retention

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Policy is how much is kept. A rule that is 0, or less, keeps nothing.
type Policy struct {
	Within  time.Duration // every set not older than this
	Last    int           // so many of the newest sets
	Daily   int           // the last set of each of so many days that have one
	Weekly  int           // of ISO weeks
	Monthly int           // of months
	Yearly  int           // of years
	Min     int           // so many good sets stay whatever else is said; less than 1 is 1

	// Requires names the evidence without which nothing goes, such as "drill": a set is only let go when a newer
	// good one is Proven. "" is none.
	Requires string
}

// Item is one set, as far as it matters here.
type Item struct {
	ID   string    // its name inside the group; items of the same time are ordered by it
	Time time.Time // when it was started

	// Good is that the set can be relied on. Why is the reason if it cannot.
	Good bool
	Why  string
	// Unjudged is that nobody can tell whether the set is good. Good is then taken for false.
	Unjudged bool
	// Future is that it was started later than it is now. Then it stays and counts for no rule: some clock is or was
	// wrong, and nothing may go because of that.
	Future bool
	// Suspect is that something about the set is not believable and nobody has accepted it. Then nothing goes: what
	// is older may be all that is left of the truth.
	Suspect bool
	// Proven is that there is the evidence that the policy requires. Only that of good items counts.
	Proven bool
	// Pinned is that somebody wants the set kept; PinReason may be empty.
	Pinned    bool
	PinReason string
	// NeededBy names the sets of other groups that stay and are not whole without this one.
	NeededBy []string
}

// Decision is what is to become of an item.
type Decision struct {
	Item Item
	Keep bool
	// Reasons is everything that keeps the item, or the one reason why nothing does. Never empty.
	Reasons []string
	// Frozen and Unproven are that no rule wants the item, and that it only stays because an item of the group is
	// suspect, or because the required evidence is missing.
	Frozen, Unproven bool
}

// Apply decides about the sets of one group; the decisions are in the order of the items.
func Apply(p Policy, items []Item) []Decision {
	r := run{Policy: p, decisions: make([]Decision, len(items))}
	for i, item := range items {
		r.decisions[i].Item = item
		r.order = append(r.order, i)
	}
	slices.SortStableFunc(r.order, func(a, b int) int { return compare(items[b], items[a]) })
	for _, i := range r.order {
		if items[i].Good && !items[i].Unjudged && !items[i].Future {
			r.good = append(r.good, i)
		}
	}
	r.keepMarked()
	r.keepNewest()
	r.keepWithin()
	r.keepSlots()
	r.judgeRest()
	r.holdBack()
	return r.decisions
}

// compare orders items by time.
func compare(a, b Item) int {
	return cmp.Or(a.Time.Compare(b.Time), strings.Compare(a.ID, b.ID))
}

// run is one Apply. order and good are indexes of decisions, newest first.
type run struct {
	Policy
	decisions []Decision
	order     []int
	good      []int
}

func (r *run) keep(i int, reason string) {
	r.decisions[i].Keep = true
	r.decisions[i].Reasons = append(r.decisions[i].Reasons, reason)
}

// keepMarked keeps what somebody said something about.
func (r *run) keepMarked() {
	for _, i := range r.order {
		item := r.decisions[i].Item
		if item.Pinned {
			r.keep(i, because("pinned", item.PinReason))
		}
		for _, name := range item.NeededBy {
			r.keep(i, "needed by "+name)
		}
		if item.Suspect {
			r.keep(i, because("not accepted yet", item.Why))
		}
		if item.Unjudged {
			r.keep(i, because("cannot be judged", item.Why))
		}
		if item.Future {
			r.keep(i, "from the future: some clock is or was wrong")
		}
	}
}

// keepNewest is Min and Last.
func (r *run) keepNewest() {
	least := max(r.Min, 1)
	for n, i := range r.good {
		switch {
		case n >= least:
		case least == 1:
			r.keep(i, "the last good set")
		default:
			r.keep(i, fmt.Sprintf("one of the last %d good sets", least))
		}
		if n < r.Last {
			r.keep(i, fmt.Sprintf("newest %d", r.Last))
		}
	}
}

// keepWithin keeps also what is not good: so long somebody may want to know what went wrong.
func (r *run) keepWithin() {
	if r.Within <= 0 || len(r.good) == 0 {
		return
	}
	limit := r.newestGood().Time.Add(-r.Within)
	reason := "within " + days(r.Within) + " of the newest good set"
	for _, i := range r.order {
		item := r.decisions[i].Item
		switch {
		case item.Time.Before(limit) || r.evidence(item):
		case item.Good || item.Unjudged:
			r.keep(i, reason)
		default:
			r.keep(i, because(reason, "not good: "+item.Why))
		}
	}
}

// judgeRest explains what the rules have nothing to say about.
func (r *run) judgeRest() {
	for _, i := range r.order {
		d := &r.decisions[i]
		bad := !d.Item.Good && !d.Item.Unjudged && !d.Item.Suspect
		switch {
		case bad && len(r.good) == 0:
			r.keep(i, because("there is no good set", d.Item.Why))
		case bad && r.evidence(d.Item):
			r.keep(i, because("newer than the newest good set", d.Item.Why))
		case d.Keep:
		case bad:
			d.Reasons = []string{because("not good and older than the newest good set", d.Item.Why)}
		default:
			d.Reasons = []string{"no rule keeps it"}
		}
	}
}

// holdBack keeps what no rule wants as long as it is not sure that what is newer is what it should be.
func (r *run) holdBack() {
	suspect, proven := -1, -1 // the newest of each
	for _, i := range r.order {
		if suspect < 0 && r.decisions[i].Item.Suspect {
			suspect = i
		}
	}
	for _, i := range r.good {
		if proven < 0 && r.decisions[i].Item.Proven {
			proven = i
		}
	}
	for _, i := range r.order {
		d := &r.decisions[i]
		if d.Keep {
			continue
		}
		d.Frozen = suspect >= 0
		d.Unproven = r.Requires != "" && (proven < 0 || compare(d.Item, r.decisions[proven].Item) >= 0)
		if d.Frozen || d.Unproven {
			d.Reasons = nil
		}
		if d.Frozen {
			r.keep(i, "frozen until "+r.decisions[suspect].Item.ID+" is accepted")
		}
		if d.Unproven {
			r.keep(i, "no newer good set has passed a "+r.Requires)
		}
	}
}

func (r *run) newestGood() Item { return r.decisions[r.good[0]].Item }

// evidence is what was started after the newest good set: it says why there is no newer one.
func (r *run) evidence(item Item) bool { return compare(item, r.newestGood()) > 0 }

// because adds a reason to a reason, where there is one.
func because(what, why string) string {
	if why == "" {
		return what
	}
	return what + ": " + why
}

// days writes a time as the configuration does: "30d", "36h", "90m".
func days(d time.Duration) string {
	const day = 24 * time.Hour
	if d%day == 0 {
		return fmt.Sprintf("%dd", d/day)
	}
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
