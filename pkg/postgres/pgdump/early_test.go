package pgdump

import (
	"bytes"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
)

// Promise: only an index of plain columns is made before all data is there.
func TestOfRowsAlone(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		typ, definition string
		want            bool
	}{
		{"CONSTRAINT", "ALTER TABLE ONLY public.a\n    ADD CONSTRAINT a_pkey PRIMARY KEY (id);\n", true},
		{"CONSTRAINT", `ALTER TABLE ONLY s."A ("` + "\n    ADD CONSTRAINT \"x.(y\" UNIQUE (\"a.b\", c) INCLUDE (d) DEFERRABLE;\n", true},
		{"CONSTRAINT", "ALTER TABLE ONLY s.a\n    ADD CONSTRAINT x UNIQUE NULLS NOT DISTINCT (a);\n", true},
		{"CONSTRAINT", "ALTER TABLE ONLY s.a\n    ADD CONSTRAINT x EXCLUDE USING gist (during WITH &&);\n", false},
		{"CONSTRAINT", "ALTER TABLE s.a\n    ADD CONSTRAINT x CHECK (a > 0);\n", false},
		{"CONSTRAINT", "ALTER TABLE ONLY s.a\n    ADD CONSTRAINT x PRIMARY KEY (id);\n\nALTER TABLE s.a CLUSTER ON x;\n", false},
		{"INDEX", "CREATE INDEX i ON public.a USING btree (b, c DESC NULLS LAST);\n", true},
		{"INDEX", "CREATE UNIQUE INDEX i ON ONLY public.a USING btree (b text_pattern_ops);\n", true},
		{"INDEX", "CREATE INDEX i ON public.a USING gin (tags);\n", true},
		{"INDEX", "CREATE INDEX i ON public.a USING gin (b public.gin_trgm_ops);\n", false},
		{"INDEX", "CREATE INDEX i ON public.a USING btree (lower(b));\n", false},
		{"INDEX", "CREATE INDEX i ON public.a USING btree (((b)::text));\n", false},
		{"INDEX", "CREATE INDEX i ON public.a USING btree (b) WHERE public.peek(b);\n", false},
		{"INDEX", "CREATE INDEX i ON public.a USING btree (b) WHERE active;\n", false},
		{"INDEX", "CREATE INDEX i ON public.a USING btree (b) WITH (fillfactor='70');\n", false},
		{"INDEX", "", false},
	} {
		if got := ofRowsAlone(Entry{Type: tt.typ, Definition: tt.definition}); got != tt.want {
			t.Errorf("%v for %s", got, tt.definition)
		}
	}
}

// Promise: a table is given its plain indexes before the other table is there; one that looks into the other table is not
// among them, though its function says that it does not; everything is made once, and in the end the databases are equal.
func TestEarly(t *testing.T) {
	t.Parallel()
	source := scratchtest.Database(t, `
		CREATE TABLE other (id int PRIMARY KEY, word text);
		INSERT INTO other SELECT i, 'word ' || i FROM generate_series(1, 100) AS i;
		CREATE FUNCTION peek(int) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT word FROM public.other WHERE id = $1';
		CREATE TABLE "First" (id int PRIMARY KEY, other int UNIQUE REFERENCES other, tags int[]);
		INSERT INTO "First" SELECT i, i, ARRAY[i] FROM generate_series(1, 100) AS i;
		CREATE INDEX peeking ON "First" (peek(other));
		CREATE INDEX plain ON "First" USING gin (tags)`)
	d := dump(t, source, catalog.FingerprintFull)
	target := scratchtest.Database(t)
	l := Loader{Endpoint: target, Tools: tools(t), Runner: scratchtest.Runner(), Jobs: 2}
	load := func(part Part, only []int) {
		t.Helper()
		one := l
		one.Only = only
		if _, err := one.Load(t.Context(), part, bytes.NewReader(d.parts[part])); err != nil {
			t.Fatal(err)
		}
	}
	const indexes = `SELECT coalesce(string_agg(indexname, ' ' ORDER BY indexname COLLATE "C"), 'none') FROM pg_indexes WHERE schemaname = 'public'`
	expect := func(want string) {
		t.Helper()
		if got := scratchtest.Query(t, target, indexes); got != want {
			t.Errorf("indexes %s, not %s", got, want)
		}
	}
	toc, err := ReadTOC(bytes.NewReader(d.parts[Data]))
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]int{}
	for _, e := range toc.TableData() {
		ids[e.Name] = e.DumpID
	}

	load(PreData, nil)
	early, err := l.ReadEarly(bytes.NewReader(d.parts[PostData]))
	if err != nil || early == nil {
		t.Fatal(early, err)
	}
	if early.Rest(nil) != nil {
		t.Error("something is left out though nothing was built")
	}
	var loaded [][2]string
	l.Loaded = func(schema, name string) { loaded = append(loaded, [2]string{schema, name}) }
	load(Data, []int{ids["First"]})
	if len(loaded) != 1 || loaded[0] != [2]string{"public", "First"} {
		t.Fatalf("loaded %q", loaded)
	}
	for range 2 { // the second time there is nothing to do
		if _, err := early.Build(t.Context(), l, loaded); err != nil {
			t.Fatal(err)
		}
		expect("First_other_key First_pkey plain")
	}
	load(Data, []int{ids["other"]})
	load(PostData, early.Rest(nil))
	expect("First_other_key First_pkey other_pkey peeking plain")
	sameDatabase(t, source, target)
}

// Promise: what cannot be read here is left to Load; nil is a plan of nothing.
func TestEarlyOfNothing(t *testing.T) {
	t.Parallel()
	early, err := Loader{}.ReadEarly(bytes.NewReader([]byte("no archive")))
	if err != nil || early != nil {
		t.Errorf("%v, %v", early, err)
	}
	if said, err := early.Build(t.Context(), Loader{}, [][2]string{{"public", "a"}}); err != nil || said != nil {
		t.Errorf("%v, %v", said, err)
	}
	if rest := early.Rest([]int{7}); len(rest) != 1 {
		t.Errorf("rest %v", rest)
	}
}
