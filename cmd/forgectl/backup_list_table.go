package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/inventory"
	"github.com/bmad-forge/forgectl/pkg/recovery"
	"github.com/bmad-forge/forgectl/pkg/ui"
)

func (a *App) listTable(s *ui.Streams, sets []inventory.Set) error {
	t := s.Table(ui.Column{Title: "SET"}, ui.Column{Title: "AGE", Right: true}, ui.Column{Title: "SIZE", Right: true}, ui.Column{Title: "RATIO", Right: true},
		ui.Column{Title: "ROWS", Right: true}, ui.Column{Title: "SEALED TO"}, ui.Column{Title: "VERIFIED"}, ui.Column{Title: "STATE"})
	for _, l := range sets {
		ratio, rows := "", ""
		if l.Bytes > 0 && l.RawBytes >= l.Bytes {
			ratio = fmt.Sprintf("%.1f", float64(l.RawBytes)/float64(l.Bytes))
		}
		if l.Tables > 0 {
			rows = s.Number(l.Rows)
		}
		verified := s.Warn("never")
		if v := l.Verified; v != nil {
			verified = v.Level + " " + ago(a.Now().Sub(v.Time))
		}
		t.Row(l.Set, ui.Age(l.Age()), ui.Bytes(l.Bytes), ratio, rows, sealedIn(l), verified, paintState(s, l))
	}
	return t.Flush()
}

// sealedIn is to whom a set is sealed. A full set holds nothing that could be.
func sealedIn(l inventory.Set) string {
	switch {
	case !l.Known:
		return "unknown"
	case l.Kind == catalog.KindFull:
		return ""
	case len(l.SealedTo) == 0:
		return "nobody"
	}
	return strings.Join(l.SealedTo, ", ")
}

func paintState(s *ui.Streams, l inventory.Set) string {
	state := s.Good("good")
	switch {
	case !l.Good:
		state = s.Bad(l.Why)
		if l.Suspect && !strings.HasPrefix(l.Why, catalog.CheckSuspect) {
			state += ", " + s.Bad(catalog.CheckSuspect)
		}
	case len(l.Incomplete) > 0:
		state = s.Warn("good, incomplete")
	}
	if l.Good && l.Signed {
		state += ", signed"
	}
	if l.Pinned {
		state += ", pinned"
	}
	return state
}

// groupsTable shows at one glance how each kind is. It is for terminals: in a pipe
// there are only the sets.
func groupsTable(s *ui.Streams, groups []inventory.Group) error {
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
			bar.WriteString(dayCell(s, d.State))
		}
		t.Row(g.Group, ui.Count(int64(g.Sets)), ui.Bytes(g.Bytes), newest, promise, bar.String())
	}
	if err := t.Flush(); err != nil {
		return err
	}
	legend := []string{dayCell(s, inventory.Good) + " good", dayCell(s, inventory.Suspect) + " suspect", dayCell(s, inventory.Failed) + " failed", dayCell(s, inventory.None) + " no set"}
	_, err := fmt.Fprintln(s.Out, "one cell a day, by its best set: "+strings.Join(legend, "  "))
	return err
}

// dayCell is how a day is drawn; the cells are told apart without colour.
func dayCell(s *ui.Streams, day inventory.State) string {
	switch day {
	case inventory.Good:
		return s.Good("#")
	case inventory.Suspect:
		return s.Warn("?")
	case inventory.Failed:
		return s.Bad("x")
	}
	return s.Faint(".")
}
