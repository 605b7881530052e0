package main

import (
	"cmp"
	"fmt"
	"slices"
	"time"

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
		_, err := fmt.Fprintln(s.Out, s.Faint(watchedText(w)))
		return err
	}}
}

// watchedText sums it up, also when nothing was seen.
func watchedText(w *rediscache.Watched) string {
	text := things(int(w.Events), "command") + " in " + ui.Duration(w.Took)
	if w.Events == 0 {
		text = "nothing was seen in " + ui.Duration(w.Took)
	}
	if w.Others > 0 {
		text += "; " + ui.Count(w.Others) + " in other databases (--all-databases)"
	}
	return fmt.Sprintf("%s; hit ratio %s; PING took %s at most", text, ratioText(w.HitRatio), shortTime(w.Worst))
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
	for i, c := range w.Slow {
		if i < n {
			t.Row("slow", c.Command.Shown(reveal), "1", shortTime(c.Took)+" at "+c.At.UTC().Format(time.RFC3339)+" by "+c.Client)
		}
	}
	return t.Flush()
}
