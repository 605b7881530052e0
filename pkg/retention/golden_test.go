package retention_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bmad-forge/forgectl/pkg/retention"
)

var update = flag.Bool("update", false, "write the golden files")

// year is a set each night of 2026, as life is: a few minutes early or late, two weeks without any, a day with three,
// failures now and then and at the end, and sets that somebody said something about.
// In spring everything was drilled once a week.
func year(suspect bool) []retention.Item {
	var list []retention.Item
	add := func(moment time.Time) {
		list = append(list, retention.Item{ID: moment.Format("20060102T150405Z"), Time: moment, Good: true})
	}
	for n := range 365 {
		night := time.Date(2026, 1, 1, 2, 0, (n*37)%240, 0, time.UTC).AddDate(0, 0, n)
		if night.Month() == time.March && night.Day() >= 10 && night.Day() < 24 {
			continue // the disk was full
		}
		add(night)
		item := &list[len(list)-1]
		item.Proven = night.Weekday() == time.Sunday && night.Month() >= time.April && night.Month() < time.July
		switch night.Format("01-02") {
		case "05-04":
			item.Pinned, item.PinReason = true, "before the migration"
		case "06-15":
			if suspect {
				item.Good, item.Suspect, item.Why = false, true, "suspect: half the rows"
			}
		case "07-01":
			item.NeededBy = []string{"full/20260701T015900Z"}
		case "08-10":
			item.Good, item.Unjudged, item.Why = false, true, "made by a newer forgectl"
		case "10-18":
			add(night.Add(8 * time.Hour))
			add(night.Add(16 * time.Hour))
		case "12-30", "12-31":
			item.Good, item.Why = false, "failed drill check of "+night.Add(time.Hour).Format(time.RFC3339)
		default:
			if n%23 == 7 {
				item.Good, item.Why = false, "size mismatch in 20-data.dump.zst.gpg"
			}
		}
	}
	return list
}

// Promise: what is kept of a year, and why, changes only when somebody means it to: go test ./pkg/retention -update.
func TestGolden(t *testing.T) {
	frugal := retention.Policy{Daily: 7, Weekly: 5, Min: 1}
	drilled := frugal
	drilled.Requires = "drill"
	for _, c := range []struct {
		name    string
		policy  retention.Policy
		suspect bool
	}{
		{"default", retention.Policy{Within: 30 * day, Daily: 7, Weekly: 8, Monthly: 12, Min: 1}, false},
		{"thirty-days", retention.Policy{Within: 30 * day, Min: 1}, false},
		{"grandfather", retention.Policy{Daily: 7, Weekly: 5, Monthly: 12, Yearly: 10, Min: 3}, false},
		{"last-ten", retention.Policy{Last: 10, Min: 1}, false},
		{"nothing", retention.Policy{}, false},
		{"frozen", frugal, true},
		{"drilled", drilled, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var b strings.Builder
			decisions := retention.Apply(c.policy, year(c.suspect))
			fmt.Fprintf(&b, "# %+v\n# %d of %d sets stay\n", c.policy, len(kept(decisions)), len(decisions))
			for _, d := range decisions {
				fmt.Fprintln(&b, show(d))
			}
			file := filepath.Join("testdata", c.name+".golden")
			if *update {
				if err := os.MkdirAll("testdata", 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(string(want), "\n")
			for i, line := range strings.Split(b.String(), "\n") {
				if i >= len(lines) || line != lines[i] {
					t.Fatalf("line %d of %s: %s", i+1, file, line)
				}
			}
			if b.String() != string(want) {
				t.Errorf("%s is longer", file)
			}
		})
	}
}
