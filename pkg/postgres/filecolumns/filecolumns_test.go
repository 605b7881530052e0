package filecolumns_test

import (
	"errors"
	"os"
	"slices"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/postgres/filecolumns"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
)

func TestMain(m *testing.M) { os.Exit(scratchtest.Run(m)) }

const schema = `
CREATE TABLE forge_document (id int PRIMARY KEY, title text, file varchar(100), n int);
INSERT INTO forge_document VALUES (1, 'One.', 'a/one.pdf', 1), (2, 'v2.0', 'a/two.pdf', 2), (3, 'x', '', 3), (4, 'y', NULL, 4), (5, 'z.z', 'a/gone.pdf', 5);
CREATE SCHEMA "Other";
CREATE TABLE "Other".logos ("Path" text) PARTITION BY LIST ("Path");
CREATE TABLE "Other".logos_all PARTITION OF "Other".logos DEFAULT;
INSERT INTO "Other".logos VALUES ('logo.png');
CREATE FUNCTION evil() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE 'it ran'; END $$;
CREATE VIEW shown AS SELECT evil() AS file;
`

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Promise: a column is written as an operator writes it, and comes back.
func TestParse(t *testing.T) {
	for s, want := range map[string]string{"forge_document.file": "forge_document.file", "public.a.b": "a.b", "Other.logos.Path": "Other.logos.Path"} {
		c, err := filecolumns.Parse(s)
		if err != nil || c.String() != want {
			t.Errorf("%s: %s, %v", s, c, err)
		}
	}
	for _, s := range []string{"", "file", "a.", ".a", "a..b", "a.b.c.d"} {
		if _, err := filecolumns.Parse(s); !errors.Is(err, filecolumns.ErrName) {
			t.Errorf("%q: %v", s, err)
		}
	}
}

// Promise: every name is read, also of partitioned tables and of names with capitals; what runs code, and what is not
// text, is refused without being touched.
func TestRead(t *testing.T) {
	conn, err := scratchtest.Database(t, schema).Connect(t.Context())
	must(t, err)
	t.Cleanup(func() { _ = conn.Close(t.Context()) })
	read := func(s string) ([]string, error) {
		c, err := filecolumns.Parse(s)
		must(t, err)
		var names []string
		err = filecolumns.Read(t.Context(), conn, c, func(name string) error { names = append(names, name); return nil })
		slices.Sort(names)
		return names, err
	}
	if names, err := read("forge_document.file"); err != nil || !slices.Equal(names, []string{"a/gone.pdf", "a/one.pdf", "a/two.pdf"}) {
		t.Errorf("%q, %v", names, err)
	}
	if names, err := read("Other.logos.Path"); err != nil || !slices.Equal(names, []string{"logo.png"}) {
		t.Errorf("%q, %v", names, err)
	}
	for _, s := range []string{"shown.file", "forge_document.n", "forge_document.nothing", "nothing.file", "pg_authid.rolname"} {
		if names, err := read(s); !errors.Is(err, filecolumns.ErrNoColumn) || names != nil {
			t.Errorf("%s: %q, %v", s, names, err)
		}
	}
	stop := errors.New("enough")
	if err := filecolumns.Read(t.Context(), conn, filecolumns.Column{Schema: "public", Table: "forge_document", Name: "file"}, func(string) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("the caller's error: %v", err)
	}
}

// Promise: columns are proposed whose values name files, and no others.
func TestPropose(t *testing.T) {
	conn, err := scratchtest.Database(t, schema).Connect(t.Context())
	must(t, err)
	t.Cleanup(func() { _ = conn.Close(t.Context()) })
	files := []string{"a/one.pdf", "a/two.pdf", "logo.png"}
	proposals, err := filecolumns.Propose(t.Context(), conn, func(name string) bool { return slices.Contains(files, name) })
	must(t, err)
	if len(proposals) != 2 || proposals[0].String() != "Other.logos.Path" || proposals[1].String() != "forge_document.file" || proposals[1].Found != 2 || proposals[1].Sampled != 3 {
		t.Errorf("%+v", proposals)
	}
}
