package pgdump

import (
	"bytes"
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
