package main

import (
	"strings"
	"testing"
	"time"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/ui"
)

// Promise: the list sums up each kind by its newest good set, and draws a day by the
// best that was made on it; in a pipe there are only the sets.
func TestListedGroups(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.Local)
	set := func(kind catalog.Kind, database string, daysAgo int, good, suspect bool) listedSet {
		started := now.AddDate(0, 0, -daysAgo).Add(-2 * time.Hour)
		group := catalog.Group{Kind: kind, Database: database}
		return listedSet{
			Set: group.String() + "/" + string(catalog.NewID(started)), Kind: kind, Database: database, Bytes: 1 << 20,
			Started: started, AgeSeconds: int64(now.Sub(started).Seconds()), Good: good, Suspect: suspect,
		}
	}
	groups := listedGroups([]listedSet{
		set(catalog.KindDatabase, "forge", 0, false, true),
		set(catalog.KindDatabase, "forge", 1, false, false),
		set(catalog.KindDatabase, "forge", 1, true, false),
		set(catalog.KindDatabase, "forge", 2, false, false),
		set(catalog.KindDatabase, "forge", 30, true, false),
		set(catalog.KindDatabase, "forge", 31, true, false),
		set(catalog.KindMedia, "", 0, true, false),
		set(catalog.KindFull, "", 3, false, false),
	}, now, 25*time.Hour)

	var out strings.Builder
	s := &ui.Streams{Out: &out}
	if err := groupsTable(s, groups); err != nil || out.Len() > 0 {
		t.Errorf("in a pipe: %q, %v", out.String(), err)
	}
	s.OutTTY = true
	if err := groupsTable(s, groups); err != nil {
		t.Fatal(err)
	}
	const want = `GROUP  SETS      SIZE   NEWEST GOOD  PROMISED  LAST MONTH, TO TODAY
forge     6  6.00 MiB  26h, too old       25h  #...........................x#?
media     1  1.00 MiB            2h       25h  ..............................#
full      1  1.00 MiB          none       25h  ...........................x...
one cell a day, by its best set: # good  ? suspect  x failed  . no set
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
	if g := groups[2]; g.Kept || g.Newest != "" || g.AgeSeconds != nil {
		t.Errorf("a group without a good set: %+v", g)
	}
	if g := groups[1]; !g.Kept || *g.AgeSeconds != 7200 || len(g.Days) != monthDays || g.Days[monthDays-1] != (listedDay{"2026-11-23", dayGood}) {
		t.Errorf("a good group: %+v", g)
	}
	if g := listedGroups(nil, now, 0); g == nil || len(g) > 0 {
		t.Error("no groups are an empty list")
	}
}
