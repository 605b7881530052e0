package restore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/backup"
	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/catalog/catalogtest"
	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/pgdump"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
	"github.com/bmad-forge/forgectl/pkg/restore"
	"github.com/bmad-forge/forgectl/pkg/verify"
)

// permitted is a difference that is as it must be: a line that one dump has
// more often than the other.
type permitted struct {
	line   string // what it matches
	reason string
}

// hard is a database with what applications do to PostgreSQL.
type hard struct {
	name     string
	database string   // its name; default: one of the test's own
	create   string   // the rest of CREATE DATABASE
	spaces   []string // tablespaces that it needs
	files    []string // of testdata/hard
	after    []string // SQL, each in a transaction of its own; %s is the quoted name of the database
	said     []string // what the backup says that the set lacks
	// from, if set, is where the database is backed up: not where it was made.
	from     func(made *postgres.Endpoint) *postgres.Endpoint
	dumpArgs []string // of the dumps that are compared
	// permitted between the dump of the original and those of both restores.
	permitted []permitted
	// same are queries that must give the same on the original and on our restore: what pg_dump does not print.
	same []string
	// lost are those that must not: what no dump can bring back, and why. A query that gives the same fails.
	lost map[string]string
}

// hardRoles are made once: a role is of the whole server.
var hardRoles = []string{"hard_owner", "hard_reader", "hard_super", `Hard o'clock "TO" x`, "Hard\ntwo lines", "Hard ümlaut"}

var hardDatabases = []hard{
	{
		name: "objects", database: "a=b",
		files: []string{"large_objects", "partitions", "inheritance", "columns", "types", "security", "code", "replication"},
		after: []string{
			// What a failed CREATE INDEX CONCURRENTLY leaves.
			`DO $$ BEGIN CREATE INDEX broken ON cols.doubled (id); UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'cols.broken'::regclass; END $$`,
			"ALTER DATABASE %s OWNER TO hard_owner", "ALTER DATABASE %s CONNECTION LIMIT 20", "COMMENT ON DATABASE %s IS E'it''s\n\"a=b\"'",
			"REVOKE ALL ON DATABASE %s FROM PUBLIC", `GRANT CONNECT, TEMPORARY ON DATABASE %s TO hard_reader, "Hard o'clock ""TO"" x" WITH GRANT OPTION`,
			`ALTER DATABASE %s SET search_path = "$user", parts, "Odd, schema"`, "ALTER DATABASE %s SET default_transaction_read_only = on",
			"ALTER DATABASE %s SET DateStyle = 'German, DMY'", "ALTER DATABASE %s SET bytea_output = escape", "ALTER DATABASE %s SET extra_float_digits = 0", "ALTER DATABASE %s SET IntervalStyle = sql_standard",
			"ALTER DATABASE %s SET app.x = E'it''s\\na \"b\"'", "ALTER DATABASE %s SET statement_timeout = '1min'", "ALTER DATABASE %s SET row_security = off",
			`ALTER ROLE "Hard o'clock ""TO"" x" IN DATABASE %s SET work_mem = '7MB'`, "ALTER ROLE hard_owner IN DATABASE %s SET search_path = ''",
		},
		permitted: []permitted{
			{`^COPY heirs\.(child|grandchild) |^-?\d\t.*\t2026-01-01 00:00:00\+00`, "a column that was added to a parent stands behind a child's own ones, and before them once the child is made anew"},
		},
		same: []string{
			"SELECT string_agg(format('%s %s %s', oid, pg_get_userbyid(lomowner), md5(lo_get(oid))), ', ' ORDER BY oid) FROM pg_largeobject_metadata",
			"SELECT string_agg(format('%s %s %s', indexrelid::regclass, indisvalid, indisreplident), ', ' ORDER BY indexrelid::regclass::text) FROM pg_index WHERE indrelid::regclass::text !~ '^pg_' AND indexrelid::regclass::text <> 'cols.broken'",
			"SELECT string_agg(format('%s %s %s %s %s', subname, subenabled, subslotname, subpublications, subconninfo), ', ' ORDER BY subname) FROM pg_subscription WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())",
			"SELECT string_agg(format('%s %s %s', usename, srvname, (SELECT array_agg(o ORDER BY o) FROM unnest(umoptions) o)), ', ' ORDER BY usename, srvname) FROM pg_user_mappings",
			"SELECT string_agg(format('%s %s', relname, relpersistence), ', ' ORDER BY relname) FROM pg_class WHERE relpersistence = 'u' AND relname !~ '^pg_toast'",
			"SELECT string_agg(format('%s %s', inhrelid::regclass, inhparent::regclass), ', ' ORDER BY inhrelid::regclass::text, inhparent::regclass::text) FROM pg_inherits",
		},
		lost: map[string]string{
			"SELECT to_regclass('cols.broken')": "an invalid index is of no use to anybody; pg_dump leaves it out",
		},
	},
	{name: "event triggers", database: "--help", files: []string{"events"}},
	{name: "names", database: "Hard \"quoted\", it's\ntwo \\ lines ü", files: []string{"names"}, after: []string{`ALTER DATABASE %s OWNER TO "Hard o'clock ""TO"" x"`}},
	{name: "extensions", database: "select", files: []string{"contrib"}, same: []string{
		"SELECT string_agg(format('%s %s %s %s', extname, extversion, extnamespace::regnamespace, pg_get_userbyid(extowner)), ', ' ORDER BY extname) FROM pg_extension",
	}},
	{name: "empty", database: "Empty " + strings.Repeat("ü", 28)},
	{name: "LATIN1", create: "ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'", files: []string{"legacy"}},
	{name: "SQL_ASCII", create: "ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'", files: []string{"legacy"}, after: []string{`INSERT INTO "Größe"."Maße" VALUES (9, E'\xfc\xff')`, `REFRESH MATERIALIZED VIEW "Größe"."größte"`}},
	{name: "EUC_JP", create: "ENCODING 'EUC_JP' LC_COLLATE 'C' LC_CTYPE 'C'", files: []string{"japanese"}},
	{name: "ICU", create: "ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'de-u-co-phonebk' LC_COLLATE 'C.UTF-8' LC_CTYPE 'C.UTF-8'", files: []string{"legacy", "japanese"}},
	{
		name: "tablespaces", create: "TABLESPACE hard_space", spaces: []string{"hard_space", `Hard "odd" space`}, files: []string{"spaces"}, same: []string{
			"SELECT string_agg(format('%s %s', c.oid::regclass, spcname), ', ' ORDER BY c.oid::regclass::text) FROM pg_class c LEFT JOIN pg_tablespace s ON s.oid = c.reltablespace WHERE relnamespace = 'public'::regnamespace",
		},
	},
}

// Promise: whatever a database holds, it is backed up, drilled, restored and
// compared, and comes back as it was and as stock pg_dump and pg_restore bring it
// back, but for the differences that are permitted here, each with its reason.
func TestHard(t *testing.T) {
	t.Parallel()
	makeHardRoles(t)
	for _, h := range hardDatabases {
		t.Run(h.name, func(t *testing.T) {
			t.Parallel()
			h.run(t, scratchtest.Server(t))
		})
	}
}

// makeHardRoles makes the roles that the SQL files name.
func makeHardRoles(t *testing.T) {
	t.Helper()
	admin := scratchtest.Admin(t)
	for _, name := range hardRoles {
		attributes := " NOLOGIN"
		if name == "hard_super" {
			attributes = " SUPERUSER"
		}
		scratchtest.Exec(t, admin, "CREATE ROLE "+postgres.QuoteIdent(name)+attributes)
		t.Cleanup(func() { scratchtest.Exec(background{t}, admin, "DROP ROLE "+postgres.QuoteIdent(name)) })
	}
}

// run is the whole way of one database.
func (h hard) run(t *testing.T, server *scratch.Cluster) {
	t.Helper()
	admin := scratchtest.Connect(t, server, "postgres", scratch.Superuser)
	for _, name := range h.spaces {
		makeSpace(t, server, admin, name)
	}
	source := h.make(t, admin)
	if h.from != nil {
		source = h.from(source)
	}
	c := catalogtest.Open(t, t.TempDir())
	runner := scratchtest.Runner()
	made, err := backup.Database(t.Context(), backup.DatabaseOptions{
		SetOptions:  backup.SetOptions{Catalog: c},
		Endpoint:    source,
		Runner:      runner,
		Finder:      postgres.ToolFinder{Runner: runner},
		Fingerprint: catalog.FingerprintFull,
		Split:       1, // whatever can be divided is
		Jobs:        3,
	})
	must(t, err)
	if m := made.Set.Manifest; !slices.Equal(m.Incomplete, h.said) || len(made.Warnings) > 0 {
		t.Errorf("the backup says %q, warnings %q", m.Incomplete, made.Warnings)
	}
	verdict, err := verify.Verify(t.Context(), verify.Options{
		Catalog: c, Level: catalog.LevelDrill, Jobs: 3, Runner: runner, Finder: postgres.ToolFinder{Runner: runner}, Scratch: scratch.Options{Dir: shortDir(t)},
	}, made.Set)
	must(t, err)
	if !verdict.OK || len(verdict.Warnings) > 0 {
		t.Errorf("drill: %v, warnings %q", verdict.Err(), verdict.Warnings)
	}

	into := scratchtest.Name("hard ours")
	dropHard(t, admin, into)
	restored, err := restore.Into(t.Context(), restore.Options{
		Catalog: c, Set: made.Set, Admin: admin, Into: into, Jobs: 3, Runner: runner, Finder: postgres.ToolFinder{Runner: runner},
	})
	must(t, err)
	if len(restored.Warnings) > 0 {
		t.Errorf("the restore warns %q", restored.Warnings)
	}
	stock := h.stock(t, source, admin)

	original, ours, theirs := h.dump(t, source), h.dump(t, admin.WithDatabase(into)), h.dump(t, stock)
	h.compare(t, original, ours)
	if difference := differences(theirs, ours); len(difference) > 0 {
		t.Errorf("our restore and the stock one differ:\n%s", shorten(difference))
	}
	if got, want := properties(t, admin, into), properties(t, admin, source.Database()); got != want {
		t.Errorf("properties\n%s\ninstead of\n%s", got, want)
	}
	for _, sql := range append(slices.Clone(h.same), materialized) {
		if got, want := scratchtest.Query(t, admin.WithDatabase(into), sql), scratchtest.Query(t, source, sql); got != want {
			t.Errorf("%s\n%s\ninstead of\n%s", sql, got, want)
		}
	}
	for sql, why := range h.lost {
		if scratchtest.Query(t, admin.WithDatabase(into), sql) == scratchtest.Query(t, source, sql) {
			t.Errorf("%s gives the same, although %s", sql, why)
		}
	}
}

// materialized is what materialized views hold: pg_dump does not say.
const materialized = `SELECT string_agg(format('%s %s %s', matviewname, ispopulated,
	CASE WHEN ispopulated THEN query_to_xml(format('SELECT count(*), sum(hashtext(t::text)) FROM %I.%I t', schemaname, matviewname), true, true, '')::text END), ' ' ORDER BY matviewname) FROM pg_matviews`

// Promise: a restore that is broken off leaves nothing, even when subscriptions,
// which the server would not drop with the database, were restored already; and
// what they subscribe to is not asked.
func TestHardBrokenOff(t *testing.T) {
	t.Parallel()
	e := scratchtest.Database(t, "CREATE TABLE t (id int)")
	scratchtest.Exec(t, e, "CREATE SUBSCRIPTION broken_off CONNECTION 'host=/nonexistent' PUBLICATION p WITH (connect = false)", `CREATE SUBSCRIPTION "Odd ""one""" CONNECTION 'host=/nonexistent' PUBLICATION p WITH (connect = false, slot_name = NONE)`)
	c := catalogtest.Open(t, t.TempDir())
	o := options(t, c, save(t, c, e, nil), scratchtest.Name("broken off"))
	dropHard(t, o.Admin, e.Database())
	ctx, enough := context.WithCancelCause(t.Context())
	stop := errors.New("enough")
	o.Step = func(name string) {
		if name == "loaded post-data" {
			enough(stop)
		}
	}
	r, err := restore.Into(ctx, o)
	if !errors.Is(err, stop) || strings.Contains(err.Error(), "drop") {
		t.Errorf("got %v", err)
	}
	if left, err := pgdump.Exists(t.Context(), o.Admin, r.Working); left || err != nil {
		t.Errorf("%s is left, %v", r.Working, err)
	}
}

// make makes the original.
func (h hard) make(t *testing.T, admin *postgres.Endpoint) *postgres.Endpoint {
	t.Helper()
	name := h.database
	if name == "" {
		name = scratchtest.Name("hard")
	}
	scratchtest.Exec(t, admin, "CREATE DATABASE "+postgres.QuoteIdent(name)+" TEMPLATE template0 "+h.create)
	dropHard(t, admin, name)
	e := admin.WithDatabase(name)
	for _, file := range h.files {
		client(t, e, "psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--file="+filepath.Join("testdata", "hard", file+".sql"))
	}
	scratchtest.Exec(t, e, func() (all []string) {
		for _, sql := range h.after {
			all = append(all, strings.ReplaceAll(sql, "%s", postgres.QuoteIdent(name)))
		}
		return all
	}()...)
	return e
}

// makeSpace makes a tablespace in a directory of the server's user.
func makeSpace(t *testing.T, server *scratch.Cluster, admin *postgres.Endpoint, name string) {
	t.Helper()
	dir := shortDir(t)
	if server.User != nil {
		must(t, os.Chown(dir, int(server.User.UID), int(server.User.GID)))
	}
	scratchtest.Exec(t, admin, "CREATE TABLESPACE "+postgres.QuoteIdent(name)+" LOCATION "+postgres.QuoteLiteral(dir))
	t.Cleanup(func() { scratchtest.Exec(background{t}, admin, "DROP TABLESPACE "+postgres.QuoteIdent(name)) })
}

// dropHard drops a database in the end, with its subscriptions, which would forbid it.
func dropHard(t *testing.T, admin *postgres.Endpoint, name string) {
	t.Helper()
	t.Cleanup(func() {
		if scratchtest.Query(background{t}, admin, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = "+postgres.QuoteLiteral(name)+")") != "true" {
			return
		}
		scratchtest.Exec(background{t}, admin.WithDatabase(name), "SET default_transaction_read_only = off", `DO $$ DECLARE s name; BEGIN
			FOR s IN SELECT subname FROM pg_subscription WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database()) LOOP
				EXECUTE format('ALTER SUBSCRIPTION %I SET (slot_name = NONE)', s); EXECUTE format('DROP SUBSCRIPTION %I', s); END LOOP; END $$`)
		scratchtest.Exec(background{t}, admin, "DROP DATABASE "+postgres.QuoteIdent(name)+" WITH (FORCE)")
	})
}

// stock is what pg_dump and pg_restore make of the original.
func (h hard) stock(t *testing.T, source, admin *postgres.Endpoint) *postgres.Endpoint {
	t.Helper()
	name := scratchtest.Name("hard stock")
	scratchtest.Exec(t, admin, "CREATE DATABASE "+postgres.QuoteIdent(name)+" TEMPLATE template0 "+h.create)
	dropHard(t, admin, name)
	archive := filepath.Join(t.TempDir(), "stock.dump")
	client(t, source, "pg_dump", "--format=custom", "--compress=0", "--file="+archive)
	client(t, admin.WithDatabase(name), "pg_restore", "--exit-on-error", "--dbname=", archive)
	return admin.WithDatabase(name)
}

// client runs a client program against e and returns what it printed.
func client(t testing.TB, e *postgres.Endpoint, program string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/usr/lib/postgresql/15/bin/"+program, args...)
	cmd.Env = os.Environ()
	switch program {
	case "psql":
		cmd.Env = append(cmd.Env, "PGCLIENTENCODING=UTF8")
	case "pg_dump":
		cmd.Env = append(cmd.Env, "PGOPTIONS=-c bytea_output=hex") // whatever the database has; the stock restore has nothing of it
	}
	params, err := postgres.ParseConninfo(e.Conninfo())
	must(t, err)
	for name, key := range map[string]string{"PGHOST": "host", "PGPORT": "port", "PGUSER": "user", "PGDATABASE": "dbname"} {
		cmd.Env = append(cmd.Env, name+"="+params[key])
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", program, e.Database(), err, stderr.String())
	}
	return string(out)
}

// dump is everything that pg_dump prints of a database.
func (h hard) dump(t testing.TB, e *postgres.Endpoint) string {
	t.Helper()
	return client(t, e, "pg_dump", append([]string{"--restrict-key=test"}, h.dumpArgs...)...)
}

// compare finds what is not permitted, and what is permitted for nothing.
func (h hard) compare(t *testing.T, original, ours string) {
	t.Helper()
	used := make([]bool, len(h.permitted))
	var others []string
	for _, line := range differences(original, ours) {
		known := slices.IndexFunc(h.permitted, func(p permitted) bool { return regexp.MustCompile(p.line).MatchString(line[2:]) })
		if known < 0 {
			others = append(others, line)
			continue
		}
		used[known] = true
	}
	if len(others) > 0 {
		t.Errorf("the original and our restore differ:\n%s", shorten(others))
	}
	for i, p := range h.permitted {
		if !used[i] {
			t.Errorf("%q is permitted, because %s, and does not happen", p.line, p.reason)
		}
	}
	if original != ours && len(h.permitted) == 0 && len(others) == 0 {
		t.Error("the original and our restore have the same lines in another order")
	}
}

// differences are the lines that one text has more often than the other.
func differences(before, after string) []string {
	counts := map[string]int{}
	for line := range strings.SplitSeq(before, "\n") {
		counts[line]++
	}
	for line := range strings.SplitSeq(after, "\n") {
		counts[line]--
	}
	var all []string
	for _, line := range slices.Sorted(maps.Keys(counts)) {
		if n := counts[line]; n > 0 {
			all = append(all, "- "+line)
		} else if n < 0 {
			all = append(all, "+ "+line)
		}
	}
	return all
}

func shorten(lines []string) string {
	const shown = 30
	if len(lines) > shown {
		lines = append(lines[:shown:shown], fmt.Sprintf("and %d more", len(lines)-shown))
	}
	return fmt.Sprintf("%.4000s", strings.Join(lines, "\n"))
}

// properties are those that pg_dump does not say unless it is to create the database.
func properties(t testing.TB, admin *postgres.Endpoint, name string) string {
	t.Helper()
	return scratchtest.Query(t, admin, `SELECT concat_ws(' | ', pg_get_userbyid(datdba), pg_encoding_to_char(encoding), datlocprovider, datcollate, datctype, daticulocale, datconnlimit, datistemplate,
			(SELECT spcname FROM pg_tablespace s WHERE s.oid = dattablespace), shobj_description(d.oid, 'pg_database'),
			(SELECT string_agg(format('%s/%s %s %s', pg_get_userbyid(a.grantor), pg_get_userbyid(a.grantee), a.privilege_type, a.is_grantable), ', ' ORDER BY a::text) FROM aclexplode(datacl) a),
			(SELECT string_agg(format('%s %s', setrole::regrole, c), ', ' ORDER BY setrole, c) FROM pg_db_role_setting, unnest(setconfig) c WHERE setdatabase = d.oid))
		FROM pg_database d WHERE datname = `+postgres.QuoteLiteral(name))
}

// shortDir is one whose path leaves room for a socket's, and which the server's user can enter.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "fh")
	must(t, err)
	must(t, os.Chmod(dir, 0o755))
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
