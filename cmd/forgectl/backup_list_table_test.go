package main

import (
	"strings"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/inventory"
	"github.com/bmad-forge/forgectl/pkg/ui"
)

// Promise: on a terminal each group is drawn with its age next to what was promised, and a cell a day; in a pipe there
// are only the sets.
func TestGroupsTable(t *testing.T) {
	age := func(seconds int64) *int64 { return &seconds }
	days := func(states ...inventory.State) (list []inventory.Day) {
		for _, s := range states {
			list = append(list, inventory.Day{State: s})
		}
		return list
	}
	groups := []inventory.Group{
		{Group: "forge", Sets: 6, Bytes: 6 << 20, Newest: "forge/x", AgeSeconds: age(26 * 3600), Promised: 25 * 3600, Days: days(inventory.None, inventory.Failed, inventory.Good, inventory.Suspect)},
		{Group: "media", Sets: 1, Bytes: 1 << 20, Newest: "media/x", AgeSeconds: age(7200), Promised: 25 * 3600, Kept: true, Days: days(inventory.Good)},
		{Group: "full", Sets: 1, Bytes: 1 << 20, Promised: 25 * 3600, Days: days(inventory.None)},
	}
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
forge     6  6.00 MiB  26h, too old       25h  .x#?
media     1  1.00 MiB            2h       25h  #
full      1  1.00 MiB          none       25h  .
one cell a day, by its best set: # good  ? suspect  x failed  . no set
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

// Promise: nobody is told that something is sealed to nobody when it is not known, or when there is nothing to seal.
func TestSealedIn(t *testing.T) {
	for _, tt := range []struct {
		set  inventory.Set
		want string
	}{
		{inventory.Set{Kind: catalog.KindDatabase}, "unknown"},
		{inventory.Set{Kind: catalog.KindDatabase, Known: true}, "nobody"},
		{inventory.Set{Kind: catalog.KindMedia, Known: true}, "nobody"},
		{inventory.Set{Kind: catalog.KindFull, Known: true}, ""},
		{inventory.Set{Kind: catalog.KindConfig, Known: true, SealedTo: []string{"a", "b"}}, "a, b"},
	} {
		if got := sealedIn(tt.set); got != tt.want {
			t.Errorf("%+v is sealed to %q, want %q", tt.set, got, tt.want)
		}
	}
}
