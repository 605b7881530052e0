package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/recovery"
	"github.com/bmad-forge/forgectl/pkg/ui"
)

// monthDays is how many days the bar of a group looks back, today included.
const monthDays = 31

// dayState is what the sets of one day are like, by the best one of them.
type dayState string

const (
	dayNone    dayState = "none"
	dayFailed  dayState = "failed"  // damaged, or failed a verification
	daySuspect dayState = "suspect" // and not accepted
	dayGood    dayState = "good"
)

// cells are how a day is drawn; they are told apart without colour.
func (d dayState) cell(s *ui.Streams) string {
	switch d {
	case dayGood:
		return s.Good("#")
	case daySuspect:
		return s.Warn("?")
	case dayFailed:
		return s.Bad("x")
	}
	return s.Faint(".")
}

// better reports whether d says more for a day than other.
func (d dayState) better(other dayState) bool {
	rank := map[dayState]int{dayNone: 0, dayFailed: 1, daySuspect: 2, dayGood: 3}
	return rank[d] > rank[other]
}

// listedDay is one day in the JSON of forgectl backup list.
type listedDay struct {
	Day   string   `json:"day"` // 2026-11-23, local time
	State dayState `json:"state"`
}

// listedGroup is the sets of one kind, or of one database, in the JSON of forgectl
// backup list.
type listedGroup struct {
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
	Kept bool        `json:"kept"`
	Days []listedDay `json:"days"`
}

// listedGroups sums up what was listed, in the order of the list.
func listedGroups(sets []listedSet, now time.Time, promised time.Duration) []listedGroup {
	groups := []listedGroup{}
	days := map[string]int{}
	for i := range monthDays {
		days[day(now.AddDate(0, 0, i-monthDays+1))] = i
	}
	for _, l := range sets {
		group := catalog.Group{Kind: l.Kind, Database: l.Database}.String()
		if n := len(groups); n == 0 || groups[n-1].Group != group {
			groups = append(groups, newListedGroup(l, group, now, promised))
		}
		g := &groups[len(groups)-1]
		g.Sets++
		g.Bytes += l.Bytes
		if l.Good && g.Newest == "" { // the newest comes first
			age := time.Duration(l.AgeSeconds) * time.Second
			g.Newest, g.AgeSeconds = l.Set, &l.AgeSeconds
			g.Kept = age >= -aheadLimit && recovery.Judge(age, promised) != recovery.Broken
		}
		if i, ok := days[day(l.Started)]; ok && l.day().better(g.Days[i].State) {
			g.Days[i].State = l.day()
		}
	}
	return groups
}

func newListedGroup(l listedSet, name string, now time.Time, promised time.Duration) listedGroup {
	g := listedGroup{Group: name, Kind: l.Kind, Database: l.Database, Promised: promised.Seconds(), Kept: promised <= 0}
	for i := range monthDays {
		g.Days = append(g.Days, listedDay{Day: day(now.AddDate(0, 0, i-monthDays+1)), State: dayNone})
	}
	return g
}

func day(t time.Time) string { return t.Local().Format(time.DateOnly) }

// day is what the set says for the day on which it was made.
func (l listedSet) day() dayState {
	switch {
	case l.Good:
		return dayGood
	case l.Suspect:
		return daySuspect
	}
	return dayFailed
}

// groupsTable shows at one glance how each kind is. It is for terminals: in a pipe
// there are only the sets.
func groupsTable(s *ui.Streams, groups []listedGroup) error {
	if !s.OutTTY || len(groups) == 0 {
		return nil
	}
	t := s.Table(ui.Column{Title: "GROUP"}, ui.Column{Title: "SETS", Right: true}, ui.Column{Title: "SIZE", Right: true}, ui.Column{Title: "NEWEST GOOD", Right: true},
		ui.Column{Title: "PROMISED", Right: true}, ui.Column{Title: "LAST MONTH, TO TODAY"})
	for _, g := range groups {
		promise, newest := "", s.Bad("none")
		if g.Promised > 0 {
			promise = recovery.Format(time.Duration(g.Promised * float64(time.Second)))
		}
		if g.Newest != "" {
			newest = s.Good(ui.Age(time.Duration(*g.AgeSeconds) * time.Second))
			if !g.Kept {
				newest = s.Bad(ui.Age(time.Duration(*g.AgeSeconds)*time.Second) + ", too old")
			}
		}
		var bar strings.Builder
		for _, d := range g.Days {
			bar.WriteString(d.State.cell(s))
		}
		t.Row(g.Group, ui.Count(int64(g.Sets)), ui.Bytes(g.Bytes), newest, promise, bar.String())
	}
	if err := t.Flush(); err != nil {
		return err
	}
	legend := []string{dayGood.cell(s) + " good", daySuspect.cell(s) + " suspect", dayFailed.cell(s) + " failed", dayNone.cell(s) + " no set"}
	_, err := fmt.Fprintln(s.Out, "one cell a day, by its best set: "+strings.Join(legend, "  "))
	return err
}
