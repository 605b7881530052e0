package backup

import (
	"context"
	"slices"
	"strings"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/guard"
	"github.com/bmad-forge/forgectl/pkg/postgres/dumpset"
)

// judge marks the draft as suspect when it holds much less than the sets before
// it. The mark is published with the set, in the same step: no kill leaves one
// that passes for good, and whoever lists sets later needs neither the limit nor
// the sets that it was compared with, which may be gone by then.
func (r *databaseRun) judge(ctx context.Context) error {
	return judge(ctx, r.draft, r.Shrink, r.earlier, &r.manifest, measures)
}

// judge does so for sets of any kind; measure says what a manifest's set holds. earlier are oldest first.
func judge(ctx context.Context, draft *catalog.Draft, percent int, sets []catalog.Set, m *catalog.Manifest, measure func(*catalog.Manifest) guard.Measures) error {
	var earlier []guard.Measures
	for _, s := range slices.Backward(sets) {
		if good, _ := s.Good(); good && len(earlier) < guard.Sets {
			earlier = append(earlier, measure(s.Manifest))
		}
	}
	falls := guard.Compare(percent, earlier, measure(m))
	if len(falls) == 0 {
		return nil
	}
	return draft.Mark(ctx, catalog.Check{What: catalog.CheckSuspect, Reason: guard.Reason(falls)})
}

// measures is what a set of a database holds: the bytes of its data before
// compression and, where they were counted, the rows of all tables and of each.
func measures(m *catalog.Manifest) guard.Measures {
	all := guard.Measures{}
	for _, a := range m.Artifacts {
		if strings.HasPrefix(a.Name, dumpset.DataPrefix) {
			all[guard.Key{Unit: guard.Bytes}] += a.RawBytes
		}
	}
	if m.Fingerprint == nil || m.Fingerprint.Level == catalog.FingerprintNone {
		return all
	}
	all[guard.Key{Unit: guard.Rows}] = m.Fingerprint.Rows()
	for _, t := range m.Fingerprint.Tables {
		all[guard.Key{Unit: guard.Rows, Part: t.Schema + "." + t.Name}] = t.Rows
	}
	return all
}
