package inventory

import (
	"testing"
	"time"

	"github.com/bmad-forge/forgectl/pkg/catalog"
)

// Promise: each kind and database is summed up by its newest good set, and a day by the best that was made on it; a
// promise without a good set is not kept, and a set from the future keeps none.
func TestGroups(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.Local)
	set := func(kind catalog.Kind, database string, daysAgo int, good, suspect bool) Set {
		started := now.AddDate(0, 0, -daysAgo).Add(-2 * time.Hour)
		group := catalog.Group{Kind: kind, Database: database}
		return Set{
			Set: group.String() + "/" + string(catalog.NewID(started)), Kind: kind, Database: database, Bytes: 1 << 20,
			Started: started, AgeSeconds: int64(now.Sub(started).Seconds()), Good: good, Suspect: suspect,
		}
	}
	all := groups([]Set{
		set(catalog.KindDatabase, "forge", 0, false, true),
		set(catalog.KindDatabase, "forge", 1, false, false),
		set(catalog.KindDatabase, "forge", 1, true, false),
		set(catalog.KindDatabase, "forge", 2, false, false),
		set(catalog.KindDatabase, "forge", 30, true, false),
		set(catalog.KindDatabase, "forge", 31, true, false),
		set(catalog.KindMedia, "", 0, true, false),
		set(catalog.KindFull, "", 3, false, false),
		set(catalog.KindConfig, "", -9, true, false),
	}, now, 25*time.Hour)
	if len(all) != 4 {
		t.Fatalf("%d groups: %+v", len(all), all)
	}
	forge := all[0]
	if forge.Sets != 6 || forge.Bytes != 6<<20 || *forge.AgeSeconds != 26*3600 || forge.Kept {
		t.Errorf("its newest good set is older than promised: %+v", forge)
	}
	for i, want := range map[int]State{30: Suspect, 29: Good, 28: Failed, 27: None, 0: Good} {
		if got := forge.Days[i].State; got != want {
			t.Errorf("day %s is %s, want %s", forge.Days[i].Day, got, want)
		}
	}
	if g := all[1]; !g.Kept || *g.AgeSeconds != 7200 || len(g.Days) != MonthDays || g.Days[MonthDays-1] != (Day{"2026-11-23", Good}) {
		t.Errorf("a good group: %+v", g)
	}
	if g := all[2]; g.Kept || g.Newest != "" || g.AgeSeconds != nil {
		t.Errorf("a group without a good set: %+v", g)
	}
	if g := all[3]; g.Kept {
		t.Errorf("a set from the future keeps a promise: %+v", g)
	}
	if none := groups(nil, now, 0); none == nil {
		t.Error("no groups are an empty list")
	}
}
