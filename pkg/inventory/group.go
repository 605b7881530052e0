package inventory

import (
	"time"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/recovery"
)

// MonthDays is how many days a group looks back, today included.
const MonthDays = 31

// State is what the sets of one day are like, by the best one of them.
type State string

// The states, the better the later.
const (
	None    State = "none"
	Failed  State = "failed"  // damaged, or failed a verification
	Suspect State = "suspect" // and not accepted
	Good    State = "good"
)

// better reports whether s says more for a day than other.
func (s State) better(other State) bool {
	rank := map[State]int{None: 0, Failed: 1, Suspect: 2, Good: 3}
	return rank[s] > rank[other]
}

// Day is one day of a group.
type Day struct {
	Day   string `json:"day"` // 2026-11-23, local time
	State State  `json:"state"`
}

// Group is the sets of one kind, or of one database.
type Group struct {
	Group    string       `json:"group"`
	Kind     catalog.Kind `json:"kind"`
	Database string       `json:"database,omitempty"`
	Sets     int          `json:"sets"`
	Bytes    int64        `json:"bytes"`
	// Newest is the newest good set; "": there is none, and no age.
	Newest     string  `json:"newest_good"`
	AgeSeconds *int64  `json:"age_seconds"`
	Promised   float64 `json:"promised_seconds,omitempty"`
	// Kept is that the promise is; true where nothing was promised.
	Kept bool  `json:"kept"`
	Days []Day `json:"days"` // MonthDays of them, the oldest first
}

// groups sums up sets that are listed group by group, the newest first.
func groups(sets []Set, now time.Time, promised time.Duration) []Group {
	all := []Group{}
	days := map[string]int{}
	for i := range MonthDays {
		days[dayBack(now, i)] = i
	}
	for _, s := range sets {
		name := catalog.Group{Kind: s.Kind, Database: s.Database}.String()
		if n := len(all); n == 0 || all[n-1].Group != name {
			all = append(all, newGroup(s, name, now, promised))
		}
		g := &all[len(all)-1]
		g.Sets++
		g.Bytes += s.Bytes
		if s.Good && g.Newest == "" { // the newest comes first
			g.Newest, g.AgeSeconds = s.Set, &s.AgeSeconds
			g.Kept = s.Age() >= -Ahead && recovery.Judge(s.Age(), promised) != recovery.Broken
		}
		if i, ok := days[LocalDay(s.Started)]; ok && s.state().better(g.Days[i].State) {
			g.Days[i].State = s.state()
		}
	}
	return all
}

func newGroup(s Set, name string, now time.Time, promised time.Duration) Group {
	g := Group{Group: name, Kind: s.Kind, Database: s.Database, Promised: promised.Seconds(), Kept: promised <= 0}
	for i := range MonthDays {
		g.Days = append(g.Days, Day{Day: dayBack(now, i), State: None})
	}
	return g
}

// dayBack is the day number i of those that a group looks back to, of which the last is today.
func dayBack(now time.Time, i int) string { return LocalDay(now.AddDate(0, 0, i-MonthDays+1)) }

// LocalDay is the day of a moment as Day has it.
func LocalDay(t time.Time) string { return t.Local().Format(time.DateOnly) }

// state is what the set says for the day on which it was made.
func (s Set) state() State {
	switch {
	case s.Good:
		return Good
	case s.Suspect:
		return Suspect
	}
	return Failed
}
