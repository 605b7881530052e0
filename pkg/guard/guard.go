// Package guard notices a set that holds much less than the ones before it.
//
// A backup of a database that somebody has emptied is a faultless backup. Every
// check of it passes, it becomes the newest good set, and by its age the
// retention begins to remove those that still hold the data. The guard compares
// what a set holds with the median of those before it; what fell by more than a
// limit makes the set suspect, until somebody says that it is right.
//
// The rule is a pure function over named quantities, for sets of any kind: rows,
// files and bytes of the whole, and rows or files of its parts.
package guard

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Unit is what a quantity counts.
type Unit string

// The units.
const (
	Rows  Unit = "rows"
	Files Unit = "files"
	Bytes Unit = "bytes"
)

// Key names a quantity.
type Key struct {
	Unit Unit
	Part string // a table, say, or a directory; "" is the whole set
}

// Measures is what one set holds. A unit whose whole is absent was not counted in that set, and nothing is said about
// it. Where it was counted, a part that is absent is not there: it is 0.
type Measures map[Key]int64

// Unmeasured is the value of a part that is there, and that nobody has counted.
const Unmeasured = -1

// Sets is how many earlier sets a new one is compared with, at most. A week of nights forgives a bad one.
const Sets = 7

// least is what a part must have had to be looked at: in what is small, much changes for no reason.
const least = 1000

// Fall is a quantity that fell by more than it may.
type Fall struct {
	Key
	Before, Now int64 // Before is the median
}

// lost is the share that is gone.
func (f Fall) lost() float64 { return 1 - float64(f.Now)/float64(f.Before) }

// Compare finds what fell by more than so many percent: the whole first, then the parts, of which the worst come
// first. earlier are the good sets before, newest first. At 0 percent there is no guard; without an earlier set nothing
// falls.
//
// The newest of them was believed, by this rule or by somebody who accepted it. So those that it has fallen from itself
// are no measure any more: otherwise whoever accepts a set would have to accept the next ones as well.
func Compare(percent int, earlier []Measures, now Measures) []Fall {
	if percent <= 0 || len(earlier) == 0 {
		return nil
	}
	earlier = earlier[:min(len(earlier), Sets)]
	newest := earlier[0]
	earlier = slices.DeleteFunc(slices.Clone(earlier), func(m Measures) bool {
		return len(fallen(percent, []Measures{m}, newest)) > 0
	})
	return fallen(percent, earlier, now)
}

func fallen(percent int, earlier []Measures, now Measures) []Fall {
	keys := map[Key]bool{}
	for _, m := range earlier {
		for k := range m {
			keys[k] = true
		}
	}
	var falls []Fall
	for k := range keys {
		f := Fall{Key: k}
		var measured bool
		if f.Now, measured = now.of(k); !measured {
			continue
		}
		if f.Before, measured = median(earlier, k); !measured || k.Part != "" && f.Before <= least {
			continue
		}
		if f.Before > 0 && float64(f.Before-f.Now)*100 > float64(percent)*float64(f.Before) {
			falls = append(falls, f)
		}
	}
	slices.SortFunc(falls, compareFalls)
	return falls
}

// compareFalls puts the whole before the parts, rows before bytes, and what lost most before the rest.
func compareFalls(a, b Fall) int {
	switch {
	case a.Part == "" && b.Part == "":
		return strings.Compare(string(b.Unit), string(a.Unit))
	case a.Part == "":
		return -1
	case b.Part == "":
		return 1
	}
	return cmp.Or(cmp.Compare(b.lost(), a.lost()), cmp.Compare(b.Before, a.Before), strings.Compare(a.Part, b.Part))
}

// of is a quantity, and whether it is known.
func (m Measures) of(k Key) (n int64, measured bool) {
	if _, counted := m[Key{Unit: k.Unit}]; !counted {
		return 0, false
	}
	return m[k], m[k] != Unmeasured
}

// median is that of the sets that know the quantity; of an even number the lower of the two in the middle, which is
// what one of them really had.
func median(sets []Measures, k Key) (n int64, measured bool) {
	var known []int64
	for _, m := range sets {
		if n, measured := m.of(k); measured {
			known = append(known, n)
		}
	}
	if len(known) == 0 {
		return 0, false
	}
	slices.Sort(known)
	return known[(len(known)-1)/2], true
}

// named is how many parts a reason names: a screen is not to be filled by a dropped schema.
const named = 5

// Reason says what fell, for people: "rows fell from 3204 to 12, public.event from 2000 rows to 0, and 3 more".
func Reason(falls []Fall) string {
	var texts []string
	parts := 0
	for _, f := range falls {
		if f.Part != "" {
			if parts++; parts > named {
				continue
			}
		}
		texts = append(texts, f.String())
	}
	if parts > named {
		texts = append(texts, fmt.Sprintf("and %d more", parts-named))
	}
	return strings.Replace(strings.Join(texts, ", "), " from ", " fell from ", 1)
}

// String is "rows from 3204 to 12", or "public.event from 2000 rows to 0".
func (f Fall) String() string {
	before, now := fmt.Sprint(f.Before), fmt.Sprint(f.Now)
	if f.Unit == Bytes {
		before, now = size(f.Before), size(f.Now)
	}
	switch {
	case f.Part == "" && f.Unit == Bytes:
		return fmt.Sprintf("data from %s to %s", before, now)
	case f.Part == "":
		return fmt.Sprintf("%s from %s to %s", f.Unit, before, now)
	case f.Unit == Bytes:
		return fmt.Sprintf("%s from %s to %s", f.Part, before, now)
	}
	return fmt.Sprintf("%s from %s %s to %s", f.Part, before, f.Unit, now)
}

// size is a number of bytes for people.
func size(n int64) string {
	f, unit := float64(n), "B"
	for _, next := range []string{"KiB", "MiB", "GiB", "TiB", "PiB"} {
		if f < 1024 {
			break
		}
		f, unit = f/1024, next
	}
	if unit == "B" {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", f, unit)
}
