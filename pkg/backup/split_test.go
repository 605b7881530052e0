package backup_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/artifact"
	"github.com/bmad-forge/forgectl/pkg/backup"
	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/dumpset"
	"github.com/bmad-forge/forgectl/pkg/postgres/pgdump"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
	"github.com/bmad-forge/forgectl/pkg/restore"
)

// splitNames are tables that pg_dump's options must take for what they are:
// patterns, quotes, sequences of their own, a sequence with an odd name,
// inheritance, a partition, a table of an extension, a name in no ASCII.
const splitNames = `
CREATE SCHEMA "s.*";
CREATE TABLE "s.*"."we""ird? [t] | $x" (id serial, v text);
CREATE TABLE "s.*"."weird" (id int GENERATED ALWAYS AS IDENTITY, v text);
CREATE TABLE "Größe" (id serial, v text);
CREATE SEQUENCE "fünf"; CREATE TABLE odd_sequence (id int DEFAULT nextval('"fünf"')); ALTER SEQUENCE "fünf" OWNED BY odd_sequence.id;
CREATE TABLE parent (id int); CREATE TABLE child (v text) INHERITS (parent);
INSERT INTO "s.*"."we""ird? [t] | $x" (v) SELECT repeat('x', 100) FROM generate_series(1, 500);
INSERT INTO "s.*".weird (v) SELECT repeat('y', 100) FROM generate_series(1, 400);
INSERT INTO "Größe" (v) SELECT repeat('z', 100) FROM generate_series(1, 300);
INSERT INTO odd_sequence SELECT FROM generate_series(1, 2000);
INSERT INTO parent SELECT generate_series(1, 2000); INSERT INTO child SELECT i, repeat('c', 30) FROM generate_series(1, 2000) AS i;
`

// Promise: large tables come in archives of their own, each row and each value of
// a sequence in exactly one, whatever the tables are called; all of it is counted
// and comes back, loaded at the same time.
func TestSplit(t *testing.T) {
	t.Parallel()
	e := scratchtest.Database(t, scratchtest.Middling, splitNames)
	original := scratchtest.Dump(t, e.Database())
	c, _ := repository(t)
	o := options(e, c)
	o.Split, o.Jobs = 30000, 3
	r, err := backup.Database(t.Context(), o)
	must(t, err)
	seen := map[string]string{}
	var own []string
	for _, a := range r.Set.Manifest.Artifacts {
		if !strings.HasPrefix(a.Name, dumpset.DataPrefix) {
			continue
		}
		plain, err := artifact.Open(t.Context(), c, r.Set.Ref, a, nil, nil)
		must(t, err)
		toc, err := pgdump.Inspect(plain)
		must(t, err)
		must(t, plain.Close())
		for _, entry := range toc.Entries {
			if entry.Section != pgdump.SectionData {
				continue
			}
			key := fmt.Sprint(entry.Type, entry.Schema, entry.Name)
			if other := seen[key]; other != "" {
				t.Errorf("%s is in %s and %s", key, other, a.Name)
			}
			seen[key] = a.Name
			if !strings.HasPrefix(a.Name, dumpset.DataName) {
				own = append(own, entry.Type+" "+entry.Name)
			}
		}
	}
	for _, want := range []string{`TABLE DATA we"ird? [t] | $x`, "TABLE DATA weird", "TABLE DATA child", "TABLE DATA parent", "TABLE DATA forge_document"} {
		if !slices.Contains(own, want) {
			t.Errorf("%s has no archive of its own: %q", want, own)
		}
	}
	for _, no := range []string{"TABLE DATA Größe", "TABLE DATA odd_sequence"} {
		if slices.Contains(own, no) {
			t.Errorf("%s has an archive of its own, which pg_dump cannot be told in every encoding", no)
		}
	}
	if slices.ContainsFunc(own, func(s string) bool { return !strings.HasPrefix(s, "TABLE DATA ") }) {
		t.Errorf("more than rows: %q", own)
	}
	drill(t, c, r.Set, nil)
	into := scratchtest.Name("split")
	scratchtest.Drop(t, into)
	runner := scratchtest.Runner()
	_, err = restore.Into(t.Context(), restore.Options{
		Catalog: c, Set: r.Set, Admin: scratchtest.Admin(t), Into: into, Jobs: 3, Runner: runner, Finder: postgres.ToolFinder{Runner: runner},
	})
	must(t, err)
	if scratchtest.Dump(t, into) != original {
		t.Error("the restored database is dumped differently from the original")
	}
}

// Promise: there are never more archives than can be handled, and the last one is always there.
func TestSplitMany(t *testing.T) {
	t.Parallel()
	e := scratchtest.Database(t, `DO $$ BEGIN FOR i IN 1..40 LOOP EXECUTE format('CREATE TABLE t%s AS SELECT generate_series(1, 1000)', i); END LOOP; END $$`)
	c, _ := repository(t)
	o := options(e, c)
	o.Split = 1
	r, err := backup.Database(t.Context(), o)
	must(t, err)
	var data []string
	for _, a := range r.Set.Manifest.Artifacts {
		if strings.HasPrefix(a.Name, dumpset.DataPrefix) {
			data = append(data, a.Name)
		}
	}
	if len(data) != 16 || data[0] != "20-data-01.dump.zst" || data[15] != "20-data.dump.zst" || r.Set.Manifest.Fingerprint.Rows() != 40000 {
		t.Errorf("%d archives: %q", len(data), data)
	}
	if good, why := r.Set.Good(); !good || r.Set.Kind != catalog.KindDatabase {
		t.Error(why)
	}
}
