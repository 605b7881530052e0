package insight_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/insight"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
)

// Promise: without the extension, or the library, it is said how to come by them;
// with a view of an older version, its columns are understood.
func TestStatementsMissing(t *testing.T) {
	e := scratchtest.Database(t)
	_, err := look(t, e).session().Slow(t.Context(), insight.SlowOptions{})
	var missing *insight.StatementsError
	if !errors.As(err, &missing) || !strings.Contains(missing.Hint, "shared_preload_libraries") {
		t.Errorf("%v", err)
	}
	scratchtest.EachMajor(t, func(t *testing.T, major int, e *postgres.Endpoint) {
		_, err := look(t, e).session().Slow(t.Context(), insight.SlowOptions{})
		if !errors.As(err, &missing) || !strings.HasPrefix(missing.Hint, "CREATE EXTENSION pg_stat_statements") {
			t.Errorf("%v", err)
		}
		for _, version := range []string{"1.4", "1.7", "1.8", "1.9", "1.10"} {
			conn := scratchtest.Open(t, e)
			if _, err := conn.Exec(t.Context(), "CREATE EXTENSION pg_stat_statements VERSION '"+version+"'"); err != nil {
				continue // not shipped with this major
			}
			r, err := look(t, e).session().Slow(t.Context(), insight.SlowOptions{})
			if err != nil || len(r.Statements) == 0 || r.Extension != version {
				t.Errorf("%s: %v %d", version, err, len(r.Statements))
			}
			scratchtest.Exec(t, e, "DROP EXTENSION pg_stat_statements")
		}
	})
}

// Promise: only what was added since is shown; a reset in between is said; plans
// are for statements without parameters, and nothing is run.
func TestSlowSince(t *testing.T) {
	admin := scratchtest.Connect(t, scratchtest.Major(t, 15), "postgres", "postgres")
	name := scratchtest.Name("slow")
	scratchtest.Exec(t, admin, "CREATE DATABASE "+name)
	t.Cleanup(func() { drop(admin, name) })
	e := admin.WithDatabase(name)
	scratchtest.Exec(t, e, "CREATE EXTENSION pg_stat_statements", "CREATE TABLE t (a int)", "SELECT pg_stat_statements_reset()", "CREATE ROLE "+name+"_r PASSWORD 'hunter2'",
		"DROP ROLE "+name+"_r", "INSERT INTO t DEFAULT VALUES")
	l := look(t, e)
	find := func(o insight.SlowOptions, part string) (insight.SlowReport, insight.Statement) {
		r, err := l.session().Slow(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range r.Statements {
			if strings.Contains(s.Query, "hunter2") {
				t.Errorf("a password: %s", s.Query)
			}
			if strings.Contains(s.Query, part) {
				return r, s
			}
		}
		return r, insight.Statement{}
	}
	if _, err := l.session().Slow(t.Context(), insight.SlowOptions{Since: time.Hour}); !errors.Is(err, insight.ErrNoSnapshot) {
		t.Errorf("%v", err)
	}
	if _, s := find(insight.SlowOptions{}, "INSERT INTO t"); s.Calls != 1 {
		t.Errorf("%+v", s)
	}
	if _, s := find(insight.SlowOptions{}, "PASSWORD '***'"); s.Calls != 1 {
		t.Errorf("%+v", s)
	}
	l.now = l.now.Add(2 * time.Hour)
	scratchtest.Exec(t, e, "INSERT INTO t DEFAULT VALUES", "INSERT INTO t DEFAULT VALUES")
	if r, s := find(insight.SlowOptions{Since: time.Hour}, "INSERT INTO t"); s.Calls != 2 || r.Since == nil {
		t.Errorf("%+v", s)
	}
	rows := scratchtest.Query(t, e, "SELECT count(*) FROM t")
	scratchtest.Exec(t, e, "CREATE TABLE note (text text); CREATE VIEW seen AS SELECT * FROM note WHERE text = 'its first line\nhunter2' OR text = E'back\\\\slash\nhunter2'", "SELECT * FROM seen")
	masked := explained(l, "SELECT * FROM seen")
	if !strings.Contains(strings.Join(masked.Plan.Lines, "\n"), "Seq Scan on note") {
		t.Errorf("%+v", masked.Plan)
	} else if plan := strings.Join(masked.Plan.Lines, "\n"); strings.Contains(plan, "hunter2") || !strings.Contains(plan, "'***'::text") {
		t.Errorf("a constant in a plan: %s", plan)
	}
	if planned := explained(l, "INSERT INTO t DEFAULT VALUES"); len(planned.Plan.Lines) == 0 || !strings.HasPrefix(planned.Plan.Lines[0], "Insert on t") {
		t.Errorf("%+v", planned.Plan)
	}
	if after := scratchtest.Query(t, e, "SELECT count(*) FROM t"); after != rows {
		t.Errorf("it was run: %s rows, now %s", rows, after)
	}
	l.now = l.now.Add(2 * time.Hour)
	scratchtest.Exec(t, e, "SELECT pg_stat_statements_reset()", "INSERT INTO t DEFAULT VALUES")
	if r, s := find(insight.SlowOptions{Since: time.Hour}, "INSERT INTO t"); s.Calls != 1 || !strings.Contains(strings.Join(r.Notes, ""), "reset") {
		t.Errorf("%+v %q", s, r.Notes)
	}
}

// explained is a report with the plan of a statement. Its place in the list changes
// with whatever is run meanwhile.
func explained(l *looker, query string) insight.SlowReport {
	l.t.Helper()
	number := 1
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		r, err := l.session().Slow(l.t.Context(), insight.SlowOptions{Explain: number})
		if err != nil {
			l.t.Fatal(err)
		}
		at := 1 + slices.IndexFunc(r.Statements, func(s insight.Statement) bool { return s.Query == query })
		if at == number {
			return r
		}
		number = max(at, 1)
	}
	l.t.Fatalf("%s never came twice at the same place", query)
	return insight.SlowReport{}
}

func drop(admin *postgres.Endpoint, name string) {
	ctx := context.Background()
	if conn, err := admin.Connect(ctx); err == nil {
		_, _ = conn.Exec(ctx, "DROP DATABASE "+name+" WITH (FORCE)")
		_ = conn.Close(ctx)
	}
}

// Promise: no quoted constant gets through, whichever way it is quoted or cut off.
func TestMask(t *testing.T) {
	for sql, want := range map[string]string{
		"ALTER ROLE x PASSWORD 'a''b'":            "ALTER ROLE x PASSWORD '***'",
		`ALTER ROLE x PASSWORD E'a\'b' VALID`:     "ALTER ROLE x PASSWORD E'***' VALID",
		"DO $body$ secret $body$; SELECT 'x":      "DO '***'; SELECT '***'",
		"SELECT $1, $2::text, a$b, \"it's\" -- '": "SELECT $1, $2::text, a$b, \"it's\" -- '",
		"SELECT /* ' */ 1, U&'x', type'y'":        "SELECT /* ' */ 1, U&'***', type'***'",
		"$$cut off":                               "'***'",
		"":                                        "",
	} {
		if got := insight.Mask(sql); got != want {
			t.Errorf("%s\nis     %s\nwanted %s", sql, got, want)
		}
	}
}
