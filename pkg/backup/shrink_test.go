package backup_test

import (
	"errors"
	"io"
	"regexp"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/backup"
	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
	"github.com/bmad-forge/forgectl/pkg/store/local"
	"github.com/bmad-forge/forgectl/pkg/store/storetest"
)

// shrinking is a database of two tables.
func shrinking(t *testing.T) *postgres.Endpoint {
	t.Helper()
	return scratchtest.Database(t,
		"CREATE TABLE event AS SELECT id, repeat(md5(id::text), 10) AS text FROM generate_series(1, 3000) id",
		"CREATE TABLE document AS SELECT id, repeat(md5(id::text), 10) AS text FROM generate_series(1, 9000) id")
}

// suspicion is why the set of a backup is suspect, "" when it is good.
func suspicion(t *testing.T, o backup.DatabaseOptions) string {
	t.Helper()
	result, err := backup.Database(t.Context(), o)
	must(t, err)
	good, why := result.Set.Good()
	switch k := result.Set.Suspicion(); {
	case k != nil && !good:
		return k.Reason
	case !good || k != nil:
		t.Errorf("good %v: %s", good, why)
	}
	return ""
}

// Promise: a set that lost much is suspect from its first moment, with a reason; what is suspect is no measure for
// the next; what was accepted is the only one.
func TestShrink(t *testing.T) {
	t.Parallel()
	e := shrinking(t)
	c, _ := repository(t)
	o := options(e, c)
	o.Shrink = 50
	for _, step := range []struct{ sql, want string }{
		{"", "^$"},
		{"DELETE FROM event WHERE id > 1500", "^$"},
		{"DROP TABLE event", `^public\.event fell from 1500 rows to 0$`},
		{"TRUNCATE document", `^rows fell from 10500 to 0, data from [0-9.]+ MiB to [0-9.]+ KiB, public\.document from 9000 rows to 0, public\.event from 1500 rows to 0$`},
	} {
		if step.sql != "" {
			scratchtest.Exec(t, e, step.sql)
		}
		if got := suspicion(t, o); !regexp.MustCompile(step.want).MatchString(got) {
			t.Errorf("%s: %q", step.sql, got)
		}
	}
	sets, err := c.List(t.Context(), group(e))
	must(t, err)
	must(t, c.AddCheck(t.Context(), sets[len(sets)-1].Ref, catalog.Check{What: catalog.CheckAccept, Reason: "it was meant"}))
	if got := suspicion(t, o); got != "" {
		t.Errorf("after it was accepted: %s", got)
	}
	o.Shrink = 0
	scratchtest.Exec(t, e, "DROP TABLE document")
	if got := suspicion(t, o); got != "" {
		t.Errorf("without a guard: %s", got)
	}
}

// Promise: without fingerprints the bytes are compared, of all data artifacts together, and a set with one is no
// reason to doubt one without.
func TestShrinkWithoutRows(t *testing.T) {
	t.Parallel()
	e := shrinking(t)
	c, _ := repository(t)
	o := options(e, c)
	o.Shrink, o.Fingerprint = 50, catalog.FingerprintNone
	d, err := c.Begin(t.Context(), group(e))
	must(t, err)
	m := catalog.Manifest{Fingerprint: &catalog.Fingerprint{Level: catalog.FingerprintCounts, Tables: []catalog.Table{{Schema: "public", Name: "gone", Rows: 5000}}}}
	for _, name := range []string{"10-pre-data.dump.zst", "20-data-1.dump.zst", "20-data-2.dump.zst"} {
		b, err := d.Put(t.Context(), name, func(w io.Writer) error { _, err := io.WriteString(w, "x"); return err })
		must(t, err)
		m.Artifacts = append(m.Artifacts, catalog.Artifact{Name: b.Name, RawBytes: 5 << 20})
	}
	_, err = d.Publish(t.Context(), m)
	must(t, err)
	if got := suspicion(t, o); !regexp.MustCompile(`^data fell from 10\.0 MiB to 3\.\d MiB$`).MatchString(got) {
		t.Errorf("%q", got)
	}
	o.Shrink = 70
	if got := suspicion(t, o); got != "" {
		t.Errorf("%q", got)
	}
}

// Promise: a set that cannot be marked is not published without its mark.
func TestShrinkCannotMark(t *testing.T) {
	t.Parallel()
	e := shrinking(t)
	c, dir := repository(t)
	o := options(e, c)
	o.Shrink = 50
	if got := suspicion(t, o); got != "" {
		t.Fatal(got)
	}
	scratchtest.Exec(t, e, "TRUNCATE document, event")
	s, err := local.Open(dir, local.Options{})
	must(t, err)
	t.Cleanup(func() { _ = s.Close() })
	trouble := errors.New("input/output error")
	fault := storetest.Fault{Method: "Put", Name: group(e).Dir() + "/.partial-*/" + catalog.ChecksDir + "/*", Err: trouble}
	o.Catalog = catalog.New(storetest.Faulty(t, s, fault), catalog.Options{Now: clock(), Host: "web1"})
	if _, err := backup.Database(t.Context(), o); !errors.Is(err, trouble) {
		t.Error(err)
	}
	if sets, err := c.List(t.Context(), group(e)); err != nil || len(sets) != 1 {
		t.Errorf("%d sets, %v", len(sets), err)
	}
}
