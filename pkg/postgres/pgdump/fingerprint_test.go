package pgdump

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
)

// Promise: Compare names each difference, and only differences.
func TestCompare(t *testing.T) {
	t.Parallel()
	source := scratchtest.Database(t, scratchtest.Middling, `CREATE SEQUENCE up START 10; SELECT nextval('up'); CREATE SEQUENCE fresh START 10`)
	d := dump(t, source, catalog.FingerprintFull)
	counts := *d.fingerprint
	counts.Level, counts.Tables = catalog.FingerprintCounts, slices.Clone(counts.Tables)
	for i := range counts.Tables {
		counts.Tables[i].Hash = ""
	}
	for _, c := range []struct {
		name, sql    string
		says         string // of the one difference; "" none
		fullOnly     bool
		alsoSequence bool // the table's own
	}{
		{name: "nothing"},
		{name: "missing table", sql: "DROP TABLE empty_table", says: `table "public"."empty_table" is missing`},
		{name: "missing schema", sql: "DROP SCHEMA reporting CASCADE"}, // of views only
		{name: "extra table", sql: `CREATE TABLE "Extra" ()`, says: `table "public"."Extra" is not in the backup`},
		{name: "extra unlogged table", sql: `CREATE UNLOGGED TABLE scribble (id serial)`},
		{name: "extra partition", sql: "CREATE TABLE event_2027 PARTITION OF event FOR VALUES FROM ('2027-01-01') TO ('2028-01-01')", says: `table "public"."event_2027" is not in the backup`},
		{name: "one row less", sql: "DELETE FROM forge_document WHERE id = 2000", says: `table "public"."forge_document" has 1999 rows, not 2000`},
		{name: "one row more", sql: "INSERT INTO no_columns DEFAULT VALUES", says: `table "public"."no_columns" has 1 rows, not 0`},
		{name: "changed value", sql: "UPDATE forge_document SET price = price + 0.01 WHERE id = 77", says: `table "public"."forge_document" has other content in its 2000 rows`, fullOnly: true},
		{name: "null for empty", sql: `UPDATE "Odd ""name"", with everything" SET "Column A" = '' WHERE "order" = 2`, says: `table "public"."Odd ""name"", with everything" has other content in its 2 rows`, fullOnly: true},
		{name: "values swapped between columns", sql: "UPDATE django_migrations SET app = name, name = app", says: `table "public"."django_migrations" has other content in its 2 rows`, fullOnly: true},
		{name: "a row twice and another gone", sql: "UPDATE event SET id = 1, note = (SELECT note FROM event WHERE id = 1), at = (SELECT at FROM event WHERE id = 1); ", says: "", fullOnly: true},
		{name: "other order of rows", sql: "CREATE TABLE aside AS TABLE event_2026; DELETE FROM event_2026; INSERT INTO event_2026 SELECT * FROM aside ORDER BY id DESC; DROP TABLE aside"},
		{name: "missing sequence", sql: "DROP SEQUENCE up", says: `sequence "public"."up" is missing`},
		{name: "extra sequence", sql: "CREATE SEQUENCE extra", says: `sequence "public"."extra" is not in the backup`},
		{name: "sequence behind", sql: "SELECT setval('up', 9)", says: `sequence "public"."up" stands at 9, not at 10`},
		{name: "sequence not called", sql: "SELECT setval('up', 10, false)", says: `sequence "public"."up" stands at 10, not at 10`},
		{name: "sequence ahead", sql: "SELECT setval('up', 11), nextval('fresh')"},
		{name: "descending sequence behind", sql: "SELECT setval('standalone', 996)", says: `sequence "public"."standalone" stands at 996, not at 995`},
		{name: "descending sequence ahead", sql: "SELECT setval('standalone', 990)"},
		{name: "missing large object", sql: "SELECT lo_unlink(oid) FROM pg_largeobject_metadata LIMIT 1", says: "1 large objects, not 2"},
		{name: "all large objects missing", sql: "SELECT lo_unlink(oid) FROM pg_largeobject_metadata", says: "0 large objects, not 2"},
		{name: "extra large object", sql: "SELECT lo_create(0)", says: "3 large objects, not 2"},
		{name: "longer large object", sql: "SELECT lo_put(loid, 20000, '\\x00') FROM pg_largeobject WHERE pageno = 0", says: "large objects have 20001 bytes, not 10000"},
	} {
		if c.name == "a row twice and another gone" {
			// An XOR over the rows would be the same; the sum is not.
			c.sql = `CREATE TEMP TABLE two AS SELECT * FROM "Odd ""name"", with everything"; UPDATE "Odd ""name"", with everything" SET "order" = 3, "Column A" = 'y'`
			c.says = `table "public"."Odd ""name"", with everything" has other content in its 2 rows`
		}
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			// A copy of the files is as good as a restore, and much faster.
			e := copyOf(t, source)
			if c.sql != "" {
				scratchtest.Exec(t, e, c.sql)
			}
			for _, f := range []*catalog.Fingerprint{&counts, d.fingerprint} {
				err := Compare(t.Context(), e, f, nil)
				if c.says == "" || c.fullOnly && f.Level == catalog.FingerprintCounts {
					if err != nil {
						t.Errorf("level %s: %v", f.Level, err)
					}
					continue
				}
				var differs *DifferenceError
				if !errors.As(err, &differs) || !errors.Is(err, ErrDiffers) {
					t.Fatalf("level %s: %v", f.Level, err)
				}
				if !slices.Equal(differs.Differences, []string{c.says}) || !strings.Contains(err.Error(), c.says) {
					t.Errorf("level %s: %q, not %q", f.Level, differs.Differences, c.says)
				}
			}
		})
	}
}

// copyOf makes a database with source as its template.
func copyOf(t testing.TB, source *postgres.Endpoint) *postgres.Endpoint {
	t.Helper()
	name := scratchtest.Name("copy")
	admin := scratchtest.Admin(t)
	copying <- struct{}{} // a template must have no sessions, those of the copying server included
	defer func() { <-copying }()
	scratchtest.Exec(t, admin, "CREATE DATABASE "+postgres.QuoteIdent(name)+" TEMPLATE "+postgres.QuoteIdent(source.Database()))
	scratchtest.Drop(t, name)
	return admin.WithDatabase(name)
}

var copying = make(chan struct{}, 1)

// Promise: level none measures nothing, and nothing is compared with it.
func TestFingerprintNone(t *testing.T) {
	t.Parallel()
	e := tablesOnly(t, subject)
	g, ctx := openGuard(t, e, GuardOptions{})
	f, err := Measure(ctx, g, catalog.FingerprintNone, nil)
	if err != nil || len(f.Tables) > 0 || f.Snapshot != g.Snapshot {
		t.Fatalf("%+v, %v", f, err)
	}
	for _, f := range []*catalog.Fingerprint{f, nil} {
		if err := Compare(t.Context(), scratchtest.Admin(t), f, nil); err != nil {
			t.Error(err)
		}
	}
	if err := CheckEntries(&TOC{Entries: []Entry{{Type: "TABLE DATA", Name: "a"}}}, f); err != nil {
		t.Error(err)
	}
}

// Promise: tables of an archive and tables that were counted must be the same set.
func TestCheckEntries(t *testing.T) {
	f := &catalog.Fingerprint{Level: catalog.FingerprintCounts, Tables: []catalog.Table{{Schema: "public", Name: "a"}, {Schema: "public", Name: "b"}}}
	entry := func(name string) Entry { return Entry{Type: "TABLE DATA", Schema: "public", Name: name} }
	for _, c := range []struct {
		entries []Entry
		want    []string
	}{
		{[]Entry{entry("a"), entry("b"), {Type: "TABLE", Schema: "public", Name: "c"}}, nil},
		{[]Entry{entry("a")}, []string{`table "public"."b" was counted but not dumped`}},
		{[]Entry{entry("a"), entry("b"), entry("c")}, []string{`table "public"."c" was dumped but not counted`}},
		{[]Entry{entry("a"), {Type: "TABLE DATA", Schema: "other", Name: "b"}}, []string{`table "other"."b" was dumped but not counted`, `table "public"."b" was counted but not dumped`}},
	} {
		var differs *DifferenceError
		err := CheckEntries(&TOC{Entries: c.entries}, f)
		if (err == nil) != (c.want == nil) || err != nil && (!errors.As(err, &differs) || !slices.Equal(differs.Differences, c.want)) {
			t.Errorf("got %v, not %q", err, c.want)
		}
	}
}

// Promise: a long list of differences is cut in the message.
func TestDifferenceErrorText(t *testing.T) {
	e := &DifferenceError{Differences: strings.Split("a b c d e f g", " ")}
	if got := e.Error(); got != ErrDiffers.Error()+": a; b; c; d; e; and 2 more" {
		t.Errorf("got %s", got)
	}
}
