package pgdump

import (
	"slices"
	"testing"
)

// Promise: what is made at the same time locks one table in one way; an index
// that does more, or that needs something else first, waits for its turn.
func TestBuilds(t *testing.T) {
	toc := &TOC{Entries: []Entry{
		{DumpID: 1, Type: "ENCODING"},
		{DumpID: 10, Type: "CONSTRAINT", DependsOn: []int{900}}, // a table: in another archive
		{DumpID: 11, Type: "INDEX", Definition: "CREATE INDEX a ON t (x);\n"},
		{DumpID: 12, Type: "INDEX", Definition: "CREATE INDEX b ON t (y);\n\nALTER TABLE t CLUSTER ON b;\n"},
		{DumpID: 13, Type: "RULE"},
		{DumpID: 14, Type: "INDEX", DependsOn: []int{13}},
		{DumpID: 15, Type: "INDEX", DependsOn: []int{10}},
		{DumpID: 16, Type: "INDEX ATTACH", DependsOn: []int{11, 15}},
		{DumpID: 17, Type: "FK CONSTRAINT", DependsOn: []int{10}},
		{DumpID: 18, Type: "INDEX", DependsOn: []int{12}},
		{DumpID: 19, Type: "MATERIALIZED VIEW DATA"},
	}}
	for _, tt := range []struct{ wanted, builds, rest []int }{
		{nil, []int{10, 11, 15}, []int{1, 12, 13, 14, 16, 17, 18, 19}},
		{[]int{15, 10, 17}, []int{10, 15}, []int{17}},
		{[]int{11}, []int{11}, []int{}},
		{[]int{}, nil, []int{}},
	} {
		builds, rest := toc.builds(tt.wanted)
		if !slices.Equal(builds, tt.builds) || !slices.Equal(rest, tt.rest) || rest == nil {
			t.Errorf("of %v: at once %v, then %v", tt.wanted, builds, rest)
		}
	}
}
