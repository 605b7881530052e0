package provenance

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/bmad-forge/forgectl/pkg/catalog"
)

// Stranger says that a set was taken from another server than the good sets around it: an exchange that no signature
// shows when both servers' keys count. "" when there is nothing to say. group are the sets of its group, oldest first;
// the set itself may be among them.
//
// The nearest good sets before and after are asked, not all: a server that was replaced is strange once, until its
// second set, and what it had before stays as it is.
func Stranger(s catalog.Set, group []catalog.Set) string {
	at, _ := slices.BinarySearchFunc(group, s.ID, func(o catalog.Set, id catalog.ID) int { return cmp.Compare(o.ID, id) })
	usable := func(o catalog.Set) bool {
		good, _ := o.Good()
		return good && o.ID != s.ID && identifier(o) != ""
	}
	var before, after *catalog.Set
	for i := at - 1; i >= 0 && before == nil; i-- {
		if usable(group[i]) {
			before = &group[i]
		}
	}
	for i := at; i < len(group) && after == nil; i++ {
		if usable(group[i]) {
			after = &group[i]
		}
	}
	own := identifier(s)
	switch {
	case own == "", before == nil && after == nil,
		before != nil && identifier(*before) == own, after != nil && identifier(*after) == own:
		return ""
	case before == nil:
		return strange(s, *after, "the good set after it")
	case after != nil && identifier(*before) == identifier(*after):
		return strange(s, *before, "the good sets around it")
	}
	return strange(s, *before, "the good set before it")
}

func strange(s, other catalog.Set, where string) string {
	return fmt.Sprintf("it was taken from server %s, but %s from server %s: it may have been exchanged", server(s), where, server(other))
}

func identifier(s catalog.Set) string {
	if s.Manifest == nil || s.Manifest.Source == nil {
		return ""
	}
	return s.Manifest.Source.SystemIdentifier
}

// server names the cluster, and the machine that wrote the set.
func server(s catalog.Set) string {
	return fmt.Sprintf("%s (set of %s)", identifier(s), s.Manifest.Host)
}
