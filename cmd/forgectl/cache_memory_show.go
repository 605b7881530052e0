package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/bmad-forge/forgectl/pkg/rediscache"
	"github.com/bmad-forge/forgectl/pkg/ui"
)

// surveyShown is the JSON of forgectl cache memory.
type surveyShown struct {
	Keys     int64        `json:"keys"`
	Database int64        `json:"database_keys"`
	Whole    bool         `json:"whole"`
	Sampled  bool         `json:"sampled"`
	Merged   bool         `json:"groups_merged"`
	Groups   []groupShown `json:"groups"`
	Biggest  []bigShown   `json:"biggest"`
}

type groupShown struct {
	Pattern   string           `json:"pattern"`
	Keys      int64            `json:"keys"`
	Measured  int64            `json:"measured"`
	Bytes     int64            `json:"bytes"`
	PlusMinus int64            `json:"bytes_plus_minus"`
	Types     map[string]int64 `json:"types"`
	NoTTL     int64            `json:"no_ttl"`
	TTL       ttlShown         `json:"ttl_seconds"`
}

type ttlShown struct {
	Min  float64 `json:"min"`
	Mean float64 `json:"mean"`
	Max  float64 `json:"max"`
}

type bigShown struct {
	Key   string `json:"key"`
	Type  string `json:"type"`
	Bytes int64  `json:"bytes"`
}

func surveyResult(s *rediscache.Survey) result {
	shown := surveyShown{Keys: s.Looked, Database: s.Total, Whole: s.Whole, Merged: s.Merged, Groups: []groupShown{}, Biggest: []bigShown{}}
	for _, g := range s.Sorted() {
		bytes, plus := g.Estimate()
		shown.Sampled = shown.Sampled || g.Sampled()
		shown.Groups = append(shown.Groups, groupShown{
			g.Pattern, g.Keys, g.Measured, bytes, plus, g.Types, g.Of(g.NoTTL), ttlShown{g.TTLMin.Seconds(), g.MeanTTL().Seconds(), g.TTLMax.Seconds()},
		})
	}
	for _, b := range s.Biggest {
		shown.Biggest = append(shown.Biggest, bigShown(b))
	}
	return result{JSON: shown, Text: func(out *ui.Streams) error { return surveyText(out, s, shown) }}
}

func surveyText(out *ui.Streams, s *rediscache.Survey, shown surveyShown) error {
	if s.Looked == 0 {
		text := "no keys in this database"
		if s.Total > 0 {
			text = "no such keys among the " + ui.Count(s.Total) + " of this database"
		}
		_, err := fmt.Fprintln(out.Out, text)
		return err
	}
	if err := groupTable(out, s.Sorted()); err != nil {
		return err
	}
	if !out.OutTTY {
		return nil // rows of one kind, for a script
	}
	t := out.Table(ui.Column{Title: "BIGGEST"}, ui.Column{Title: "TYPE"}, ui.Column{Title: "SIZE", Right: true})
	for _, b := range s.Biggest {
		t.Row(b.Key, b.Type, ui.Bytes(b.Bytes))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	text := ui.Count(s.Looked) + " keys of " + ui.Count(s.Total)
	if shown.Sampled {
		text += fmt.Sprintf("; bytes, TTL and types are from a sample, about %.1f %% of the keys", 100*s.Share)
	}
	if s.Merged {
		text += "; there were too many groups, some share a row"
	}
	if !s.Whole {
		text += "; not all keys were seen"
	}
	_, err := fmt.Fprintln(out.Out, out.Faint(text))
	return err
}

func groupTable(out *ui.Streams, groups []*rediscache.KeyGroup) error {
	t := out.Table(ui.Column{Title: "GROUP"}, ui.Column{Title: "KEYS", Right: true}, ui.Column{Title: "SIZE", Right: true}, ui.Column{Title: "±", Right: true},
		ui.Column{Title: "NO TTL", Right: true}, ui.Column{Title: "TTL"}, ui.Column{Title: "TYPES"})
	for _, g := range groups {
		bytes, plus := g.Estimate()
		off := ""
		if g.Sampled() {
			off = ui.Bytes(plus)
		}
		size := ui.Bytes(bytes)
		if !out.OutTTY {
			size, off = fmt.Sprint(bytes), fmt.Sprint(plus)
		}
		t.Row(g.Pattern, out.Number(g.Keys), size, off, out.Number(g.Of(g.NoTTL)), ttlText(g), strings.Join(slices.Sorted(maps.Keys(g.Types)), ", "))
	}
	return t.Flush()
}

// ttlText is the spread of what is left to keys that expire.
func ttlText(g *rediscache.KeyGroup) string {
	switch {
	case g.Measured == g.NoTTL:
		return "-"
	case g.TTLMax-g.TTLMin < time.Second:
		return ui.Age(g.TTLMax)
	}
	return ui.Age(g.TTLMin) + " to " + ui.Age(g.TTLMax)
}
