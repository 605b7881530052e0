package insight

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/bmad-forge/forgectl/pkg/postgres/bloat"
)

// needed says what an index is there for besides being searched; "" is nothing.
// Such an index is never proposed.
func (x index) needed() string {
	switch {
	case x.Primary:
		return "primary key"
	case x.Constraint:
		return "backs a constraint"
	case x.Replica:
		return "replica identity"
	case x.Clustered:
		return "clustered on"
	case x.Partitioned:
		return "spans partitions"
	case x.Attached:
		return "part of an index over partitions"
	case x.Extension:
		return "belongs to an extension"
	case x.Toast:
		return "of TOAST"
	}
	return ""
}

// finding begins a finding about an index that is there.
func (x index) finding(kind, format string, args ...any) IndexFinding {
	return IndexFinding{
		Kind: kind, Index: x.Name, Table: x.Table, Why: fmt.Sprintf(format, args...), Bytes: x.Bytes,
		Scans: x.Scans, LastScan: x.LastScan, Constraint: x.Constraint || x.Primary, Replica: x.Replica,
		SQL: "DROP INDEX CONCURRENTLY " + x.Name + ";", oid: x.OID,
	}
}

// invalid are leftovers of builds that failed.
func invalid(list []index, building map[uint32]bool) []IndexFinding {
	var found []IndexFinding
	for _, x := range list {
		switch {
		case x.Valid || building[x.OID]:
		case x.Partitioned:
			f := x.finding(Invalid, "a partition has no index that belongs to it")
			f.SQL = ""
			found = append(found, f)
		case x.Constraint || x.Primary || x.Replica || x.Attached:
			f := x.finding(Invalid, "not valid, and something relies on it: rebuild it")
			f.SQL, f.Back = "REINDEX INDEX CONCURRENTLY "+x.Name+";", unchanged
			found = append(found, f)
		default:
			found = append(found, x.finding(Invalid, "a build that did not finish: it costs each write and serves no query"))
		}
	}
	return found
}

// place is what a node of a parse tree says of the text it came from.
var place = regexp.MustCompile(`:(?:stmt_)?(?:location|len) -?\d+`)

// redundancy finds indexes that another one of the same table makes superfluous.
// Of two that are the same the one goes that nothing else needs, then the one
// that is used less, then the younger one.
func redundancy(list []index, w watched) []IndexFinding {
	var found []IndexFinding
	for start := 0; start < len(list); {
		end := start
		for end < len(list) && list[end].TableOID == list[start].TableOID {
			end++
		}
		found = append(found, redundantOf(list[start:end], w)...)
		start = end
	}
	return found
}

func redundantOf(list []index, w watched) []IndexFinding {
	var found []IndexFinding
	gone := map[uint32]bool{}
	for _, x := range list {
		if x.needed() != "" || !x.Valid {
			continue
		}
		for _, other := range list {
			if other.OID == x.OID || !other.Valid || gone[other.OID] || other.Partitioned {
				continue
			}
			f, ok := IndexFinding{}, false
			switch {
			case same(x, other) && goesFirst(x, other, w):
				f, ok = x.finding(Duplicate, "the same as %s%s", other.Name, because(other)), true
			case covers(other, x):
				f, ok = x.finding(Covered, "its columns are the first ones of %s", other.Name), true
			}
			if ok {
				w.annotate(&f, x.OID)
				found = append(found, f)
				gone[x.OID] = true
				break
			}
		}
	}
	return found
}

func because(x index) string {
	if why := x.needed(); why != "" {
		return ", which " + map[bool]string{true: "is the ", false: ""}[x.Primary || x.Replica] + why
	}
	return ""
}

// same reports whether other does everything that x does.
func same(x, other index) bool {
	return x.Method == other.Method && x.Keys == other.Keys && slices.Equal(x.Columns, other.Columns) && samePredicate(x, other) &&
		(!x.Unique || other.Unique && x.NullsEqual == other.NullsEqual)
}

func samePredicate(x, other index) bool {
	return place.ReplaceAllString(x.Predicate, "") == place.ReplaceAllString(other.Predicate, "")
}

// goesFirst decides between two that are the same.
func goesFirst(x, other index, w watched) bool {
	switch {
	case other.needed() != "" || other.Unique && !x.Unique:
		return true
	case w[x.OID].Scans != w[other.OID].Scans:
		return w[x.OID].Scans < w[other.OID].Scans
	}
	return x.OID > other.OID
}

// covers reports whether the columns of x are the first ones of other, sorted in
// the same way, and other holds all that x includes. A unique one is a rule.
func covers(other, x index) bool {
	if x.Unique || x.Method != "btree" || other.Method != "btree" || x.Keys > other.Keys || !samePredicate(x, other) ||
		!slices.Equal(x.Columns[:x.Keys], other.Columns[:x.Keys]) || len(x.Columns) >= len(other.Columns) {
		return false
	}
	for _, included := range x.Columns[x.Keys:] {
		if !slices.ContainsFunc(other.Columns, func(c string) bool { return column(c) == column(included) }) {
			return false
		}
	}
	return true
}

// column is which one it is, without how it is sorted.
func column(signature string) string { return strings.Split(signature, " ")[0] }

func bloatText(s bloat.Space) string {
	text := fmt.Sprintf("%.0f %% of it is dead", s.Ratio()*100)
	switch s.How {
	case bloat.Estimate:
		return text + " (estimate)"
	case bloat.FreeMap:
		return "at least " + text + " (free pages)"
	}
	return text + " (" + string(s.How) + ")"
}
