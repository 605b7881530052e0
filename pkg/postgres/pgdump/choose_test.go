package pgdump

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
)

// knotty is a schema that is hard to take single tables from.
//
//go:embed testdata/choose.sql
var knotty string

// chosenFrom is a dump of the knotty schema, made once, and a database with its
// definitions, of which every test gets a copy. Nothing is written to source.
var chosenFrom struct {
	once      sync.Once
	source    *postgres.Endpoint
	template  *postgres.Endpoint
	dump      dumped
	pre, post *TOC
	data      *TOC
	preData   []int
}

// theKnotty makes chosenFrom. Its databases end with the server.
func theKnotty(t testing.TB) {
	t.Helper()
	c := &chosenFrom
	c.once.Do(func() {
		t := unended{t}
		admin := scratchtest.Admin(t)
		made := func(name string) *postgres.Endpoint {
			scratchtest.Exec(t, admin, "CREATE DATABASE "+name+" TEMPLATE template0")
			return admin.WithDatabase(name)
		}
		c.source = made(scratchtest.Name("knotty"))
		scratchtest.Exec(t, c.source, scratchtest.Middling, knotty)
		c.dump = dump(t, c.source, catalog.FingerprintFull)
		for part, toc := range map[Part]**TOC{PreData: &c.pre, Data: &c.data, PostData: &c.post} {
			var err error
			if *toc, err = Inspect(bytes.NewReader(c.dump.parts[part])); err != nil {
				t.Fatal(err)
			}
		}
		any, err := Choose(c.pre, []*TOC{c.data}, c.post, []string{"no_columns"})
		if err != nil {
			t.Fatal(err)
		}
		c.preData = any.PreData
		c.template = made(scratchtest.Name("knotty_definitions"))
		l := Loader{Endpoint: c.template, Tools: tools(t), Runner: scratchtest.Runner(), Only: c.preData}
		if _, err := l.Load(t.Context(), PreData, bytes.NewReader(c.dump.parts[PreData])); err != nil {
			t.Fatal(err)
		}
	})
	if c.preData == nil {
		t.Fatal("there is no dump to choose from")
	}
}

// chosen loads the named tables into a copy of the definitions.
func chosen(t testing.TB, names ...string) (*Choice, *postgres.Endpoint) {
	t.Helper()
	theKnotty(t)
	c, err := Choose(chosenFrom.pre, []*TOC{chosenFrom.data}, chosenFrom.post, names)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(c.PreData, chosenFrom.preData) {
		t.Fatalf("%q needs other definitions than every table", names)
	}
	name := scratchtest.Name("chosen")
	scratchtest.Exec(t, scratchtest.Admin(t), "CREATE DATABASE "+name+" TEMPLATE "+chosenFrom.template.Database())
	scratchtest.Drop(t, name)
	server := scratchtest.Server(t)
	e, err := postgres.Resolve(t.Context(), postgres.Target{ // with a password, which takes the first descriptor
		URL: fmt.Sprintf("host='%s' port=%d user=postgres password=none", server.SocketDir, server.Port), Database: name,
	})
	if err != nil {
		t.Fatal(err)
	}
	l := Loader{Endpoint: e, Tools: tools(t), Runner: scratchtest.Runner()}
	for _, part := range []Part{Data, PostData} {
		if l.Only = c.PostData; part == Data {
			l.Only = c.Data[0]
		}
		if said, err := l.Load(t.Context(), part, bytes.NewReader(chosenFrom.dump.parts[part])); err != nil || len(said) > 0 {
			t.Fatalf("%q: %v, %v", names, err, said)
		}
	}
	return c, e
}

// aroundTables is everything that belongs to the tables in the list %[1]s, as
// the server itself knows it. Of foreign keys those that lead to one of them.
const aroundTables = `WITH chosen AS (SELECT unnest(%[1]s::regclass[])::oid AS oid)
	SELECT coalesce(string_agg(line, E'\n' ORDER BY line COLLATE "C"), '') FROM (
	SELECT format('index %%s valid %%s cluster %%s replica %%s part of %%s: %%s', pg_get_indexdef(indexrelid), indisvalid, indisclustered, indisreplident,
		(SELECT inhparent::regclass FROM pg_inherits JOIN pg_index p ON p.indexrelid = inhparent WHERE inhrelid = i.indexrelid AND p.indrelid IN (TABLE chosen)),
		obj_description(indexrelid, 'pg_class')) AS line FROM pg_index i WHERE indrelid IN (TABLE chosen)
	UNION ALL SELECT format('constraint %%s of %%s valid %%s: %%s %%s', conname, conrelid::regclass, convalidated, pg_get_constraintdef(c.oid), obj_description(c.oid, 'pg_constraint'))
		FROM pg_constraint c WHERE conrelid IN (TABLE chosen) AND contype <> 'f'
	UNION ALL SELECT format('key of %%s: %%s', conrelid::regclass, pg_get_constraintdef(c.oid))
		FROM pg_constraint c WHERE conrelid IN (TABLE chosen) AND contype = 'f' %[3]s
			AND NOT EXISTS (SELECT FROM pg_constraint p WHERE p.oid = c.conparentid AND p.conrelid = c.conrelid)
	UNION ALL SELECT format('trigger %%s: %%s', tgenabled, pg_get_triggerdef(t.oid)) FROM pg_trigger t WHERE tgrelid IN (TABLE chosen) AND NOT tgisinternal
	UNION ALL SELECT format('rule %%s', pg_get_ruledef(oid)) FROM pg_rewrite WHERE ev_class IN (TABLE chosen)
	UNION ALL SELECT format('policy %%s', p.*) FROM pg_policies p WHERE format('%%I.%%I', schemaname, tablename)::regclass IN (TABLE chosen)
	UNION ALL SELECT format('statistics %%s', pg_get_statisticsobjdef(oid)) FROM pg_statistic_ext WHERE stxrelid IN (TABLE chosen)
	UNION ALL SELECT format('table %%s: %%s %%s', oid::regclass, relrowsecurity, relforcerowsecurity) FROM pg_class WHERE oid IN (TABLE chosen)
	UNION ALL SELECT format('sequence %%s at %%s', objid::regclass, pg_sequence_last_value(objid)) FROM pg_depend
		WHERE classid = 'pg_class'::regclass AND refclassid = 'pg_class'::regclass AND refobjid IN (TABLE chosen) AND deptype IN ('a', 'i')
			AND (SELECT relkind FROM pg_class WHERE oid = objid) = 'S'
	UNION ALL SELECT format('%%s rows in %%s', rows, oid::regclass) FROM (SELECT oid, (xpath('/row/n/text()', query_to_xml('SELECT count(*) AS n FROM ONLY ' || oid::regclass, true, false, '')))[1]::text::int AS rows
		FROM pg_class WHERE relkind = 'r' AND relnamespace::regnamespace::text !~ '^(pg_|information_schema)') counted
		WHERE oid IN (TABLE chosen) AND rows > 0 %[2]s) lines`

// checkChosen compares what a copy has with what the original says that belongs
// to these tables and their partitions.
func checkChosen(t testing.TB, c *Choice, e *postgres.Endpoint, tables []string) {
	t.Helper()
	if err := CompareChosen(t.Context(), e, chosenFrom.dump.fingerprint, c, nil); err != nil {
		t.Errorf("%q: %v", tables, err)
	}
	list := "ARRAY(SELECT DISTINCT relid FROM unnest(ARRAY[" + quoteAll(tables) + "]::regclass[]) r, LATERAL (SELECT r AS relid UNION SELECT relid FROM pg_partition_tree(r)) tree JOIN pg_class ON pg_class.oid = relid WHERE relkind IN ('r', 'p'))"
	want := scratchtest.Query(t, chosenFrom.source, fmt.Sprintf(aroundTables, list, "", "AND confrelid IN (TABLE chosen)"))
	got := scratchtest.Query(t, e, fmt.Sprintf(aroundTables, list, "OR rows > 0", "")) // a row or a key of any other table is too much
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%q (-original +copy):\n%s", tables, diff)
	}
}

func quoteAll(names []string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = postgres.QuoteLiteral(n)
	}
	return strings.Join(quoted, ", ")
}

// Promise: each table of a schema can be brought back alone, and each two that a
// foreign key connects together with that key: rows, indexes, constraints,
// triggers, rules, policies, statistics and sequences are those of the original,
// and every other table is empty.
func TestEveryTableAlone(t *testing.T) {
	t.Parallel()
	theKnotty(t)
	list := func(sql string) []string { return strings.Split(scratchtest.Query(t, chosenFrom.source, sql), "\n") }
	choices := list(`SELECT string_agg(format('%I.%I', nspname, relname), E'\n') FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
		WHERE relkind IN ('r', 'p') AND nspname !~ '^(pg_|information_schema)'`)
	if len(choices) < 32 {
		t.Errorf("only %d tables", len(choices))
	}
	pairs := list(`SELECT string_agg(DISTINCT format('%I.%I', n.nspname, c.relname) || E'\t' || format('%I.%I', fn.nspname, f.relname), E'\n')
		FROM pg_constraint k JOIN pg_class c ON c.oid = conrelid JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_class f ON f.oid = confrelid JOIN pg_namespace fn ON fn.oid = f.relnamespace
		WHERE contype = 'f' AND conrelid <> confrelid AND NOT EXISTS (SELECT FROM pg_constraint p WHERE p.oid = k.conparentid AND p.conrelid = k.conrelid)`)
	if len(pairs) < 8 {
		t.Errorf("only %d pairs", len(pairs))
	}
	choices = append(append(choices, pairs...), strings.Join(choices, "\t"))
	for _, choice := range choices {
		t.Run(choice, func(t *testing.T) {
			t.Parallel()
			tables := strings.Split(choice, "\t")
			c, e := chosen(t, tables...)
			checkChosen(t, c, e, tables)
		})
	}
}

// Promise: what is left out around the chosen tables is named: foreign keys with
// where they lead, what needs their keys, and what belongs to the whole database.
func TestLeftOut(t *testing.T) {
	t.Parallel()
	theKnotty(t)
	of := "the content of materialized view public.grouped_too, reporting.totals, reporting.grand; event trigger watcher; publication everything, something; subscription elsewhere; large objects"
	late := []string{
		"function public.grouped_three(): it needs a key of a table that is not chosen",
		"materialized view public.grouped_too: it needs a key of a table that is not chosen",
		"the query of view public.grouped: it needs a key of a table that is not chosen",
	}
	others := func(n int) string {
		return fmt.Sprintf("%d other tables: they are empty, without indexes, keys, triggers and rules", len(chosenTables())-n)
	}
	for _, tt := range []struct {
		names, tables, out []string
	}{
		{
			[]string{"public.forge_document"}, []string{"public.forge_document"},
			slices.Concat(late, []string{"foreign key forge_document_template_id_fkey of public.forge_document: it leads to public.forge_template, which is not chosen", others(1), of}),
		},
		{
			[]string{"archive.forge_document", "ancestor", "public.ancestor"}, []string{"archive.forge_document", "public.ancestor"},
			[]string{"rows of public.descendant, which inherits from public.ancestor and is not chosen", others(2), of},
		},
		{
			[]string{"measure_2025"}, []string{"archive.measure_2025_us", "public.measure_2025", "public.measure_2025_eu"},
			slices.Concat(late, []string{"foreign key measure_template_id_fkey of public.measure: it leads to public.forge_template, which is not chosen", others(3), of}),
		},
		{
			[]string{"TO"}, []string{`public."TO"`},
			slices.Concat(late, []string{`foreign key "TO_ON_fkey" of public."TO": it leads to "Odd.Schema"."ON", which is not chosen`, others(1), of}),
		},
	} {
		c, err := Choose(chosenFrom.pre, []*TOC{chosenFrom.data}, chosenFrom.post, tt.names)
		if err != nil {
			t.Error(err)
			continue
		}
		if !slices.Equal(c.Tables, tt.tables) {
			t.Errorf("%q: tables %q", tt.names, c.Tables)
		}
		if diff := cmp.Diff(tt.out, c.LeftOut); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tt.names, diff)
		}
	}
	// Rows that the dump of a standby does not have.
	data := *chosenFrom.data
	data.Entries = slices.DeleteFunc(slices.Clone(data.Entries), func(e Entry) bool { return e.Name == "scribble" })
	c, err := Choose(chosenFrom.pre, []*TOC{&data}, chosenFrom.post, []string{"scribble"})
	if err != nil || !slices.Contains(c.LeftOut, "rows of public.scribble: the backup has none") {
		t.Errorf("%v, %v", c, err)
	}
}

func chosenTables() []relation {
	tables, _ := relationsOf(chosenFrom.pre, []*TOC{chosenFrom.data})
	return tables
}

// Promise: what pg_dump makes after the data because it needs a key (a view, a
// function) is there when the table of that key is; large objects never are.
func TestChosenDefinitions(t *testing.T) {
	t.Parallel()
	theKnotty(t)
	c, e := chosen(t, `"archive"."forge_document"`)
	if got := scratchtest.Query(t, e, "SELECT string_agg(id || note || count, '' ORDER BY id) FROM grouped WHERE id < 3"); got != "1old 112old 21" {
		t.Errorf("view: %q", got)
	}
	if got := scratchtest.Query(t, e, "SELECT grouped_three() || ' ' || (SELECT relispopulated FROM pg_class WHERE relname = 'grouped_too')"); got != "30 false" {
		t.Errorf("function and materialized view: %q", got)
	}
	if got := scratchtest.Query(t, e, "SELECT count(*) FROM pg_largeobject_metadata"); got != "0" || len(c.LeftOut) != 2 {
		t.Errorf("%s large objects; left out %q", got, c.LeftOut)
	}
	// A late constraint of a parent holds for what inherits from it, but not for rows that are there.
	_, e = chosen(t, "descendant")
	if got := scratchtest.Query(t, e, "SELECT count(*) FROM pg_constraint WHERE conname = 'positive' AND conrelid = 'descendant'::regclass AND NOT convalidated"); got != "1" {
		t.Error("the inherited constraint is missing")
	}
	// A sequence that belongs to no table, and that of a parent's identity, are not at their start.
	_, e = chosen(t, "measure_rest")
	if got := scratchtest.Query(t, e, "SELECT nextval('shared_numbers') || ' ' || nextval('measure_id_seq') || ' ' || nextval('remark_id_seq')"); got != "401 401 1" {
		t.Errorf("sequences %s", got)
	}
}

// Promise: the comparison sees a row too many or too few, other content, a
// sequence that stands behind, and rows in a table that was not chosen.
func TestCompareChosen(t *testing.T) {
	t.Parallel()
	theKnotty(t)
	c, e := chosen(t, "public.forge_template")
	compare := func() error { return CompareChosen(t.Context(), e, chosenFrom.dump.fingerprint, c, nil) }
	if err := compare(); err != nil {
		t.Fatal(err)
	}
	scratchtest.Exec(t, e, "SELECT nextval('forge_document_id_seq')") // is not compared
	if err := compare(); err != nil {
		t.Error(err)
	}
	for _, tt := range []struct{ do, undo, says string }{
		{"INSERT INTO circle_one VALUES (1)", "DELETE FROM circle_one", `table "public"."circle_one" has 1 rows, not 0`},
		{"SELECT lo_create(99)", "SELECT lo_unlink(99)", "1 large objects, not 0"},
		{"CREATE TABLE extra ()", "DROP TABLE extra", `table "public"."extra" is not in the backup`},
		{"SELECT setval('forge_template_id_seq', 3)", "SELECT setval('forge_template_id_seq', 500)", "stands at 3, not at 500"},
		{"UPDATE forge_template SET weight = 77 WHERE id = 3", "", "other content"},
		{"DELETE FROM forge_template WHERE id = 4", "", "has 499 rows, not 500"},
	} {
		scratchtest.Exec(t, e, tt.do)
		if err := compare(); !errors.Is(err, ErrDiffers) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v", tt.do, err)
		}
		if tt.undo != "" {
			scratchtest.Exec(t, e, tt.undo)
		}
	}
	part := c.Fingerprint(chosenFrom.dump.fingerprint)
	if part.Rows() != 500 || part.TableCount() != 1 || len(part.Sequences) != 1 || part.LargeObjects != nil || part.Level != catalog.FingerprintFull {
		t.Errorf("%+v", part)
	}
}

// Promise: a table is meant by its name, with or without schema, quoted or as it
// is; what is unknown or could mean several is an error that lists what there is.
func TestTableNames(t *testing.T) {
	t.Parallel()
	theKnotty(t)
	for name, want := range map[string]relation{
		"forge_template":                    {"public", "forge_template"},
		"public.forge_template":             {"public", "forge_template"},
		`"public".forge_template`:           {"public", "forge_template"},
		"Forge_Template":                    {"public", "forge_template"},
		"archive.measure_2025_us":           {"archive", "measure_2025_us"},
		"measure_2025_us":                   {"archive", "measure_2025_us"},
		"measure":                           {"public", "measure"},
		"TO":                                {"public", "TO"},
		`"TO"`:                              {"public", "TO"},
		"public.TO":                         {"public", "TO"},
		`"Odd.Schema"."ON"`:                 {"Odd.Schema", "ON"},
		"Odd.Schema.ON":                     {"Odd.Schema", "ON"},
		`"archive"."forge_document"`:        {"archive", "forge_document"},
		`"archive.forge_document"`:          {"public", "archive.forge_document"},
		`public."archive.forge_document"`:   {"public", "archive.forge_document"},
		`Odd "name", with everything`:       {"public", `Odd "name", with everything`},
		`"Odd ""name"", with everything"`:   {"public", `Odd "name", with everything`},
		`public."größe ""1"" it's, a\b;"`:   {"public", `größe "1" it's, a\b;`},
		`public.größe "1" it's, a\b;`:       {"public", `größe "1" it's, a\b;`},
		"to":                                {},
		"forge_document":                    {},
		"archive.forge_document":            {"archive", "forge_document"},
		"":                                  {},
		".":                                 {},
		`"`:                                 {},
		`"forge_template`:                   {},
		`"Forge_Template"`:                  {},
		"nothing":                           {},
		"public.forge_template.id":          {},
		"forge_template; DROP TABLE secret": {},
		"active":                            {},
		"reporting.totals":                  {},
		"far_away":                          {},
		"standalone":                        {},
	} {
		tables, others := relationsOf(chosenFrom.pre, []*TOC{chosenFrom.data})
		got, err := resolve(name, tables, others)
		if got != want || (err == nil) != (want != relation{}) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		if got := sqlName(want); want[1] != "" {
			if again, err := resolve(got, tables, others); err != nil || again != want {
				t.Errorf("%s is shown as %s, which means %q, %v", name, got, again, err)
			}
		}
	}
	for _, tt := range []struct {
		name, says string
		first      []string
	}{
		{"forge_document", "table forge_document could be any of several", []string{"archive.forge_document", "public.forge_document"}},
		{"forge_documents", "table forge_documents is not in the backup", []string{"archive.forge_document", "public.forge_document"}},
		{"public.templat", "table public.templat is not in the backup", []string{"public.forge_template", `"Odd.Schema"."ON"`}},
		{"reporting.totals", "table reporting.totals is no table, but a materialized view", []string{`"Odd.Schema"."ON"`}},
		{"far_away", "is no table, but a foreign table", nil},
	} {
		_, err := Choose(chosenFrom.pre, []*TOC{chosenFrom.data}, chosenFrom.post, []string{"empty_table", tt.name})
		var e *TableError
		if !errors.As(err, &e) || !strings.Contains(e.Error(), tt.says) || e.Name != tt.name || len(e.Candidates) < max(len(tt.first), 2) || !slices.Equal(e.Candidates[:len(tt.first)], tt.first) {
			t.Errorf("%s: %v, %+v", tt.name, err, e)
		}
	}
}

// Promise: the table that an entry belongs to is found in any definition; none
// makes the reader fall.
func FuzzTableOf(f *testing.F) {
	for _, sql := range []string{
		`CREATE INDEX "ON x.y" ON ONLY "a.b"."c""d" USING btree (x);`,
		"CREATE TRIGGER t BEFORE UPDATE OF a, \"ON\" ON public.t FOR EACH ROW EXECUTE FUNCTION f('ON a.b');",
		"ALTER TABLE ONLY public.t\n    ADD CONSTRAINT c FOREIGN KEY (a) REFERENCES b.c(d);",
		"CREATE STATISTICS s.s ON EXTRACT(epoch FROM a) FROM b.c;", "ALTER TABLE", "ON", `ON ".`, "CREATE TABLE a.b () INHERITS (c.d, \"e\".f", "",
	} {
		for _, typ := range []string{"INDEX", "TRIGGER", "FK CONSTRAINT", "STATISTICS", "TABLE", "RULE"} {
			f.Add(typ, sql)
		}
	}
	f.Fuzz(func(t *testing.T, typ, sql string) {
		e := Entry{Type: typ, Definition: sql, DumpID: 1}
		table, ok := tableOf(e)
		if ok && (table[0] == "" || table[1] == "") {
			t.Errorf("%q", table)
		}
		_, _ = referenced(e)
		_, _ = Choose(&TOC{Entries: []Entry{e}}, nil, &TOC{Entries: []Entry{e}}, []string{sql})
	})
}
