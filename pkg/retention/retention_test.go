package retention_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bmad-forge/forgectl/pkg/retention"
)

const day = 24 * time.Hour

// at reads "2026-11-23" or "2026-11-23 02:00" in UTC.
func at(t testing.TB, s string) time.Time {
	t.Helper()
	for _, layout := range []string{"2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02"} {
		if moment, err := time.Parse(layout, s); err == nil {
			return moment
		}
	}
	t.Fatalf("time %q", s)
	return time.Time{}
}

// items reads sets: "2026-11-23 02:00 | damaged why | pinned why | needed full/x". The first field is the time.
func items(t testing.TB, lines ...string) []retention.Item {
	t.Helper()
	var list []retention.Item
	for _, line := range lines {
		fields := strings.Split(line, "|")
		moment := at(t, strings.TrimSpace(fields[0]))
		item := retention.Item{ID: moment.Format("20060102T150405Z"), Time: moment, Good: true}
		for _, f := range fields[1:] {
			word, rest, _ := strings.Cut(strings.TrimSpace(f), " ")
			switch word {
			case "bad":
				item.Good, item.Why = false, rest
			case "suspect":
				item.Good, item.Suspect, item.Why = false, true, strings.TrimSpace("suspect: "+rest)
			case "unjudged":
				item.Good, item.Unjudged, item.Why = false, true, rest
			case "pinned":
				item.Pinned, item.PinReason = true, rest
			case "proven":
				item.Proven = true
			case "needed":
				item.NeededBy = append(item.NeededBy, rest)
			default:
				t.Fatalf("mark %q", f)
			}
		}
		list = append(list, item)
	}
	return list
}

// show is a decision on one line, as in the golden files.
func show(d retention.Decision) string {
	word := "remove"
	if d.Keep {
		word = "keep"
	}
	return d.Item.ID + "  " + word + "  " + strings.Join(d.Reasons, ", ")
}

// Promise: each rule keeps what it says, at its edges, and every decision comes with its reasons.
func TestRules(t *testing.T) {
	for _, c := range []struct {
		name   string
		policy retention.Policy
		sets   []string
		want   []string // without the id, newest last
	}{
		{"nothing", retention.Policy{}, nil, nil},
		{"the zero policy keeps one", retention.Policy{},
			[]string{"2026-11-21", "2026-11-22"},
			[]string{"remove no rule keeps it", "keep the last good set"}},
		{"negative rules are none", retention.Policy{Within: -day, Last: -1, Daily: -1, Weekly: -1, Monthly: -1, Yearly: -1, Min: -1},
			[]string{"2026-11-21", "2026-11-22"},
			[]string{"remove no rule keeps it", "keep the last good set"}},
		{"min", retention.Policy{Min: 2},
			[]string{"2026-11-21", "2026-11-22", "2026-11-23"},
			[]string{"remove no rule keeps it", "keep one of the last 2 good sets", "keep one of the last 2 good sets"}},
		{"last", retention.Policy{Last: 2},
			[]string{"2026-11-21", "2026-11-22 | bad failed", "2026-11-23", "2026-11-24"},
			[]string{"remove no rule keeps it", "remove not good and older than the newest good set: failed", "keep newest 2", "keep the last good set, newest 2"}},
		{"within, to the second", retention.Policy{Within: day},
			[]string{"2026-11-22 01:59:59", "2026-11-22 02:00", "2026-11-23 02:00"},
			[]string{"remove no rule keeps it", "keep within 1d of the newest good set", "keep the last good set, within 1d of the newest good set"}},
		{"within counts from the newest good set", retention.Policy{Within: day},
			[]string{"2026-11-20", "2026-11-21", "2026-12-23 | bad failed"},
			[]string{"keep within 1d of the newest good set", "keep the last good set, within 1d of the newest good set", "keep newer than the newest good set: failed"}},
		{"what is not good stays within", retention.Policy{Within: 36 * time.Hour},
			[]string{"2026-11-20 | bad old", "2026-11-22 | bad young", "2026-11-23"},
			[]string{"remove not good and older than the newest good set: old", "keep within 36h of the newest good set: not good: young", "keep the last good set, within 36h of the newest good set"}},
		{"the last of each day", retention.Policy{Daily: 2},
			[]string{"2026-11-20 23:59:59", "2026-11-21 00:00", "2026-11-21 23:59:59", "2026-11-23 12:00"},
			[]string{"remove no rule keeps it", "remove no rule keeps it", "keep daily 2026-11-21", "keep the last good set, daily 2026-11-23"}},
		{"a day whose last set is not good has an older one", retention.Policy{Daily: 2},
			[]string{"2026-11-21 01:00", "2026-11-21 02:00 | bad failed", "2026-11-22 02:00 | bad failed", "2026-11-23"},
			[]string{"keep daily 2026-11-21", "remove not good and older than the newest good set: failed", "remove not good and older than the newest good set: failed", "keep the last good set, daily 2026-11-23"}},
		{"weeks are those of ISO 8601, from Monday, also at the turn of the year", retention.Policy{Weekly: 3},
			[]string{"2020-12-27", "2020-12-28", "2021-01-03", "2021-01-04"},
			[]string{"keep weekly 2020-W52", "remove no rule keeps it", "keep weekly 2020-W53", "keep the last good set, weekly 2021-W01"}},
		{"weeks of a year with none of its days", retention.Policy{Weekly: 2},
			[]string{"2024-12-29", "2024-12-30", "2025-01-06"},
			[]string{"remove no rule keeps it", "keep weekly 2025-W01", "keep the last good set, weekly 2025-W02"}},
		{"months and years", retention.Policy{Monthly: 2, Yearly: 3},
			[]string{"2023-05-01", "2024-02-29", "2025-12-31 23:59:59", "2026-01-01"},
			[]string{"remove no rule keeps it", "keep yearly 2024", "keep monthly 2025-12, yearly 2025", "keep the last good set, monthly 2026-01, yearly 2026"}},
		{"a gap takes no places", retention.Policy{Daily: 2},
			[]string{"2026-01-01", "2026-01-02", "2026-11-23"},
			[]string{"remove no rule keeps it", "keep daily 2026-01-02", "keep the last good set, daily 2026-11-23"}},
		{"pinned, needed, suspect and not judged stay, and fill no places unless they are good", retention.Policy{Last: 1, Daily: 2},
			[]string{
				"2026-01-01 | pinned before the migration", "2026-01-02 | pinned", "2026-01-03 | bad failed | pinned x",
				"2026-02-01 | needed full/20261122T020000Z | needed full/20261123T020000Z", "2026-02-02 | bad failed | needed full/x",
				"2026-03-01 | suspect half the rows", "2026-03-02 | unjudged made by a newer forgectl", "2026-11-23"},
			[]string{
				"keep pinned: before the migration", "keep pinned", "keep pinned: x",
				"keep needed by full/20261122T020000Z, needed by full/20261123T020000Z, daily 2026-02-01", "keep needed by full/x",
				"keep not accepted yet: suspect: half the rows", "keep cannot be judged: made by a newer forgectl", "keep the last good set, newest 1, daily 2026-11-23"}},
		{"a suspect set freezes all of them, however old, and whatever is newer", retention.Policy{},
			[]string{"2026-11-20", "2026-11-21 | suspect half the rows", "2026-11-22 | bad failed", "2026-11-23"},
			[]string{"keep frozen until 20261121T000000Z is accepted", "keep not accepted yet: suspect: half the rows", "keep frozen until 20261121T000000Z is accepted", "keep the last good set"}},
		{"without evidence nothing goes", retention.Policy{Requires: "drill"},
			[]string{"2026-11-21", "2026-11-22 | bad failed | proven", "2026-11-23"},
			[]string{"keep no newer good set has passed a drill", "keep no newer good set has passed a drill", "keep the last good set"}},
		{"what is older than the evidence goes, itself it stays", retention.Policy{Requires: "drill"},
			[]string{"2026-11-20", "2026-11-21 | proven", "2026-11-22 | proven", "2026-11-23", "2026-11-24"},
			[]string{"remove no rule keeps it", "remove no rule keeps it", "keep no newer good set has passed a drill", "keep no newer good set has passed a drill", "keep the last good set"}},
		{"frozen and without evidence", retention.Policy{Requires: "decode"},
			[]string{"2026-11-21", "2026-11-22", "2026-11-23 | suspect x"},
			[]string{"keep frozen until 20261123T000000Z is accepted, no newer good set has passed a decode", "keep the last good set", "keep not accepted yet: suspect: x"}},
		{"evidence that nobody asked for changes nothing", retention.Policy{},
			[]string{"2026-11-21 | proven", "2026-11-22"},
			[]string{"remove no rule keeps it", "keep the last good set"}},
		{"without a good set nothing is removed", retention.Policy{Within: day},
			[]string{"2020-01-01 | bad a", "2026-01-01 | bad b", "2026-01-02 | unjudged c"},
			[]string{"keep there is no good set: a", "keep there is no good set: b", "keep cannot be judged: c"}},
		{"what cannot be judged is not good, whatever else is said", retention.Policy{},
			[]string{"2026-01-01", "2026-01-02", "2026-01-03 | unjudged c"},
			[]string{"remove no rule keeps it", "keep the last good set", "keep cannot be judged: c"}},
		{"times are written as in the configuration", retention.Policy{Within: 90 * time.Minute}, []string{"2026-11-23"},
			[]string{"keep the last good set, within 1h30m of the newest good set"}},
		{"years are no limit", retention.Policy{Within: 100000 * day}, []string{"1999-01-01", "2026-11-23"},
			[]string{"keep within 100000d of the newest good set", "keep the last good set, within 100000d of the newest good set"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			list := items(t, c.sets...)
			if c.name == "what cannot be judged is not good, whatever else is said" {
				list[2].Good = true
			}
			got := retention.Apply(c.policy, list)
			if len(got) != len(c.want) {
				t.Fatalf("%d decisions about %d sets", len(got), len(list))
			}
			for i, d := range got {
				_, text, _ := strings.Cut(show(d), "  ")
				if text = strings.Replace(text, "  ", " ", 1); text != c.want[i] {
					t.Errorf("%s:\ngot  %s\nwant %s", list[i].ID, text, c.want[i])
				}
			}
		})
	}
}

// Promise: slots are those of UTC, wherever the time was written down.
func TestZones(t *testing.T) {
	list := items(t, "2026-11-22 23:30", "2026-11-23 00:30")
	for i := range list {
		list[i].Time = list[i].Time.In(time.FixedZone("", 5*3600))
	}
	for _, d := range retention.Apply(retention.Policy{Daily: 2}, list) {
		if !d.Keep || !slices.Contains(d.Reasons, "daily "+d.Item.Time.UTC().Format("2006-01-02")) {
			t.Error(show(d))
		}
	}
}

func ExampleApply() {
	newest := time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC)
	var items []retention.Item
	for age := range 4 {
		moment := newest.AddDate(0, 0, -age)
		items = append(items, retention.Item{ID: moment.Format("20060102T150405Z"), Time: moment, Good: age != 1, Why: "failed drill"})
	}
	for _, d := range retention.Apply(retention.Policy{Daily: 2}, items) {
		fmt.Println(d.Item.ID, d.Keep, d.Reasons)
	}
	// Output:
	// 20261123T020000Z true [the last good set daily 2026-11-23]
	// 20261122T020000Z false [not good and older than the newest good set: failed drill]
	// 20261121T020000Z true [daily 2026-11-21]
	// 20261120T020000Z false [no rule keeps it]
}
