package pgdump

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
	"github.com/bmad-forge/forgectl/pkg/proc"
)

// more is what Middling leaves out because it needs a superuser.
const more = `
	CREATE TABLE secret (id int PRIMARY KEY, owner text); ALTER TABLE secret ENABLE ROW LEVEL SECURITY;
	CREATE POLICY own ON secret USING (owner = current_user);
	INSERT INTO secret VALUES (1, 'nobody');
	GRANT SELECT ON secret TO PUBLIC; REVOKE EXECUTE ON FUNCTION touch() FROM PUBLIC;
	ALTER DEFAULT PRIVILEGES IN SCHEMA reporting GRANT SELECT ON TABLES TO PUBLIC;
	CREATE PUBLICATION everything FOR ALL TABLES;
	CREATE UNLOGGED TABLE scribble (id int); INSERT INTO scribble VALUES (7);
	CREATE TABLE parent (a int, b int); CREATE TABLE child (c int) INHERITS (parent); INSERT INTO child VALUES (1, 2, 3); INSERT INTO parent VALUES (4, 5);
	CREATE TABLE circle_one (id int PRIMARY KEY, other int); CREATE TABLE circle_two (id int PRIMARY KEY, other int REFERENCES circle_one);
	INSERT INTO circle_one VALUES (1, 2); INSERT INTO circle_two VALUES (2, 1); ALTER TABLE circle_one ADD FOREIGN KEY (other) REFERENCES circle_two;
	CREATE COLLATION phone (provider = icu, locale = 'de-u-co-phonebk');
	COMMENT ON LARGE OBJECT 4711 IS 'none';`

// plain is what pg_dump prints of e, the same for equal databases.
func plain(t testing.TB, e *postgres.Endpoint, args ...string) string {
	t.Helper()
	help, err := proc.Output(t.Context(), scratchtest.Runner(), proc.Cmd{Path: tools(t).Path("pg_dump"), Args: []string{"--help"}})
	if err == nil && strings.Contains(string(help), "--restrict-key") {
		args = append(args, "--restrict-key=same")
	}
	out, err := program(t, e, "pg_dump", "", args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func sameDatabase(t testing.TB, a, b *postgres.Endpoint) {
	t.Helper()
	for _, what := range []string{"--schema-only", "--data-only"} {
		x, y := plain(t, a, what), plain(t, b, what)
		if x == y {
			continue
		}
		xs, ys := strings.Split(x, "\n"), strings.Split(y, "\n")
		for i := range xs {
			if i >= len(ys) || xs[i] != ys[i] {
				t.Errorf("pg_dump %s differs in line %d: %.200q", what, i+1, xs[i:min(i+3, len(xs))])
				break
			}
		}
	}
}

// Promise: a database comes back exactly: pg_dump prints the same for both,
// byte for byte, and every count, hash, sequence and large object is the same.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	source := scratchtest.Database(t, "SELECT lo_create(4711)", scratchtest.Middling, more)
	full := dump(t, source, catalog.FingerprintFull)
	loaded := full.load(t)
	sameDatabase(t, source, loaded)
	if len(full.said) > 0 {
		t.Errorf("pg_dump said %v", full.said)
	}
	counts := dump(t, source, catalog.FingerprintCounts)
	for _, f := range []*catalog.Fingerprint{full.fingerprint, counts.fingerprint} {
		var done []int
		if err := Compare(t.Context(), loaded, f, func(n, total int) { done = append(done, n*1000+total) }); err != nil {
			t.Errorf("level %s: %v", f.Level, err)
		}
		if n := len(f.Tables); len(done) != n || done[n-1] != n*1001 || n != 15 {
			t.Errorf("progress %v of %d tables", done, n)
		}
		if lo := f.LargeObjects; lo == nil || lo.Count != 3 || lo.Bytes != 10000 {
			t.Errorf("large objects %v", lo)
		}
		if !slices.ContainsFunc(f.Sequences, func(s catalog.Sequence) bool { return s.Name == "standalone" && s.Value == 995 && s.Called }) {
			t.Errorf("sequences %v", f.Sequences)
		}
		for _, table := range f.Tables {
			if (table.Hash != "") != (f.Level == catalog.FingerprintFull) {
				t.Errorf("level %s: table %s has hash %q", f.Level, table.Name, table.Hash)
			}
		}
	}
	// What was counted is what the archive holds, in tables and in rows.
	toc, err := Inspect(bytes.NewReader(full.parts[Data]))
	if err != nil {
		t.Fatal(err)
	}
	if err := CheckEntries(toc, full.fingerprint); err != nil {
		t.Error(err)
	}
	for i, table := range full.fingerprint.Tables {
		if counts.fingerprint.Tables[i].Rows != table.Rows {
			t.Errorf("table %s has %d and %d rows", table.Name, table.Rows, counts.fingerprint.Tables[i].Rows)
		}
	}
}

// Promise: a column that was added to a parent comes back in another place of its
// children, which is no difference; rows of a parent and of its children are kept apart.
func TestInheritance(t *testing.T) {
	t.Parallel()
	e := scratchtest.Database(t, `CREATE TABLE parent (a int, b text); CREATE TABLE child (c int) INHERITS (parent);
		INSERT INTO child VALUES (1, '2', 3); INSERT INTO parent VALUES (4, '5'), (6, NULL); ALTER TABLE parent ADD "D" int DEFAULT 6`)
	d := dump(t, e, catalog.FingerprintFull)
	loaded := d.load(t)
	if err := Compare(t.Context(), loaded, d.fingerprint, nil); err != nil {
		t.Error(err)
	}
	columns := "SELECT string_agg(attname, ' ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'child'::regclass AND attnum > 0"
	if before, after := scratchtest.Query(t, e, columns), scratchtest.Query(t, loaded, columns); before == after {
		t.Errorf("the columns stand as before (%s): this test proves nothing", after)
	}
	if f := d.fingerprint.Tables; len(f) != 2 || f[0].Rows != 1 || f[1].Rows != 2 {
		t.Errorf("tables %+v", f)
	}
}

// Promise: the rows that are counted of an extension's configuration table are
// those that pg_dump writes, and its own tables are none of ours.
func TestExtensionTables(t *testing.T) {
	t.Parallel()
	e := scratchtest.Database(t, `CREATE EXTENSION hstore;
		CREATE TABLE conf (id int, own boolean); INSERT INTO conf SELECT i, i % 3 = 0 FROM generate_series(1, 10) i;
		CREATE TABLE inner_table (id int); INSERT INTO inner_table VALUES (1);
		ALTER EXTENSION hstore ADD TABLE conf; ALTER EXTENSION hstore ADD TABLE inner_table;
		UPDATE pg_extension SET extconfig = ARRAY['conf'::regclass::oid], extcondition = ARRAY['WHERE conf.own'] WHERE extname = 'hstore'`)
	d := dump(t, e, catalog.FingerprintFull)
	if len(d.fingerprint.Tables) != 1 || d.fingerprint.Tables[0].Name != "conf" || d.fingerprint.Tables[0].Rows != 3 {
		t.Fatalf("tables %+v", d.fingerprint.Tables)
	}
	toc, err := Inspect(bytes.NewReader(d.parts[Data]))
	if err != nil {
		t.Fatal(err)
	}
	if err := CheckEntries(toc, d.fingerprint); err != nil {
		t.Error(err)
	}
	if err := Compare(t.Context(), e, d.fingerprint, nil); err != nil {
		t.Error(err)
	}
	// A table that another version of the extension adds is no difference.
	scratchtest.Exec(t, e, "UPDATE pg_extension SET extconfig = extconfig || 'inner_table'::regclass::oid, extcondition = extcondition || ''::text WHERE extname = 'hstore'")
	if err := Compare(t.Context(), e, d.fingerprint, nil); err != nil {
		t.Error(err)
	}
}

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

// broken gives some bytes and then an error that is not the end.
type broken struct{ r io.Reader }

var errBroken = errors.New("the stream is broken")

func (b broken) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if err == io.EOF {
		err = errBroken
	}
	return n, err
}

// Promise: a load stops at the first error and says it; a stream that turns out
// broken at its very end fails the load, although pg_restore was content.
func TestLoadErrors(t *testing.T) {
	t.Parallel()
	d := dump(t, tablesOnly(t, subject), catalog.FingerprintCounts)
	for _, c := range []struct {
		name    string
		r       io.Reader
		is      error
		says    string
		refused bool
	}{
		{"whole", bytes.NewReader(d.parts[PreData]), nil, "", false},
		{"broken at the end", broken{bytes.NewReader(d.parts[PreData])}, errBroken, "", false},
		// Of this pg_restore reads only the beginning.
		{"broken far behind", io.MultiReader(bytes.NewReader(d.parts[PreData]), broken{bytes.NewReader(make([]byte, 4<<20))}), errBroken, "", false},
		{"empty", strings.NewReader(""), nil, "end of file", true},
		{"cut", bytes.NewReader(d.parts[PreData][:200]), nil, "pg_restore", true},
		{"no schema for its rows", bytes.NewReader(d.parts[Data]), nil, `relation "public.a" does not exist`, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := Loader{Endpoint: tablesOnly(t), Tools: tools(t), Runner: scratchtest.Runner()}
			_, err := l.Load(t.Context(), PreData, c.r)
			switch {
			case c.is == nil && c.says == "":
				if err != nil {
					t.Error(err)
				}
			case c.is != nil:
				if !errors.Is(err, c.is) {
					t.Errorf("got %v", err)
				}
			case err == nil || !strings.Contains(err.Error(), c.says):
				t.Errorf("got %v", err)
			}
			if Refused(err) != c.refused {
				t.Errorf("refused %v: %v", Refused(err), err)
			}
		})
	}
}

// Promise: an archive of which nobody knows whether it is good is not called
// refused: the server went away, the program is missing, the run was ended.
func TestRefused(t *testing.T) {
	t.Parallel()
	d := dump(t, tablesOnly(t, subject), catalog.FingerprintCounts)
	ended, end := context.WithCancel(t.Context())
	end()
	for name, c := range map[string]struct {
		ctx context.Context
		l   Loader
	}{
		"no such database": {t.Context(), Loader{Endpoint: scratchtest.Admin(t).WithDatabase("nowhere"), Tools: tools(t), Runner: scratchtest.Runner()}},
		"no program":       {t.Context(), Loader{Endpoint: scratchtest.Admin(t), Tools: postgres.Tools{Dir: "/nowhere"}, Runner: scratchtest.Runner()}},
		"ended":            {ended, Loader{Endpoint: scratchtest.Admin(t), Tools: tools(t), Runner: scratchtest.Runner()}},
	} {
		for _, part := range []Part{PreData, Data} {
			if part == Data && name == "no program" {
				continue // rows need none
			}
			_, err := c.l.Load(c.ctx, part, bytes.NewReader(d.parts[part]))
			if err == nil || Refused(err) {
				t.Errorf("%s: %s: refused %v: %v", name, part, Refused(err), err)
			}
		}
	}
}

// Promise: Elsewhere leaves out tablespaces and subscriptions, which a drill must not follow.
func TestElsewhere(t *testing.T) {
	t.Parallel()
	dir := tablespaceDir(t)
	space := scratchtest.Name("space")
	admin := scratchtest.Admin(t)
	scratchtest.Exec(t, admin, "CREATE TABLESPACE "+space+" LOCATION "+postgres.QuoteLiteral(dir))
	e := scratchtest.Database(t, "CREATE TABLE a (id int) TABLESPACE "+space,
		"CREATE SUBSCRIPTION sub CONNECTION 'host=/nowhere' PUBLICATION p WITH (connect = false, slot_name = NONE)")
	d := dump(t, e, catalog.FingerprintCounts)
	toc, err := Inspect(bytes.NewReader(d.parts[PreData]))
	if err != nil {
		t.Fatal(err)
	}
	n := NeedsOf(toc, Properties{Owner: "postgres"})
	if !slices.Equal(n.Tablespaces, []string{space}) {
		t.Errorf("tablespaces %q", n.Tablespaces)
	}
	target := scratchtest.Database(t)
	scratchtest.Exec(t, e, "DROP SUBSCRIPTION sub", "DROP TABLE a")
	scratchtest.Exec(t, admin, "DROP TABLESPACE "+space)
	var missing *MissingError
	if err := n.Check(t.Context(), admin, false); !errors.As(err, &missing) || !slices.Equal(missing.Tablespaces, []string{space}) {
		t.Errorf("got %v", err)
	}
	if err := n.Check(t.Context(), admin, true); err != nil {
		t.Error(err)
	}
	l := Loader{Endpoint: target, Tools: tools(t), Runner: scratchtest.Runner(), Elsewhere: true}
	for _, part := range []Part{PreData, Data, PostData} {
		if _, err := l.Load(t.Context(), part, bytes.NewReader(d.parts[part])); err != nil {
			t.Error(err)
		}
	}
	if got := scratchtest.Query(t, target, "SELECT count(*) FROM pg_subscription WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())"); got != "0" {
		t.Errorf("%s subscriptions", got)
	}
}

// tablespaceDir is an empty directory of the server's user.
func tablespaceDir(t testing.TB) string {
	t.Helper()
	c := scratchtest.Server(t)
	dir, err := os.MkdirTemp(filepath.Dir(c.SocketDir), "space-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if c.User != nil {
		if err := os.Chown(dir, int(c.User.UID), int(c.User.GID)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// Promise: what an archive needs of a server is found in its table of contents
// and missed where it is missing.
func TestNeeds(t *testing.T) {
	t.Parallel()
	admin := scratchtest.Admin(t)
	role := scratchtest.Role(t, admin, "")
	e := scratchtest.Database(t, "CREATE EXTENSION citext; CREATE TABLE t (id int); ALTER TABLE t OWNER TO "+role,
		"CREATE COLLATION phone (provider = icu, locale = 'de-u-co-phonebk'); CREATE COLLATION ignore (provider = icu, deterministic = false, locale = 'und-u-ks-level2')")
	d := dump(t, e, catalog.FingerprintNone)
	toc, err := Inspect(bytes.NewReader(d.parts[PreData]))
	if err != nil {
		t.Fatal(err)
	}
	p := Properties{Owner: "postgres", ACL: []Grant{{Grantee: "granted"}, {Grantee: ""}}, Settings: []Setting{{Role: "set"}, {}}}
	n := NeedsOf(toc, p)
	if !slices.Equal(n.Extensions, []string{"citext"}) || !slices.Equal(n.Collations, []string{"de-u-co-phonebk", "und-u-ks-level2"}) || len(n.Tablespaces) > 0 {
		t.Errorf("needs %+v", n)
	}
	if want := []string{"granted", "postgres", role, "set"}; !slices.Equal(n.Roles, want) {
		t.Errorf("roles %q, not %q", n.Roles, want)
	}
	n.Extensions = append(n.Extensions, "no_such_extension")
	var missing *MissingError
	if err := n.Check(t.Context(), admin, false); !errors.As(err, &missing) || err.Error() != "the server lacks extension no_such_extension; role granted, set" {
		t.Errorf("got %v", err)
	}
	if err := n.Check(t.Context(), admin, true); !errors.As(err, &missing) || err.Error() != "the server lacks extension no_such_extension" {
		t.Errorf("elsewhere: %v", err)
	}
	n.Extensions, n.Roles = []string{"citext"}, []string{"postgres", role}
	if err := n.Check(t.Context(), admin, false); err != nil {
		t.Error(err)
	}
}

// Promise: the globals name every role, hold no password unless asked, and psql
// reads them; a role that may enter only its own database can write them.
func TestGlobals(t *testing.T) {
	t.Parallel()
	e := scratchtest.NamedDatabase(t, scratchtest.Name("glob=al's"))
	role := scratchtest.Role(t, e, "LOGIN PASSWORD 'sesame'")
	odd := scratchtest.Name(`odd "role"` + "\n")
	scratchtest.Exec(t, e, "CREATE ROLE "+postgres.QuoteIdent(odd))
	t.Cleanup(func() { dropRole(t, odd) })
	for _, passwords := range []bool{false, true} {
		g, ctx := openGuard(t, e, GuardOptions{})
		var b bytes.Buffer
		said, err := dumper(t, e).Globals(ctx, g, passwords, &b)
		if err != nil || len(said) > 0 {
			t.Fatal(said, err)
		}
		head, err := ReadGlobals(bytes.NewReader(b.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		if head.Passwords != passwords || !slices.Contains(head.Roles, Role{Name: role, Login: true}) || !slices.Contains(head.Roles, Role{Name: odd}) ||
			!slices.Contains(head.Roles, Role{Name: "postgres", Login: true, Superuser: true}) {
			t.Errorf("head %+v", head)
		}
		if strings.Contains(b.String(), "SCRAM-SHA-256") != passwords || !strings.Contains(b.String(), "CREATE ROLE "+role) {
			t.Errorf("passwords %v:\n%s", passwords, b.String())
		}
	}

	// Neither postgres nor template1 is open to this one.
	own := scratchtest.Role(t, e, "LOGIN")
	as := scratchtest.Connect(t, scratchtest.Server(t), e.Database(), own)
	d := dumper(t, as)
	d.Runner = witness{Runner: scratchtest.Runner(), check: func(c proc.Cmd) {
		if want := `--database=dbname='` + strings.ReplaceAll(e.Database(), "'", `\'`) + `'`; !slices.Contains(c.Args, want) {
			t.Errorf("%q is not in %q", want, c.Args)
		}
	}}
	g, ctx := openGuard(t, as, GuardOptions{})
	if _, err := d.Globals(ctx, g, false, io.Discard); err != nil {
		t.Error(err)
	}
	if _, err := d.Globals(ctx, g, true, io.Discard); err == nil || !strings.Contains(err.Error(), "password hashes need a superuser") {
		t.Errorf("got %v", err)
	}
}

// witness looks at what is run.
type witness struct {
	proc.Runner
	check func(proc.Cmd)
}

func (w witness) Run(ctx context.Context, c proc.Cmd) error {
	w.check(c)
	return w.Runner.Run(ctx, c)
}

func dropRole(t testing.TB, name string) {
	conn, err := scratchtest.Admin(unended{t}).Connect(context.Background())
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(context.Background(), "DROP ROLE "+postgres.QuoteIdent(name)); err != nil {
		t.Error(err)
	}
}

// unended is a test whose context has ended already.
type unended struct{ testing.TB }

func (unended) Context() context.Context { return context.Background() }

// Promise: heads of the SQL files that are cut, empty or something else are an error.
func TestReadHead(t *testing.T) {
	for _, s := range []string{"", "\n", "SELECT 1;\n", "-- forgectl globals {}", "-- forgectl globals {\n", "-- forgectl globals []\n", "-- forgectl database {}\n"} {
		if _, err := ReadGlobals(strings.NewReader(s)); !errors.Is(err, ErrArchive) {
			t.Errorf("%q: %v", s, err)
		}
	}
	if _, err := ReadProperties(broken{strings.NewReader("-- forgectl")}); !errors.Is(err, errBroken) {
		t.Errorf("got %v", err)
	}
	g, err := ReadGlobals(strings.NewReader("-- forgectl globals {\"roles\":[{\"name\":\"a\"}]}\nSELECT 1;\n"))
	if err != nil || len(g.Roles) != 1 || g.Roles[0].Name != "a" {
		t.Errorf("%+v, %v", g, err)
	}
}
