package insight_test

import (
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
