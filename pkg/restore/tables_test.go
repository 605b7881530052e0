package restore_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/backup"
	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/catalog/catalogtest"
	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/dumpfile"
	"github.com/bmad-forge/forgectl/pkg/postgres/pgdump"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
	"github.com/bmad-forge/forgectl/pkg/restore"
	"github.com/bmad-forge/forgectl/pkg/seal"
	"github.com/bmad-forge/forgectl/pkg/seal/sealtest"
)

// Promise: chosen tables of a set, sealed or not, become a database beside the
// others, compared, with everything that belongs to them and nothing else; the
// plan says the same before.
func TestTables(t *testing.T) {
	t.Parallel()
	knotty, err := os.ReadFile("../postgres/pgdump/testdata/choose.sql")
	must(t, err)
	e := scratchtest.Database(t, scratchtest.Middling, string(knotty))
	c := catalogtest.Open(t, t.TempDir())
	public, secret := sealtest.Pair(t, "tables")
	runner := scratchtest.Runner()
	saved, err := backup.Database(t.Context(), backup.DatabaseOptions{
		SetOptions:  backup.SetOptions{Catalog: c},
		Sealing:     backup.Sealing{Seal: seal.Options{Recipients: []*seal.Key{public}}},
		Endpoint:    e,
		Runner:      runner,
		Finder:      postgres.ToolFinder{Runner: runner},
		Fingerprint: catalog.FingerprintFull,
		Split:       1, // several archives of data
	})
	must(t, err)
	set := saved.Set
	scratchtest.Exec(t, e, "DROP SUBSCRIPTION elsewhere") // with it the database could not be dropped
	o := options(t, c, set, scratchtest.Name("some"))
	o.Unlock = keyring(secret)
	o.Tables = []string{"remark", "measure", `"Odd.Schema"."ON"`}
	plan, err := restore.PlanInto(t.Context(), o)
	must(t, err)
	if want := []string{`"Odd.Schema"."ON"`, "archive.measure_2025_us", "public.measure", "public.measure_2025", "public.measure_2025_eu", "public.measure_rest", "public.remark"}; !slices.Equal(plan.Choice.Tables, want) {
		t.Errorf("tables %q", plan.Choice.Tables)
	}
	if plan.Fingerprint.Rows() != 502 || len(plan.Choice.LeftOut) != 6 || plan.Bytes <= 0 || plan.Bytes >= set.Manifest.Source.Bytes {
		t.Errorf("%d rows, %d bytes, left out %q", plan.Fingerprint.Rows(), plan.Bytes, plan.Choice.LeftOut)
	}
	if left := like(t, o.Into); left != "" {
		t.Errorf("the plan made %s", left)
	}
	r, err := restore.Into(t.Context(), o)
	must(t, err)
	if len(r.Warnings) > 0 || !slices.Equal(r.Choice.LeftOut, plan.Choice.LeftOut) || len(r.Stages) != 6 {
		t.Errorf("warnings %q, stages %v, left out %q", r.Warnings, r.Stages, r.Choice.LeftOut)
	}
	got := scratchtest.Query(t, o.Admin.WithDatabase(o.Into), `SELECT concat_ws(' ', (SELECT count(*) FROM measure), (SELECT count(*) FROM remark), (SELECT count(*) FROM "Odd.Schema"."ON"),
		(SELECT count(*) FROM forge_template), (SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND conparentid = 0), (SELECT count(*) FROM pg_largeobject_metadata), (SELECT count(*) FROM pg_subscription WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())),
		nextval('remark_id_seq'))`)
	if got != "400 100 2 0 1 0 0 101" {
		t.Errorf("the copy holds %s", got)
	}
	if left, _ := pgdump.Exists(t.Context(), o.Admin, r.Working); left {
		t.Errorf("%s is still there", r.Working)
	}
}

// Promise: when a chosen table is not what it was, nothing is left; rows of
// another table of the set do not matter.
func TestTablesCompared(t *testing.T) {
	t.Parallel()
	s := copySet(t, false)
	s.Forge(func(m *catalog.Manifest) {
		for i := range m.Fingerprint.Tables {
			if m.Fingerprint.Tables[i].Name == "forge_document" {
				m.Fingerprint.Tables[i].Rows++
			}
		}
	})
	o := options(t, s.Catalog, s.Set(), scratchtest.Name("some"))
	o.Tables = []string{"forge_document", "event"}
	if _, err := restore.Into(t.Context(), o); !errors.Is(err, pgdump.ErrDiffers) || !strings.Contains(err.Error(), "forge_document") {
		t.Errorf("got %v", err)
	}
	if left := like(t, o.Into); left != "" {
		t.Errorf("left: %s", left)
	}
	o.Tables = []string{"event"}
	_, err := restore.Into(t.Context(), o)
	must(t, err)
}

// Promise: some tables never take the live database's place, nor are they taken
// out of a file; an unknown name, and too little room for what is chosen, are found
// before anything is made.
func TestTablesRefused(t *testing.T) {
	t.Parallel()
	s := copySet(t, true)
	o := options(t, s.Catalog, s.Set(), scratchtest.Name("some"))
	o.Step = func(name string) { t.Errorf("went on to %q", name) }
	o.Tables = []string{"event", "evant"}
	var unknown *pgdump.TableError
	if _, err := restore.Into(t.Context(), o); !errors.As(err, &unknown) || unknown.Name != "evant" {
		t.Errorf("unknown: %v", err)
	}
	o.Tables = []string{"event"}
	live := o
	live.Into, live.Live, live.Intents = "", scratchtest.Database(t, "CREATE TABLE precious ()").Database(), restore.Intents{Dir: t.TempDir()}
	live.Confirm = func(context.Context, restore.Plan) error { t.Error("asked"); return nil }
	if _, err := restore.Replace(t.Context(), live); !errors.Is(err, restore.ErrTables) {
		t.Errorf("replace: %v", err)
	}
	if _, err := restore.PlanReplace(t.Context(), live); !errors.Is(err, restore.ErrTables) {
		t.Errorf("plan to replace: %v", err)
	}
	file := o
	file.File = &dumpfile.File{}
	if _, err := restore.Into(t.Context(), file); !errors.Is(err, restore.ErrTables) {
		t.Errorf("file: %v", err)
	}
	// Room is needed for what is chosen, not for the whole.
	plain := copySet(t, false)
	plain.Forge(func(m *catalog.Manifest) { m.Source.Bytes = 1 << 42 })
	o.Catalog, o.Set = plain.Catalog, plain.Set()
	var space *restore.SpaceError
	if _, err := restore.Into(t.Context(), o); !errors.As(err, &space) || space.Need < 1<<39 || space.Need > 3<<40 {
		t.Errorf("a quarter of a large database: %v", err)
	}
	o.Tables = []string{"no_columns"}
	if _, err := restore.PlanInto(t.Context(), o); err != nil {
		t.Errorf("an empty table of a large database: %v", err)
	}
	if left := like(t, "some"); strings.Contains(left, o.Into) {
		t.Errorf("made %s", left)
	}
}

// Promise: a table is meant by the name that an operator types, whatever the
// encoding of the database is.
func TestTablesEncoding(t *testing.T) {
	t.Parallel()
	name := scratchtest.Name("euc")
	admin := scratchtest.Admin(t)
	scratchtest.Exec(t, admin, "CREATE DATABASE "+name+" TEMPLATE template0 ENCODING 'EUC_JP' LOCALE 'C'")
	scratchtest.Drop(t, name)
	e := admin.WithDatabase(name)
	scratchtest.Exec(t, e, `CREATE TABLE "日本" (id serial PRIMARY KEY, "名" text); CREATE TABLE other (id int REFERENCES "日本")`,
		`INSERT INTO "日本" ("名") VALUES ('東京'), ('大阪'); INSERT INTO other VALUES (1)`, `CREATE INDEX ON "日本" ("名")`)
	c := catalogtest.Open(t, t.TempDir())
	o := options(t, c, save(t, c, e, nil), scratchtest.Name("some"))
	o.Tables = []string{"日本"}
	r, err := restore.Into(t.Context(), o)
	must(t, err)
	if r.Fingerprint.Rows() != 2 || !slices.Equal(r.Choice.Tables, []string{"public.日本"}) {
		t.Errorf("%d rows in %q", r.Fingerprint.Rows(), r.Choice.Tables)
	}
	got := scratchtest.Query(t, admin.WithDatabase(o.Into), `SELECT concat_ws(' ', (SELECT string_agg("名", ',' ORDER BY id) FROM "日本"), (SELECT count(*) FROM other),
		(SELECT count(*) FROM pg_index WHERE indrelid = '"日本"'::regclass), nextval('"日本_id_seq"'))`)
	if got != "東京,大阪 0 2 3" {
		t.Errorf("the copy holds %s", got)
	}
}
