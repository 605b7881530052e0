package dumpfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"
)

// scan gives the findings in a text, and what would reach psql.
func scan(text string, drop func(*statement) bool) (found []string, passed string, err error) {
	var out bytes.Buffer
	s := newScanner(strings.NewReader(text), &out)
	s.drop = drop
	s.found = func(f Finding) error {
		found = append(found, strings.TrimSpace(fmt.Sprintf("%d %s %s", f.Line, f.What, f.Name)))
		return nil
	}
	err = s.run()
	return found, out.String(), err
}

// Promise: each statement and command that reaches beyond the database is found, with its line and the name concerned.
func TestFindings(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ sql, want string }{
		{"CREATE DATABASE x;", "1 CREATE DATABASE x"},
		{"\n\n drop\tDaTaBaSe if exists \"Odd name\" ;", "3 DROP DATABASE Odd name"},
		{"SELECT 1; DROP /* ; */ DATABASE -- '\n live;", "1 DROP DATABASE live"},
		{"ALTER DATABASE live SET x = 1;", "1 ALTER DATABASE live"},
		{"\\connect live\n", `1 \connect live`},
		{"\\c live\n", `1 \c live`},
		{"SELECT 1 \\! touch /tmp/x\n;", `1 \! touch /tmp/x`},
		{"\\!touch x\n", `1 \! touch x`},
		{"\\copy t from program 'x'\n", `1 \copy t from program 'x'`},
		{"\\i f\n", `1 \i f`}, {"\\ir f\n", `1 \ir f`}, {"\\o |sh\n", `1 \o |sh`}, {"\\w f\n", `1 \w f`}, {"SELECT 1 \\g |sh\n", `1 \g |sh`}, {"\\setenv A b\n", `1 \setenv A b`},
		{"\\set x `touch y`\n", "1 \\set x `touch y`"},
		{"\\restrict `touch y`\n", "1 \\restrict `touch y`"},
		{"\\restrict abc \\! x\n", `1 \restrict abc \! x`},
		{"SELECT 1 \\restrict abc\n;", `1 \restrict abc`},
		{"SELECT 1\\; SELECT 2;", `1 \; SELECT 2;`},
		{"COPY t FROM PROGRAM 'touch x' WITH CSV;", "1 COPY FROM PROGRAM touch x"},
		{"copy (select 1) to program 'sh';", "1 COPY TO PROGRAM sh"},
		{"COPY t (a, b) FROM '/etc/passwd';", "1 COPY FROM a file /etc/passwd"},
		{"COPY t TO E'/tmp/x';", "1 COPY TO a file /tmp/x"},
		{"COPY t FROM stdin CSV;\n\\.\n", "1 COPY FROM stdin in a format that is not text"},
		{"COPY t FROM stdin WITH (FORMAT 'binary');\n\\.\n", "1 COPY FROM stdin in a format that is not text"},
		{"COPY BINARY t FROM stdin;\n\\.\n", "1 COPY FROM stdin in a format that is not text"},
		{"COPY t FROM stdin; \\! x\n\\.\n", "1 more in the line of a COPY|1 \\! x|2 \\."},
		{"COPY t FROM stdin; COPY u FROM stdin;\n\\.\n\\.\n", "1 more in the line of a COPY|3 \\."},
		{"CREATE FUNCTION f() RETURNS int BEGIN ATOMIC; COPY t FROM stdin;\n\\! x\n", "1 COPY in what may be the body of a function|2 \\! x"},
		{"CREATE ROLE x;", "1 CREATE ROLE x"}, {"ALTER USER x SUPERUSER;", "1 ALTER USER x"}, {"DROP GROUP x;", "1 DROP GROUP x"}, {"CREATE TABLESPACE x LOCATION '/';", "1 CREATE TABLESPACE x"},
		{"ALTER SYSTEM SET x = 1;", "1 ALTER SYSTEM"},
		{"LOAD '/tmp/evil.so';", "1 LOAD /tmp/evil.so"},
		{"DO LANGUAGE plpython3u 'x';", "1 DO in language plpython3u"},
		{"DO $$ x $$ LANGUAGE 'plperlu';", "1 DO in language plperlu"},
		{"CREATE OR REPLACE FUNCTION f() RETURNS int AS 'a', 'b' LANGUAGE C STRICT;", "1 CREATE FUNCTION in language c"},
		{"SET ROLE postgres;", "1 SET role"}, {"SET SESSION AUTHORIZATION DEFAULT;", "1 SET session_authorization"}, {"SET LOCAL SESSION AUTHORIZATION x;", "1 SET session_authorization"},
		{"RESET ROLE;", "1 RESET role"}, {"RESET SESSION AUTHORIZATION;", "1 RESET session_authorization"}, {"DISCARD ALL;", "1 DISCARD ALL"},
		{"SET \"role\" = x;", "1 SET role"}, {"SELECT set_config('role', 'postgres', false);", "1 set_config of role"},
		{"SET standard_conforming_strings = off;", "1 SET standard_conforming_strings"},
		{"SET client_encoding = 'Shift_JIS';", "1 SET client_encoding shift_jis"}, {"SET NAMES 'GBK';", "1 SET names gbk"},
		{"GRANT pg_execute_server_program TO x;", "1 GRANT of a role pg_execute_server_program"},
		{"REVOKE ALL ON DATABASE live FROM x;", "1 REVOKE ON DATABASE live"},
		{"COMMENT ON DATABASE live IS 'x';", "1 COMMENT ON DATABASE live"},
		{"REASSIGN OWNED BY a TO b;", "1 REASSIGN OWNED a"}, {"DROP OWNED BY a;", "1 DROP OWNED"},
		{"PREPARE TRANSACTION 'x';", "1 PREPARE TRANSACTION x"},
		// What is not read in the same way by everybody.
		{`SELECT 'a\';`, "1 a literal with a backslash before a quote"},
		{"SELECT E'a'\n'b\\'';\n", "2 a literal that goes on in another line|2 a literal with a backslash before a quote"},
		{"SELECT E'a' -- x\n 'b';", "2 a literal that goes on in another line"},
		{"SELECT 1e'a\\' ;';", "1 a number and a word without a space|1 a literal with a backslash before a quote"},
		{"SELECT 0x1F$a$ $a$;", "1 a number and a word without a space"},
		{"SELECT 1_0$a$ $a$;", "1 a number and a word without a space"},
		{"SELECT :DBNAME;", "1 a psql variable"}, {"SELECT :'HOST';", "1 a psql variable"},
		{"SELECT U&'\\0061';", "1 a text with Unicode escapes"},
		// A comment ends with a carriage return, a name may hold a dollar, a comment nests.
		{"-- x\r\\! touch\n", `1 \! touch`},
		{"SELECT a$b$;\n\\! x\n", `2 \! x`},
		{"/* /* */ \\! x */ \\! y\n", `1 \! y`},
		{"SELECT 1 /* x\n*/;\nDROP DATABASE a;", "3 DROP DATABASE a"},
		{"SELECT $a$ $b$ $a$; \\! x\n", `1 \! x`}, {"SELECT $$ $a$$; \\! x\n", `1 \! x`},
		{"SELECT E'\\''; \\! x\n", `1 \! x`}, {"SELECT 'it''s'; \\! x\n", `1 \! x`}, {"SELECT \"a\"\"\\\"; \\! x\n", `1 \! x`},
		{"COPY t FROM stdin;\nrow\n\\.\n\\! x\n", `4 \! x`}, {"COPY t FROM stdout;\r\nrow\r\n\\.\r\n\\! x\n", `4 \! x`},
		{"COPY t FROM stdin;\n\\.x\n \\.\n\\.\n\\! x\n", `5 \! x`},
		{"INSERT INTO copy VALUES (1); SELECT a FROM stdin;\n\\! x\n", `2 \! x`},
	} {
		found, _, err := scan(c.sql, nil)
		if err != nil && !errors.As(err, new(*cutError)) {
			t.Errorf("%q: %v", c.sql, err)
		}
		if got := strings.Join(found, "|"); got != c.want {
			t.Errorf("%q\nfound  %s\nwanted %s", c.sql, got, c.want)
		}
	}
}

// Promise: what dumps are full of is not found fault with, and passes as it is.
func TestNoFindings(t *testing.T) {
	t.Parallel()
	for _, sql := range []string{
		"SELECT pg_catalog.set_config('search_path', '', false);\nSET standard_conforming_strings = on;\nSET client_encoding = 'UTF8';\nSET client_encoding = 'EUC_JP';\n",
		"CREATE TABLE role (\"user\" int, database text, program text);\nCOMMENT ON TABLE role IS 'DROP DATABASE x; \\! y';\n",
		"COPY public.t (a, b) FROM stdin;\n\\! touch x\nDROP DATABASE '\t\\N\n\\.\nSELECT 1;\n",
		"CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $_$ BEGIN; DROP DATABASE x; \\! y '\n$_$;\n",
		"CREATE FUNCTION f(x int) RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT CASE x WHEN 1 THEN 2 END; SELECT 2; END;\nCOPY t FROM stdin;\n1\n\\.\n",
		"DO $$ BEGIN NULL; END $$;\nCREATE USER MAPPING FOR x SERVER y;\nALTER DEFAULT PRIVILEGES FOR ROLE a GRANT ALL ON TABLES TO b;\n",
		"SELECT a[1:2], b::text, 1e5, 1.5e-3, 0x1F, $1, x'1F', n'a', 'C:\\\\', '\\x00'::bytea, E'a\\\\';\n",
		"GRANT SELECT(a) ON TABLE t TO x WITH GRANT OPTION;\nCREATE EXTENSION IF NOT EXISTS pg_trgm;\nCREATE RULE r AS ON INSERT TO t DO INSTEAD NOTHING;\n",
		"-- \\! x\n/* \\! y */ SELECT 1 /* /* */ */ - -1;\nBEGIN;\nCOMMIT;\nSET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE;\nRESET ALL;\nCOPY t TO STDOUT;\n",
	} {
		found, passed, err := scan(sql, nil)
		if err != nil || len(found) > 0 {
			t.Errorf("%q: %q, %v", sql, found, err)
		}
		if passed != sql {
			t.Errorf("%q became %q", sql, passed)
		}
	}
}

// Promise: what is left out leaves its lines, so that psql's messages name the lines of the file; and pg_dump's own
// \restrict goes, since ours comes before it.
func TestDrop(t *testing.T) {
	t.Parallel()
	l := &loading{o: LoadOptions{NoOwner: true, NoPrivileges: true}}
	sql := "\xef\xbb\xbf\\restrict abc\nSELECT 1;\n-- c\nALTER TABLE a\n  OWNER TO \"b c\";\n\nGRANT ALL ON a TO b; SELECT 2;\nALTER TABLE a ADD owner int;\nCOMMENT ON EXTENSION plpgsql IS 'x';\n\\unrestrict abc\n"
	want := "\nSELECT 1;\n-- c\n\n\n\n SELECT 2;\nALTER TABLE a ADD owner int;\n\n\n"
	found, passed, err := scan(sql, l.drop)
	if err != nil || len(found) > 0 || passed != want {
		t.Errorf("%q, %v, %q", found, err, passed)
	}
}

// Promise: a text that ends where SQL cannot end is cut off.
func TestCut(t *testing.T) {
	t.Parallel()
	for _, sql := range []string{"SELECT 1", "SELECT 'a", "SELECT \"a", "SELECT $$a$", "/* /* */", "COPY t FROM stdin;", "COPY t FROM stdin;\n1\n", "COPY t FROM stdin;\n\\.", "SELECT (1;", "SELECT E'\\'"} {
		if _, _, err := scan(sql, nil); !errors.As(err, new(*cutError)) {
			t.Errorf("%q: %v", sql, err)
		}
	}
}

// Promise: rows and literals of any length stream through bounded memory, and statements are found behind them.
func TestMemory(t *testing.T) { // alone, so that what is allocated is its own
	const huge = 100 << 20
	var out counted
	r := io.MultiReader(
		strings.NewReader("COPY t FROM stdin;\n"), &repeat{n: huge, c: 'x'}, strings.NewReader("\n\\.\nSELECT '"), &repeat{n: huge / 16, c: 'y'},
		strings.NewReader("';\n/*"), &repeat{n: huge / 16, c: '*'}, strings.NewReader("/\nALTER TABLE a OWNER TO b;\nDROP DATABASE x;\n"))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	s := newScanner(r, &out)
	var found []Finding
	s.found = func(f Finding) error { found = append(found, f); return nil }
	s.drop = func(st *statement) bool { return st.newOwner() != "" }
	if err := s.run(); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 8<<20 {
		t.Errorf("%d bytes allocated", got)
	}
	if cap(s.held) > 4*holdLimit {
		t.Errorf("%d bytes held", cap(s.held))
	}
	if len(found) != 1 || found[0].Line != 7 || int64(out) < huge+huge/8 {
		t.Errorf("%v, %d bytes", found, out)
	}
}

type counted int64

func (c *counted) Write(p []byte) (int, error) { *c += counted(len(p)); return len(p), nil }

type repeat struct {
	n int
	c byte
}

func (r *repeat) Read(p []byte) (int, error) {
	if r.n == 0 {
		return 0, io.EOF
	}
	n := min(len(p), r.n)
	for i := range p[:n] {
		p[i] = r.c
	}
	r.n -= n
	return n, nil
}

// FuzzScan: no text makes the scanner fail in another way than by saying so; what passes is what came but for what it
// left out; and what passed is as harmless when it is read again.
func FuzzScan(f *testing.F) {
	for _, seed := range []string{
		"SELECT 1;\n", "\\! x\n", "COPY t FROM stdin;\na\n\\.\nSELECT $a$ $b$ $a$;", "/* /* */ */ E'\\'' \"\"\"\"", "CREATE FUNCTION f() BEGIN ATOMIC; END;",
		"\xef\xbb\xbf\\restrict a\n-- x\rDROP DATABASE \"a\"\"b\";", "ALTER TABLE a OWNER TO b;\n'a\\'", "1e'x' 0x$a$ :A U&'x'",
	} {
		f.Add([]byte(seed))
	}
	if data, err := os.ReadFile("../scratch/scratchtest/middling.sql"); err == nil {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		found, passed, err := scan(string(data), nil)
		if err != nil && !errors.As(err, new(*cutError)) && !errors.Is(err, errNUL) && !strings.Contains(err.Error(), "tag of more than") {
			t.Fatal(err)
		}
		if err != nil || len(found) > 0 {
			return
		}
		again, same, err := scan(passed, nil)
		if err != nil || len(again) > 0 || same != passed {
			t.Errorf("%q passed as %q, and then %q, %v", data, passed, again, err)
		}
		if strings.Count(passed, "\n") != bytes.Count(data, []byte("\n")) {
			t.Errorf("%q passed as %q: other lines", data, passed)
		}
	})
}
