package catalog_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/bmad-forge/forgectl/pkg/catalog"
)

// An id is the second of the start in UTC, spelled in one way only.
func TestID(t *testing.T) {
	berlin := time.FixedZone("", 3600)
	if got := catalog.NewID(time.Date(2026, 11, 23, 3, 0, 0, 999, berlin)); got != "20261123T020000Z" {
		t.Errorf("NewID: %s", got)
	}
	for s, ok := range map[string]bool{
		"20261123T020000Z": true, "20240229T235959Z": true,
		"": false, "20261123T020000": false, "20261123T020000z": false, "20261123T020000.5Z": false, "20261323T020000Z": false,
		"20230229T000000Z": false, "20261123T020060Z": false, "20261123t020000Z": false, "20261123T020000Z ": false, "2026-11-23T02:00:00Z": false,
		"120261123T020000Z": false, "20261123T020000,5Z": false,
	} {
		id, err := catalog.ParseID(s)
		if (err == nil) != ok || err != nil && !errors.Is(err, catalog.ErrInvalid) {
			t.Errorf("ParseID(%q): %v", s, err)
		}
		if ok && catalog.NewID(id.Time()) != id {
			t.Errorf("%s does not come back", id)
		}
	}
	if !catalog.ID("rubbish").Time().IsZero() {
		t.Error("the time of rubbish")
	}
}

// A set's name comes back from its spelling, whatever the database is called.
func TestRef(t *testing.T) {
	const id = catalog.ID("20261123T020000Z")
	for _, c := range []struct {
		group       catalog.Group
		dir, spells string
	}{
		{forge, "database/bmad_forge", "bmad_forge"},
		{catalog.Group{Kind: catalog.KindMedia}, "media", "media"},
		{catalog.Group{Kind: catalog.KindFull}, "full", "full"},
		{catalog.Group{Kind: catalog.KindDatabase, Database: "media"}, "database/media", "database/media"},
		{catalog.Group{Kind: catalog.KindDatabase, Database: "database"}, "database/database", "database/database"},
		{catalog.Group{Kind: catalog.KindDatabase, Database: "a/b"}, "database/a%2Fb", "a%2Fb"},
		{catalog.Group{Kind: catalog.KindDatabase, Database: ".."}, "database/%2E.", "%2E."},
		{catalog.Group{Kind: catalog.KindDatabase, Database: "database/x"}, "database/database%2Fx", "database%2Fx"},
		{catalog.Group{Kind: catalog.KindDatabase, Database: "Ä b%"}, "database/%C3%84%20b%25", "%C3%84%20b%25"},
		{catalog.Group{Kind: catalog.KindDatabase, Database: strings.Repeat("x", 63)}, "database/" + strings.Repeat("x", 63), strings.Repeat("x", 63)},
	} {
		ref := catalog.Ref{Group: c.group, ID: id}
		if c.group.Dir() != c.dir || c.group.String() != c.spells || ref.Dir() != c.dir+"/"+string(id) || ref.String() != c.spells+"/"+string(id) {
			t.Errorf("%+v: %s, %s, %s, %s", c.group, c.group.Dir(), c.group, ref.Dir(), ref)
		}
		for _, s := range []string{c.group.String(), c.group.Dir()} {
			if got, err := catalog.ParseGroup(s); err != nil || got != c.group {
				t.Errorf("ParseGroup(%q) = %+v, %v", s, got, err)
			}
		}
		for _, s := range []string{ref.String(), ref.Dir()} {
			if got, err := catalog.ParseRef(s); err != nil || got != ref {
				t.Errorf("ParseRef(%q) = %+v, %v", s, got, err)
			}
		}
	}
	for _, s := range []string{"", "20261123T020000Z", "/20261123T020000Z", "x", "x/", "x/20261123", "a/b/20261123T020000Z", "../20261123T020000Z", "%2e/20261123T020000Z",
		"%/20261123T020000Z", "%4/20261123T020000Z", "%41/20261123T020000Z", "database//20261123T020000Z", "a b/20261123T020000Z", "%FF/20261123T020000Z", "%00/20261123T020000Z"} {
		if ref, err := catalog.ParseRef(s); !errors.Is(err, catalog.ErrInvalid) {
			t.Errorf("ParseRef(%q) = %+v, %v", s, ref, err)
		}
	}
}

// Whatever a reference is parsed from, it has exactly one directory and comes back from its own spelling.
func FuzzParseRef(f *testing.F) {
	for _, s := range []string{"bmad_forge/20261123T020000Z", "media/20261123T020000Z", "database/%2E/20261123T020000Z", "%", "//"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ref, err := catalog.ParseRef(s)
		if err != nil {
			return
		}
		again, err := catalog.ParseRef(ref.String())
		if err != nil || again != ref || ref.Validate() != nil {
			t.Errorf("%q: %+v, %+v, %v", s, ref, again, err)
		}
	})
}

// Every name has one safe spelling, and no two have the same.
func FuzzEscapeName(f *testing.F) {
	for _, s := range []string{"bmad_forge", "", ".", "..", "a.b", "%41", "ä", "\x00\xff", "a/b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		esc := catalog.EscapeName(s)
		if strings.ContainsAny(esc, "/\x00 \\") || strings.HasPrefix(esc, ".") {
			t.Errorf("%q becomes %q", s, esc)
		}
		got, err := catalog.UnescapeName(esc)
		if s != "" && (err != nil || got != s) || s == "" && err == nil {
			t.Errorf("%q comes back as %q, %v", s, got, err)
		}
		// And s itself, taken for a spelling, is either that of one name or of none.
		if name, err := catalog.UnescapeName(s); err == nil && catalog.EscapeName(name) != s {
			t.Errorf("%q is a second spelling of %q", s, name)
		}
	})
}
