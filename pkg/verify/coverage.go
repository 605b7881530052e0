package verify

import (
	"hash/fnv"
	"math"
	"slices"
	"time"

	"github.com/bmad-forge/forgectl/pkg/catalog"
)

// partOf deals a path to its part. It is the same for every set and host.
func partOf(path string) int {
	h := fnv.New64a()
	_, _ = h.Write([]byte(path))
	sum := h.Sum64()
	return int((sum ^ sum>>16 ^ sum>>32 ^ sum>>48) % catalog.TreeParts)
}

// Covered is the share of a tree, from 0 to 1, whose files were hashed since a time by verifies of its group.
func Covered(sets []catalog.Set, since time.Time) float64 {
	n := 0
	for _, at := range catalog.HashedBy(sets) {
		if !at.IsZero() && !at.Before(since) {
			n++
		}
	}
	return float64(n) / catalog.TreeParts
}

// longestUnread chooses the share of the parts that nobody has looked at for longest.
func longestUnread(h *catalog.Hashed, share float64) (chosen [catalog.TreeParts]bool) {
	parts := make([]int, catalog.TreeParts)
	for i := range parts {
		parts[i] = i
	}
	slices.SortStableFunc(parts, func(a, b int) int { return h[a].Compare(h[b]) })
	for _, part := range parts[:int(math.Ceil(share*catalog.TreeParts))] {
		chosen[part] = true
	}
	return chosen
}
