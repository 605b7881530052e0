package main

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/bmad-forge/forgectl/pkg/rediscache"
	"github.com/bmad-forge/forgectl/pkg/ui"
)

// watchedShown is the JSON of forgectl cache monitor.
type watchedShown struct {
	Seconds  float64     `json:"seconds"`
	Commands int64       `json:"commands"`
	Others   int64       `json:"commands_in_other_databases"`
	ByName   []counted   `json:"commands_by_name"`
	Callers  []counted   `json:"callers"`
	Groups   []usedGroup `json:"groups"`
	HitRatio *float64    `json:"hit_ratio"`
	Slow     []slowShown `json:"slow"`
	Worst    float64     `json:"worst_ping_ms"`
	Stopped  string      `json:"stopped"`
}

type counted struct {
	Name  string `json:"name"`
	Count int64  `json:"count"`
}

type usedGroup struct {
	Pattern string `json:"pattern"`
	Reads   int64  `json:"reads"`
	Writes  int64  `json:"writes"`
	Example string `json:"example,omitempty"`
}

// most orders counts, the largest first.
func most(counts map[string]int64) []counted {
	all := []counted{}
	for name, n := range counts {
		all = append(all, counted{name, n})
	}
	slices.SortFunc(all, func(a, b counted) int { return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Name, b.Name)) })
	return all
}

func mostUsed(w *rediscache.Watched, reveal bool) []usedGroup {
	all := []usedGroup{}
	for pattern, g := range w.Groups {
		used := usedGroup{Pattern: pattern, Reads: g.Reads, Writes: g.Writes}
		if reveal {
			used.Example = g.Example.Shown(true)
		}
		all = append(all, used)
	}
	slices.SortFunc(all, func(a, b usedGroup) int {
		return cmp.Or(cmp.Compare(b.Reads+b.Writes, a.Reads+a.Writes), cmp.Compare(a.Pattern, b.Pattern))
	})
	return all
}

func watchedResult(w *rediscache.Watched, reveal bool) result {
	shown := watchedShown{
		Seconds: w.Took.Seconds(), Commands: w.Events, Others: w.Others, ByName: most(w.Commands), Callers: most(w.Callers), Groups: mostUsed(w, reveal),
		HitRatio: ratioOf(w.HitRatio), Slow: slowOf(w.Slow, reveal), Worst: milliseconds(w.Worst), Stopped: w.Stopped,
	}
	return result{JSON: shown, Text: func(s *ui.Streams) error {
		if err := watchedTables(s, w, 20, reveal); err != nil {
			return err
		}
		for _, slow := range shown.Slow {
			if _, err := fmt.Fprintf(s.Out, "slow\t%s\t%.2fms\n", ui.Printable(slow.Command), slow.MS); err != nil {
				return err
			}
		}
		if !s.OutTTY {
			return nil
		}
		_, err := fmt.Fprintln(s.Out, s.Faint(fmt.Sprintf("%s commands in %s; hit ratio %s; PING took %s at most", ui.Count(w.Events), ui.Duration(w.Took), ratioText(w.HitRatio), shortTime(w.Worst))))
		return err
	}}
}

// watchedTables are the first few of each kind.
func watchedTables(s *ui.Streams, w *rediscache.Watched, n int, reveal bool) error {
	t := s.Table(ui.Column{Title: "WHAT"}, ui.Column{Title: "NAME"}, ui.Column{Title: "COUNT", Right: true}, ui.Column{Title: "DETAIL"})
	for i, c := range most(w.Commands) {
		if i < n {
			t.Row("command", c.Name, s.Number(c.Count))
		}
	}
	for i, c := range most(w.Callers) {
		if i < n {
			t.Row("caller", c.Name, s.Number(c.Count))
		}
	}
	for i, g := range mostUsed(w, reveal) {
		if i < n {
			detail := fmt.Sprintf("%s reads, %s writes", s.Number(g.Reads), s.Number(g.Writes))
			if g.Example != "" {
				detail += "; " + g.Example
			}
			t.Row("group", g.Pattern, s.Number(g.Reads+g.Writes), detail)
		}
	}
	return t.Flush()
}
