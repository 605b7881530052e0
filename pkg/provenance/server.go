package provenance

import (
	"fmt"

	"github.com/bmad-forge/forgectl/pkg/catalog"
)

// Stranger says that a set was taken from another server than the good sets around it: an exchange that no signature
// shows when both servers' keys count. "" when there is nothing to say. group are the sets of its group, oldest first;
// the set itself may be among them.
//
// The nearest good sets before and after are asked, not all: a server that was replaced is strange once, until its
// second set, and what it had before stays as it is.
func Stranger(s catalog.Set, group []catalog.Set) string {
	if identifier(s) == "" {
		return ""
	}
	var before, after *catalog.Set
	for i := range group {
		o := &group[i]
		if good, _ := o.Good(); !good || o.Ref == s.Ref || identifier(*o) == "" {
			continue
		}
		switch {
		case o.ID < s.ID:
			before = o
		case after == nil:
			after = o
		}
	}
	other, where := before, "the good set before it"
	if after != nil {
		other, where = after, "the good set after it"
	}
	if before != nil && after != nil {
		other, where = before, "the good sets around it"
		if identifier(*before) != identifier(*after) {
			where = "the good set before it"
		}
	}
	for _, near := range []*catalog.Set{before, after} {
		if near != nil && identifier(*near) == identifier(s) {
			return ""
		}
	}
	if other == nil {
		return ""
	}
	return fmt.Sprintf("it was taken from server %s, but %s from server %s: it may have been exchanged", server(s), where, server(*other))
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
