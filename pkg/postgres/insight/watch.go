package insight

import (
	"fmt"
	"maps"
	"time"

	"github.com/bmad-forge/forgectl/pkg/remember"
)

// watched is what is remembered of each index, by OID.
type watched map[uint32]sight

// sight is how often an index was scanned since it was first seen, whatever
// became of the server's counter in between.
type sight struct {
	Name  string     `json:"name"`
	Since time.Time  `json:"since"`
	Scans int64      `json:"scans"`
	Last  int64      `json:"last"`            // the counter when it was read last
	Reset *time.Time `json:"reset,omitempty"` // of the statistics at that time
}

// The state of the last run holds everything; a few more let a damaged line be
// survived.
var watchKeep = remember.Keep{Entries: 3}

// watch brings what is remembered up to date. An index that was not there the last
// time is watched since then; one that nobody ever saw, since now.
func (s *Session) watch(r *IndexReport, list []index) watched {
	now := s.o.Now().UTC()
	entries := recall[watched](s, &r.Head, "indexes")
	before, last := watched{}, now
	if n := len(entries); n > 0 {
		before, last = maps.Clone(entries[n-1].Data), entries[n-1].At
	}
	next := watched{}
	reset := false
	for _, x := range list {
		old, known := before[x.OID]
		if !known || old.Name != x.Name {
			next[x.OID] = sight{Name: x.Name, Since: last, Scans: x.Scans, Last: x.Scans, Reset: r.StatisticsSince}
			if len(entries) == 0 {
				next[x.OID] = sight{Name: x.Name, Since: now, Scans: x.Scans, Last: x.Scans, Reset: r.StatisticsSince}
			}
			continue
		}
		gained := x.Scans - old.Last
		if gained < 0 || !sameTime(old.Reset, r.StatisticsSince) {
			reset = true
			gained = x.Scans
		}
		next[x.OID] = sight{Name: x.Name, Since: old.Since, Scans: old.Scans + gained, Last: x.Scans, Reset: r.StatisticsSince}
	}
	if reset {
		r.note("the statistics were reset since %s: scans from before are known, those between the last look and the reset are not", last.Format(time.DateTime))
	}
	return next
}

func sameTime(a, b *time.Time) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Equal(*b)
}

func (w watched) annotate(f *IndexFinding, oid uint32) {
	if seen, ok := w[oid]; ok {
		since := seen.Since
		f.Scans, f.WatchedSince = seen.Scans, &since
	}
}

// unused are indexes that nothing needs and no query searched.
func (s *Session) unused(list []index, w watched, told []IndexFinding, l IndexLimits) []IndexFinding {
	named := map[string]bool{}
	for _, f := range told {
		named[f.Index] = true
	}
	var found []IndexFinding
	for _, x := range list {
		seen := w[x.OID]
		if x.needed() != "" || x.Unique || !x.Valid || named[x.Name] || seen.Scans > l.UnusedScans {
			continue
		}
		age := s.o.Now().Sub(seen.Since)
		f := x.finding(Unused, "%s since it is watched", scansText(seen.Scans))
		w.annotate(&f, x.OID)
		if age < l.UnusedAfter {
			f.Early = true
			f.Why += ", which is not long enough to tell"
		}
		found = append(found, f)
	}
	return found
}

func scansText(n int64) string {
	switch n {
	case 0:
		return "no scan"
	case 1:
		return "one scan"
	}
	return fmt.Sprintf("%d scans", n)
}
