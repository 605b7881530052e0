package verify

import (
	"hash/fnv"
	"math"
	"slices"
	"time"

	"github.com/bmad-forge/forgectl/pkg/catalog"
)

// coverage is when each part of a tree was hashed last; zero: never, as far as anybody knows.
type coverage [catalog.TreeParts]time.Time

// partOf deals a path to its part. It is the same for every set and host.
func partOf(path string) int {
	h := fnv.New64a()
	_, _ = h.Write([]byte(path))
	sum := h.Sum64()
	return int((sum ^ sum>>16 ^ sum>>32 ^ sum>>48) % catalog.TreeParts)
}

// coverageOf joins what the checks of a group say. A file that has not changed is the same file in each set, so what
// was read in one night counts for all of them.
func coverageOf(sets []catalog.Set) *coverage {
	c := new(coverage)
	for _, s := range sets {
		for _, k := range s.Checks {
			for _, r := range k.Coverage {
				for part := max(r.From, 0); part < min(r.To, catalog.TreeParts); part++ {
					if r.Time.After(c[part]) {
						c[part] = r.Time
					}
				}
			}
		}
	}
	return c
}

// Covered is the share of a tree, from 0 to 1, whose files were hashed since a time by verifies of its group.
func Covered(sets []catalog.Set, since time.Time) float64 {
	n := 0
	for _, at := range coverageOf(sets) {
		if !at.IsZero() && !at.Before(since) {
			n++
		}
	}
	return float64(n) / catalog.TreeParts
}

// next chooses the share of the parts that nobody has looked at for longest.
func (c *coverage) next(share float64) (chosen [catalog.TreeParts]bool) {
	parts := make([]int, catalog.TreeParts)
	for i := range parts {
		parts[i] = i
	}
	slices.SortStableFunc(parts, func(a, b int) int { return c[a].Compare(c[b]) })
	for _, part := range parts[:int(math.Ceil(share*catalog.TreeParts))] {
		chosen[part] = true
	}
	return chosen
}

// ranges is the coverage as it is recorded.
func (c *coverage) ranges() (all []catalog.Coverage) {
	for part := 0; part < catalog.TreeParts; {
		end := part + 1
		for end < catalog.TreeParts && c[end].Equal(c[part]) {
			end++
		}
		if !c[part].IsZero() {
			all = append(all, catalog.Coverage{From: part, To: end, Time: c[part].UTC()})
		}
		part = end
	}
	return all
}
