package insight_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/insight"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
	"github.com/bmad-forge/forgectl/pkg/remember"
)

func TestMain(m *testing.M) { os.Exit(scratchtest.Run(m)) }

// looker opens sessions that share a memory and a clock.
type looker struct {
	t      *testing.T
	e      *postgres.Endpoint
	memory remember.Store
	now    time.Time
}

func look(t *testing.T, e *postgres.Endpoint) *looker {
	return &looker{t, e, remember.Store{Dir: t.TempDir()}, time.Now()}
}

func (l *looker) session() *insight.Session {
	l.t.Helper()
	s, err := insight.Open(l.t.Context(), insight.Options{Endpoint: l.e, Memory: l.memory, Now: func() time.Time { return l.now }})
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { _ = s.Close() })
	return s
}

func (l *looker) indexes() map[string]insight.IndexFinding {
	l.t.Helper()
	r, err := l.session().Indexes(l.t.Context(), limits)
	if err != nil {
		l.t.Fatal(err)
	}
	found := map[string]insight.IndexFinding{}
	for _, f := range r.Findings {
		found[strings.TrimPrefix(f.Index, "public.")+":"+f.Kind] = f
	}
	found["notes"] = insight.IndexFinding{Why: strings.Join(r.Notes, "\n")}
	return found
}

var limits = insight.IndexLimits{UnusedAfter: 30 * 24 * time.Hour, BloatRatio: 0.4, BloatBytes: 10 << 10, Rows: 0}

const shop = `
CREATE TABLE customer (id bigint PRIMARY KEY, email text UNIQUE, name text, "order" int, place point);
CREATE TABLE purchase (id bigint PRIMARY KEY, customer_id bigint REFERENCES customer, "user" bigint REFERENCES customer, note text, at date);
CREATE INDEX purchase_customer ON purchase (customer_id);
CREATE INDEX name_1 ON customer (name);
CREATE INDEX name_2 ON customer (name);
CREATE INDEX name_desc ON customer (name DESC);
CREATE INDEX name_pattern ON customer (name text_pattern_ops);
CREATE INDEX name_c ON customer (name COLLATE "C");
CREATE INDEX name_part ON customer (name) WHERE "order" > 7;
CREATE INDEX name_part_too ON   customer (name)   WHERE "order" > 7;
CREATE INDEX name_other_part ON customer (name) WHERE "order" > 8;
CREATE INDEX name_lower ON customer (lower(name));
CREATE INDEX name_lower_too ON customer (lower(name));
CREATE INDEX name_order ON customer (name, "order");
CREATE INDEX email_again ON customer (email);
CREATE INDEX order_name ON customer ("order") INCLUDE (name);
CREATE INDEX order_name_place ON customer ("order", name, id);
CREATE UNIQUE INDEX order_unique ON customer ("order", id);
CREATE INDEX replica ON customer (id);
CREATE UNIQUE INDEX purchase_replica ON purchase (id);
ALTER TABLE purchase REPLICA IDENTITY USING INDEX purchase_replica;
CREATE INDEX purchase_at ON purchase (at);
CREATE INDEX purchase_at_too ON purchase (at);
ALTER TABLE purchase CLUSTER ON purchase_at_too;
CREATE TABLE part (id bigint, at date, note text) PARTITION BY RANGE (at);
CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE INDEX part_note ON part (note);
CREATE INDEX part_note_too ON part (note);
COMMENT ON INDEX name_2 IS 'it''s old';
INSERT INTO customer SELECT i, 'c' || i, 'n' || i, i FROM generate_series(1, 3000) i;
INSERT INTO purchase SELECT i, i, i, 'x', '2026-01-01' FROM generate_series(1, 3000) i;
ANALYZE;
`

// Promise: each report runs on every major, as a role that is no superuser, and
// says what the server has.
func TestEveryMajor(t *testing.T) {
	scratchtest.EachMajor(t, func(t *testing.T, major int, e *postgres.Endpoint) {
		scratchtest.Exec(t, e, shop, "CREATE SCHEMA odd", "CREATE EXTENSION pg_stat_statements SCHEMA odd", "CREATE EXTENSION pgstattuple SCHEMA odd",
			"SELECT odd.pg_stat_statements_reset()", "SELECT count(*) FROM purchase WHERE at > '2025-01-01'")
		role := scratchtest.Role(t, e, "LOGIN")
		grants := "GRANT pg_monitor TO " + role + "; GRANT USAGE ON SCHEMA odd TO " + role + "; GRANT SELECT ON ALL TABLES IN SCHEMA public TO " + role
		scratchtest.Exec(t, e, grants)
		l := look(t, scratchtest.Connect(t, scratchtest.Major(t, major), e.Database(), role))
		found := l.indexes()
		for _, want := range []string{"name_2:covered", "email_again:duplicate", "purchase_user_idx:missing", "name_pattern:unused"} {
			if _, ok := found[want]; !ok {
				t.Errorf("no %s", want)
			}
		}
		slow, err := l.session().Slow(t.Context(), insight.SlowOptions{By: "calls"})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(slow.Statements, func(s insight.Statement) bool {
			return strings.Contains(s.Query, "FROM purchase WHERE at") && s.Calls == 1 && s.TotalMS > 0 && s.Rows == 1
		}) {
			t.Errorf("%+v", slow.Statements)
		}
		connections, err := l.session().Connections(t.Context(), insight.ConnectionLimits{Warning: 0.8, Critical: 0.95, Transaction: time.Hour, Idle: time.Hour})
		if err != nil || connections.Used < 1 || connections.Usable != connections.Max-connections.Reserved || connections.Reserved < 3 || len(connections.Notes) > 0 {
			t.Errorf("%+v %v", connections, err)
		}
		size, err := l.session().Size(t.Context(), insight.SizeOptions{Exact: true})
		if err != nil || len(size.Tables) != 3 || size.Sum.Heap.How != "pgstattuple" || size.Sum.Total == 0 || size.Free == nil {
			t.Errorf("%+v %v", size, err)
		}
	})
}

// Promise: what is the same is found, and what differs in operator class,
// collation, order, predicate or expression is not; what something needs is never
// proposed; each statement works, and the way back brings the same index back.
func TestIndexFindings(t *testing.T) {
	e := scratchtest.Database(t, shop)
	l := look(t, e)
	found := l.indexes()
	var redundant []string
	for key := range found {
		if strings.HasSuffix(key, insight.Duplicate) || strings.HasSuffix(key, insight.Covered) {
			redundant = append(redundant, key)
		}
	}
	slices.Sort(redundant)
	want := []string{
		"email_again:duplicate", "name_1:covered", "name_2:covered", "name_lower_too:duplicate", "name_part_too:duplicate",
		"order_name:covered", "purchase_at:duplicate", "replica:duplicate",
	}
	if !slices.Equal(redundant, want) {
		t.Errorf("found  %q\nwanted %q", redundant, want)
	}
	for _, needed := range []string{"customer_pkey", "customer_email_key", "purchase_replica", "purchase_at_too", "part_note", "part_1_note_idx", "order_unique"} {
		for key, f := range found {
			if strings.HasPrefix(key, needed+":") {
				t.Errorf("%s is proposed: %+v", needed, f)
			}
		}
	}
	for key, f := range found {
		if f.SQL == "" {
			continue
		}
		name := strings.TrimPrefix(f.Index, "public.")
		definition := "SELECT coalesce(max(indexdef), '') || coalesce(max(obj_description(to_regclass('" + name + "'), 'pg_class')), '') FROM pg_indexes WHERE indexname = '" + name + "'"
		before := scratchtest.Query(t, e, definition)
		scratchtest.Exec(t, e, f.SQL)
		if between := scratchtest.Query(t, e, definition); (between == before) != (f.Kind == insight.Bloated) {
			t.Errorf("%s: %s did nothing", key, f.SQL)
		}
		for _, one := range strings.SplitAfter(f.Back, ";") {
			if one = strings.TrimSpace(one); one != "" && !strings.HasPrefix(one, "--") {
				scratchtest.Exec(t, e, one)
			}
		}
		if after := scratchtest.Query(t, e, definition); after != before {
			t.Errorf("%s: %q, now %q", key, before, after)
		}
	}
}

// Promise: an index is unused only after it was watched for long enough, whatever
// happened to the counters: scans from before a reset count, and a restored
// database, another one with the same name, is watched anew.
func TestUnusedSurvivesReset(t *testing.T) {
	e := scratchtest.Database(t, "CREATE TABLE t (a int, b int); CREATE INDEX used ON t (a); CREATE INDEX never ON t (b); INSERT INTO t SELECT i, i FROM generate_series(1, 5000) i; ANALYZE t")
	l := look(t, e)
	if f := l.indexes()["never:unused"]; !f.Early || f.SQL != "DROP INDEX CONCURRENTLY public.never;" {
		t.Errorf("at first sight: %+v", f)
	}
	scratchtest.Exec(t, e, "SELECT * FROM t WHERE a = 7")
	wait(t, e, "SELECT idx_scan > 0 FROM pg_stat_user_indexes WHERE indexrelname = 'used'")
	l.now = l.now.Add(20 * 24 * time.Hour)
	if _, unused := l.indexes()["used:unused"]; unused {
		t.Error("a scan was not seen")
	}
	scratchtest.Exec(t, e, "SELECT pg_stat_reset()")
	wait(t, e, "SELECT idx_scan = 0 FROM pg_stat_user_indexes WHERE indexrelname = 'used'")
	l.now = l.now.Add(20 * 24 * time.Hour)
	found := l.indexes()
	if _, unused := found["used:unused"]; unused {
		t.Error("a reset made it look unused")
	}
	if f := found["never:unused"]; f.Early || f.Scans != 0 || f.WatchedSince == nil || l.now.Sub(*f.WatchedSince) < 39*24*time.Hour {
		t.Errorf("after 40 days: %+v", f)
	}
	if !strings.Contains(found["notes"].Why, "reset") {
		t.Errorf("%q", found["notes"].Why)
	}
	scratchtest.Exec(t, e, "CREATE INDEX young ON t ((a + b))")
	l.now = l.now.Add(time.Hour)
	if f := l.indexes()["young:unused"]; !f.Early {
		t.Errorf("a new index: %+v", f)
	}
	file, err := filepath.Glob(filepath.Join(l.memory.Dir, "*", "*", "indexes.jsonl"))
	if err != nil || len(file) != 1 {
		t.Fatal(file, err)
	}
	if err := os.WriteFile(file[0], []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	found = l.indexes()
	if f := found["never:unused"]; !f.Early || !strings.Contains(found["notes"].Why, "is damaged") {
		t.Errorf("a damaged memory: %+v %q", f, found["notes"].Why)
	}
}

// wait polls until sql is true.
func wait(t *testing.T, e *postgres.Endpoint, sql string) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if scratchtest.Query(t, e, sql) == "true" {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("never true: %s", sql)
		}
	}
}

// Promise: a build that died is named and can be dropped; one that relies on it is
// rebuilt instead.
func TestInvalid(t *testing.T) {
	e := scratchtest.Database(t, "CREATE TABLE t (a int); INSERT INTO t VALUES (1), (1)")
	conn := scratchtest.Open(t, e)
	if _, err := conn.Exec(t.Context(), "CREATE UNIQUE INDEX CONCURRENTLY broken ON t (a)"); err == nil {
		t.Fatal("built")
	}
	f := look(t, e).indexes()["broken:invalid"]
	if f.SQL != "DROP INDEX CONCURRENTLY public.broken;" || !strings.Contains(f.Back, "CREATE UNIQUE INDEX CONCURRENTLY broken ON public.t") {
		t.Errorf("%+v", f)
	}
}

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

// Promise: who waits for whom is a tree below the one that waits for nobody, with
// its statement; old and idle transactions and prepared ones are named.
func TestConnections(t *testing.T) {
	e := scratchtest.Database(t, "CREATE TABLE t (a int PRIMARY KEY, secret text); INSERT INTO t VALUES (1, 'x')")
	holder, second, third := scratchtest.Open(t, e), scratchtest.Open(t, e), scratchtest.Open(t, e)
	exec := func(sql string) {
		if _, err := holder.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	exec("BEGIN")
	exec("UPDATE t SET secret = 'topsecret'")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{}, 2)
	go func() { _, _ = second.Exec(ctx, "ALTER TABLE t ADD COLUMN more int"); done <- struct{}{} }()
	wait(t, e, fmt.Sprintf("SELECT cardinality(pg_blocking_pids(%d)) = 1", second.PgConn().PID()))
	go func() { _, _ = third.Exec(ctx, "SELECT * FROM t"); done <- struct{}{} }()
	wait(t, e, fmt.Sprintf("SELECT cardinality(pg_blocking_pids(%d)) = 1", third.PgConn().PID()))
	l := look(t, e)
	l.now = l.now.Add(time.Hour)
	r, err := l.session().Connections(t.Context(), insight.ConnectionLimits{Warning: 2, Critical: 0, Transaction: 30 * time.Minute, Idle: 30 * time.Minute})
	cancel()
	<-done
	<-done
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(r.Blocking, func(w insight.Waiting) bool { return w.PID == int32(holder.PgConn().PID()) })
	if at < 0 {
		t.Fatalf("%+v", r.Blocking)
	}
	w := r.Blocking[at]
	if w.Query != "UPDATE t SET secret = '***'" || len(w.Waiters) != 1 || len(w.Waiters[0].Waiters) != 1 || w.Waiters[0].Waiters[0].PID != int32(third.PgConn().PID()) {
		t.Errorf("%+v", w)
	}
	texts := fmt.Sprint(r.Findings)
	for _, want := range []string{"is critical", "keeps 2 waiting"} {
		if !strings.Contains(texts, want) {
			t.Errorf("no %q in %s", want, texts)
		}
	}
	if r.Level != insight.Critical || !strings.Contains(r.Advice, "CONN_MAX_AGE") || !strings.Contains(r.Advice, "statement_timeout") {
		t.Errorf("%s %s", r.Level, r.Advice)
	}
	exec("ROLLBACK")
	exec("BEGIN")
	exec("INSERT INTO t VALUES (2, 'y')")
	exec("PREPARE TRANSACTION 'left over'")
	t.Cleanup(func() {
		_, _ = scratchtest.Open(cleanup{t}, e).Exec(context.Background(), "ROLLBACK PREPARED 'left over'")
	})
	r, err = l.session().Connections(t.Context(), insight.ConnectionLimits{Warning: 2, Critical: 2, Transaction: 30 * time.Minute, Idle: time.Hour})
	if err != nil || !strings.Contains(fmt.Sprint(r.Findings), "ROLLBACK PREPARED 'left over'; in the database") {
		t.Errorf("%+v %v", r.Findings, err)
	}
}

type cleanup struct{ testing.TB }

func (cleanup) Context() context.Context { return context.Background() }

// Promise: what was idle for long enough ends, unless it did something since the
// plan; superusers and forgectl are spared, and a role without the right is told.
func TestTerminate(t *testing.T) {
	e := scratchtest.Database(t, "CREATE TABLE t (a int)")
	app := scratchtest.Role(t, e, "LOGIN")
	ops := scratchtest.Role(t, e, "LOGIN")
	scratchtest.Exec(t, e, "GRANT pg_monitor TO "+ops)
	as := func(role, application string) *postgres.Endpoint {
		server := scratchtest.Server(t)
		target, err := postgres.Resolve(t.Context(), postgres.Target{
			URL: fmt.Sprintf("host='%s' port=%d user='%s' application_name='%s'", server.SocketDir, server.Port, role, application), Database: e.Database(),
		})
		if err != nil {
			t.Fatal(err)
		}
		return target
	}
	idle, busy, own, super := scratchtest.Open(t, as(app, "web")), scratchtest.Open(t, as(app, "web")), scratchtest.Open(t, as(app, "forgectl")), scratchtest.Open(t, as("postgres", "psql"))
	for _, conn := range []interface {
		Ping(context.Context) error
	}{idle, busy, own, super} {
		if err := conn.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	l := look(t, as(ops, "forgectl"))
	s := l.session()
	r, err := s.Connections(t.Context(), insight.ConnectionLimits{Warning: 2, Critical: 2})
	if err != nil {
		t.Fatal(err)
	}
	plan, spared := r.Idle(l.now.Add(time.Hour), 30*time.Minute)
	if len(plan) != 2 || len(spared) < 2 || !strings.Contains(strings.Join(spared, "\n"), "superuser postgres") {
		t.Fatalf("%+v %q", plan, spared)
	}
	if early, _ := r.Idle(l.now, time.Hour); len(early) != 0 {
		t.Errorf("too early: %+v", early)
	}
	if _, err := s.Terminate(t.Context(), plan[0]); !errors.Is(err, insight.ErrMayNotEnd) {
		t.Errorf("without the right: %v", err)
	}
	scratchtest.Exec(t, e, "GRANT pg_signal_backend TO "+ops)
	if _, err := busy.Exec(t.Context(), "SELECT 1"); err != nil {
		t.Fatal(err)
	}
	wait(t, e, fmt.Sprintf("SELECT state = 'idle' FROM pg_stat_activity WHERE pid = %d", busy.PgConn().PID()))
	for _, c := range plan {
		ended, err := s.Terminate(t.Context(), c)
		if err != nil || ended != (c.PID == int32(idle.PgConn().PID())) {
			t.Errorf("%d: %v %v", c.PID, ended, err)
		}
	}
	if err := busy.Ping(t.Context()); err != nil {
		t.Errorf("it was busy: %v", err)
	}
}

// Promise: growth comes from what is remembered of this very database, and the
// time that the disk lasts follows from it.
func TestSizeGrowth(t *testing.T) {
	e := scratchtest.Database(t, "CREATE TABLE t (a text)")
	l := look(t, e)
	size := func() insight.SizeReport {
		r, err := l.session().Size(t.Context(), insight.SizeOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if r := size(); r.PerDay != nil || r.FullDays != nil || len(r.History) != 1 || r.Free == nil {
		t.Errorf("%+v", r)
	}
	scratchtest.Exec(t, e, "INSERT INTO t SELECT repeat('x', 1000) FROM generate_series(1, 5000)")
	l.now = l.now.Add(48 * time.Hour)
	r := size()
	if r.PerDay == nil || *r.PerDay < 2e6 || r.FullDays == nil || *r.Tables[0].Growth < 4e6 || len(r.History) != 2 {
		t.Errorf("%+v", r)
	}
	other := look(t, scratchtest.Database(t))
	other.memory, l = l.memory, other
	if r := size(); r.PerDay != nil || len(r.History) != 1 {
		t.Errorf("another database: %+v", r)
	}
}

// Promise: a role without rights gets a report, and is told what it does not see.
func TestWithoutRights(t *testing.T) {
	e := scratchtest.Database(t, shop)
	role := scratchtest.Role(t, e, "LOGIN")
	l := look(t, scratchtest.Connect(t, scratchtest.Server(t), e.Database(), role))
	if found := l.indexes(); found["name_2:covered"].SQL == "" || !strings.Contains(found["notes"].Why, "GRANT pg_monitor TO") {
		t.Errorf("%+v", found)
	}
	if _, err := l.session().Connections(t.Context(), insight.ConnectionLimits{Warning: 2, Critical: 2}); err != nil {
		t.Error(err)
	}
	r, err := l.session().Size(t.Context(), insight.SizeOptions{})
	if err != nil || r.Free != nil || !strings.Contains(strings.Join(r.Notes, "\n"), "pg_read_all_settings") || r.Sum.Heap.How != "unknown" {
		t.Errorf("%+v %v", r, err)
	}
}
