package guard_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/guard"
)

// measures reads "rows=10 bytes=100 event=5 log=?": words with a unit's name are the whole, others rows of a part.
func measures(t testing.TB, text string) guard.Measures {
	t.Helper()
	m := guard.Measures{}
	for _, word := range strings.Fields(text) {
		name, value, _ := strings.Cut(word, "=")
		n := int64(guard.Unmeasured)
		if value != "?" {
			if _, err := fmt.Sscan(value, &n); err != nil {
				t.Fatal(err)
			}
		}
		switch unit := guard.Unit(name); unit {
		case guard.Rows, guard.Files, guard.Bytes:
			m[guard.Key{Unit: unit}] = n
		default:
			m[guard.Key{Unit: guard.Rows, Part: name}] = n
		}
	}
	return m
}

// Promise: what fell by more than the limit below the median is found and named, and nothing else.
func TestCompare(t *testing.T) {
	for _, c := range []struct {
		name    string
		percent int
		earlier []string
		now     string
		want    string
	}{
		{"the first set", 50, nil, "rows=0 bytes=0", ""},
		{"the same", 50, []string{"rows=10 bytes=100"}, "rows=10 bytes=100", ""},
		{"more", 50, []string{"rows=10 bytes=100"}, "rows=1000 bytes=10000", ""},
		{"exactly the limit", 50, []string{"rows=100 bytes=100"}, "rows=50 bytes=50", ""},
		{"more than the limit", 50, []string{"rows=100 bytes=2048"}, "rows=49 bytes=1023", "rows fell from 100 to 49, data from 2.0 KiB to 1023 B"},
		{"another limit", 10, []string{"rows=100"}, "rows=89", "rows fell from 100 to 89"},
		{"everything is gone", 99, []string{"rows=100 bytes=100"}, "rows=0 bytes=0", "rows fell from 100 to 0, data from 100 B to 0 B"},
		{"no guard", 0, []string{"rows=100"}, "rows=0", ""},
		{"there was nothing", 50, []string{"rows=0 bytes=0"}, "rows=0 bytes=0", ""},
		{"the median forgives one bad night", 50, []string{"rows=100", "rows=9", "rows=110"}, "rows=60", ""},
		{"and one fat one", 50, []string{"rows=100", "rows=900", "rows=110"}, "rows=60", ""},
		{"what was believed is the measure, not what it fell from", 50, []string{"rows=40", "rows=100", "rows=100", "rows=100"}, "rows=39", ""},
		{"in every quantity", 50, []string{"rows=9000", "rows=9500 event=2000", "rows=9500 event=2000"}, "rows=9000", ""},
		{"and it is a measure", 50, []string{"rows=40", "rows=100", "rows=100", "rows=100"}, "rows=19", "rows fell from 40 to 19"},
		{"twice a little less is not believed", 50, []string{"rows=51", "rows=100", "rows=100"}, "rows=49", "rows fell from 100 to 49"},
		{"what came back counts again", 50, []string{"rows=100", "rows=40", "rows=100"}, "rows=49", "rows fell from 100 to 49"},
		{"seven sets count", 50, []string{"rows=50", "rows=50", "rows=50", "rows=50", "rows=100", "rows=100", "rows=100", "rows=100", "rows=100", "rows=100"}, "rows=26", ""},
		{"of two the lower", 50, []string{"rows=1000", "rows=10"}, "rows=6", ""},
		{"without rows only bytes", 50, []string{"rows=100 bytes=1000"}, "bytes=10", "data fell from 1000 B to 10 B"},
		{"rows that only some sets have", 50, []string{"bytes=1000", "bytes=1000", "rows=100 bytes=1000"}, "rows=10 bytes=900", "rows fell from 100 to 10"},
		{"rows that no set has", 50, []string{"bytes=1000"}, "rows=10 bytes=900", ""},
		{"files", 50, []string{"files=100"}, "files=10", "files fell from 100 to 10"},
		{"a table is gone, the whole is not", 50, []string{"rows=9000 event=2000"}, "rows=7000", "event fell from 2000 rows to 0"},
		{"small tables say nothing", 50, []string{"rows=9000 event=1000"}, "rows=8000", ""},
		{"a new table", 50, []string{"rows=9000"}, "rows=9000 event=2000", ""},
		{"a table that most sets do not have", 50, []string{"rows=9000", "rows=9000", "rows=9000 event=2000"}, "rows=9000", ""},
		{"a table that nobody counted now", 50, []string{"rows=9000 event=2000"}, "rows=9000 event=?", ""},
		{"a table that nobody counted then", 50, []string{"rows=9000 event=?", "rows=9000 event=3000"}, "rows=9000 event=2", "event fell from 3000 rows to 2"},
		{"without rows a table is not gone", 50, []string{"rows=9000 event=2000 bytes=100"}, "bytes=100", ""},
		{"the worst first, the largest before the others", 50, []string{"rows=90000 a=2000 b=2000 c=3000 d=2000"}, "rows=80000 a=900 b=800",
			"c fell from 3000 rows to 0, d from 2000 rows to 0, b from 2000 rows to 800, a from 2000 rows to 900"},
		{"a handful", 50, []string{"rows=90000 a=2000 b=2001 c=2002 d=2003 e=2004 f=2005 g=2006"}, "rows=10",
			"rows fell from 90000 to 10, g from 2006 rows to 0, f from 2005 rows to 0, e from 2004 rows to 0, d from 2003 rows to 0, c from 2002 rows to 0, and 2 more"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var earlier []guard.Measures
			for _, text := range c.earlier {
				earlier = append(earlier, measures(t, text))
			}
			if got := guard.Reason(guard.Compare(c.percent, earlier, measures(t, c.now))); got != c.want {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}

// Promise: what is found fell by more than the limit; a set that holds more falls no more; what holds as much as the
// newest good one is never suspect; and of the earlier sets only the newest has a place of its own.
func TestCompareProperties(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	some := func() guard.Measures {
		m := guard.Measures{{Unit: guard.Bytes}: random.Int64N(5000)}
		if random.IntN(4) > 0 {
			m[guard.Key{Unit: guard.Rows}] = random.Int64N(9000)
		}
		for _, part := range "abc" {
			if random.IntN(3) > 0 {
				m[guard.Key{Unit: guard.Rows, Part: string(part)}] = random.Int64N(5000) - 1
			}
		}
		return m
	}
	for range 5_000 {
		var earlier []guard.Measures
		for range random.IntN(8) {
			earlier = append(earlier, some())
		}
		now, percent := some(), random.IntN(100)
		found := guard.Compare(percent, earlier, now)
		if len(earlier) > 1 {
			rest := earlier[1:]
			random.Shuffle(len(rest), func(a, b int) { rest[a], rest[b] = rest[b], rest[a] })
			if again := guard.Compare(percent, earlier, earlier[0]); len(again) > 0 {
				t.Fatalf("the same once more is suspect: %v", again)
			}
		}
		if again := guard.Compare(percent, earlier, now); !slices.Equal(found, again) {
			t.Fatalf("%v, in another order %v", found, again)
		}
		more := guard.Measures{}
		for k, n := range now {
			more[k] = n
			if n != guard.Unmeasured {
				more[k] += random.Int64N(3) * 1000
			}
		}
		for _, f := range found {
			if (f.Before-f.Now)*100 <= int64(percent)*f.Before {
				t.Fatalf("%v at %d percent", f, percent)
			}
		}
		for _, f := range guard.Compare(percent, earlier, more) {
			if !slices.ContainsFunc(found, func(o guard.Fall) bool { return o.Key == f.Key }) {
				t.Fatalf("%v fell only when there was more: %v", f, found)
			}
		}
	}
}

func ExampleCompare() {
	rows, events := guard.Key{Unit: guard.Rows}, guard.Key{Unit: guard.Rows, Part: "public.event"}
	earlier := []guard.Measures{{rows: 147744, events: 120000}, {rows: 147690, events: 119950}}
	falls := guard.Compare(50, earlier, guard.Measures{rows: 27744})
	fmt.Println(guard.Reason(falls))
	// Output: rows fell from 147690 to 27744, public.event from 119950 rows to 0
}
