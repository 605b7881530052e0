// Package suggest finds the name that somebody most likely meant who wrote another
// one: a key of the configuration, a table. It only compares texts, so that it may
// be asked about names of any kind. Where nothing known is near it has no answer,
// since a wrong suggestion at three in the morning is worse than none.
package suggest

import "strings"

// Nearest finds the known name that somebody who wrote s most likely meant, or "".
func Nearest(s string, known []string) string {
	best, limit := "", 1+len(s)/4
	for _, k := range known {
		if d := editDistance(s, k, limit); d <= limit {
			best, limit = k, d-1
		}
	}
	for _, k := range known {
		if best == "" && len(s) >= 3 && strings.HasPrefix(k, s) {
			return k
		}
	}
	return best
}

// editDistance counts insertions, deletions, replacements and swaps of neighbours between two names. Beyond limit it
// only promises to be greater than limit.
func editDistance(a, b string, limit int) int {
	if len(a)-len(b) > limit || len(b)-len(a) > limit {
		return limit + 1
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			replace := last[j-1]
			if a[i-1] != b[j-1] {
				replace++
			}
			row[j] = min(last[j]+1, row[j-1]+1, replace)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
