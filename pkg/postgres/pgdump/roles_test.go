package pgdump

import (
	"slices"
	"strings"
	"testing"
)

const someGlobals = `-- forgectl globals {"roles":[]}
--
-- PostgreSQL database cluster dump
--

\restrict gskUQtiYDRgVu8yAtFc0vOZSYAffOo67

SET client_encoding = 'UTF8';

CREATE ROLE app;
ALTER ROLE app WITH NOSUPERUSER INHERIT NOCREATEROLE NOCREATEDB LOGIN NOREPLICATION NOBYPASSRLS PASSWORD 'SCRAM-SHA-256$x;y';
COMMENT ON ROLE app IS 'the
application; it''s "ours"';
CREATE ROLE "odd ""one""; DROP ROLE app";
ALTER ROLE "odd ""one""; DROP ROLE app" WITH NOSUPERUSER NOLOGIN;
CREATE ROLE "o'clock";
ALTER ROLE "o'clock" WITH NOLOGIN;
CREATE ROLE team;
ALTER ROLE team WITH NOLOGIN;
CREATE ROLE root_dba;
ALTER ROLE root_dba WITH SUPERUSER LOGIN;
ALTER ROLE app SET search_path TO 'a', 'b;c';
ALTER ROLE app IN DATABASE x SET work_mem TO '1MB';
CREATE TABLESPACE fast OWNER app LOCATION '/srv/fast';
GRANT team TO app WITH ADMIN OPTION GRANTED BY root_dba;
GRANT pg_read_all_data TO team GRANTED BY root_dba;
GRANT SET ON PARAMETER work_mem TO app;
`

// Promise: what makes a role is found, whatever its name and attributes look
// like, and nothing else of the globals is ever run.
func TestRoleScript(t *testing.T) {
	script, err := ReadRoleScript(strings.NewReader(someGlobals))
	if err != nil {
		t.Fatal(err)
	}
	if !script.Knows("app") || !script.Knows(`odd "one"; DROP ROLE app`) || script.Knows("pg_read_all_data") {
		t.Error("roles are not what the script makes")
	}
	if got := script.Needed([]string{"app"}); !slices.Equal(got, []string{"app", "team"}) {
		t.Errorf("needed: %q", got)
	}
	want := []string{
		"CREATE ROLE app",
		"CREATE ROLE team",
		"ALTER ROLE app WITH NOSUPERUSER INHERIT NOCREATEROLE NOCREATEDB LOGIN NOREPLICATION NOBYPASSRLS PASSWORD 'SCRAM-SHA-256$x;y'",
		"ALTER ROLE team WITH NOLOGIN",
		"ALTER ROLE app SET search_path TO 'a', 'b;c'",
		"COMMENT ON ROLE app IS 'the\napplication; it''s \"ours\"'",
		`GRANT "team" TO "app" WITH ADMIN OPTION`,
		`GRANT "pg_read_all_data" TO "team"`,
	}
	if got := script.Making([]string{"app", "team"}); !slices.Equal(got, want) {
		t.Errorf("making:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if got := script.Making([]string{"o'clock"}); len(got) != 2 {
		t.Errorf("o'clock: %q", got)
	}
	if got := script.Making([]string{`odd "one"; DROP ROLE app`}); len(got) != 2 {
		t.Errorf("odd: %q", got)
	}
}

// Promise: roles that are only granted something are found too.
func TestGrantees(t *testing.T) {
	toc := &TOC{Entries: []Entry{
		{Type: "ACL", Definition: "REVOKE USAGE ON SCHEMA public FROM PUBLIC;\nGRANT SELECT ON TABLE public.\"FROM here TO\" TO reader;\nGRANT SELECT(a),UPDATE(a) ON TABLE public.t TO \"odd \"\"one\" WITH GRANT OPTION;\n"},
		{Type: "DEFAULT ACL", Definition: "ALTER DEFAULT PRIVILEGES FOR ROLE owner IN SCHEMA s GRANT SELECT ON TABLES  TO later;\n"},
		{Type: "POLICY", Definition: "CREATE POLICY p ON public.t FOR SELECT TO a, \"B\" USING ((note = 'FROM x TO nobody'::text));\n"},
		{Type: "POLICY", Definition: "CREATE POLICY q ON public.\"USING\" FOR INSERT TO c WITH CHECK ((EXISTS ( SELECT FROM app.member m WHERE (m.a IS DISTINCT FROM \"USING\".b))));\n"},
		{Type: "POLICY", Definition: "CREATE POLICY r ON public.t USING ((EXTRACT(year FROM created) > (2000)::numeric));\n"},
		{Type: "USER MAPPING", Definition: "CREATE USER MAPPING FOR mapped SERVER s OPTIONS (\n    \"user\" 'x'\n);\n"},
		{Type: "TABLE", Definition: "CREATE TABLE x (a text DEFAULT 'TO nobody');"},
	}}
	want := []string{"B", "a", "c", "later", "mapped", `odd "one`, "owner", "reader"}
	if got := Grantees(toc); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// Promise: no input makes the reader of role scripts panic, and every statement
// that it lets through begins as a statement about roles.
func FuzzRoleScript(f *testing.F) {
	f.Add(someGlobals)
	f.Add("CREATE ROLE \"x;\nGRANT a TO b;")
	f.Add("GRANT \"a\" TO \"\";\nALTER ROLE x SET y TO 'z")
	f.Fuzz(func(t *testing.T, text string) {
		script, err := ReadRoleScript(strings.NewReader(text))
		if err != nil {
			return
		}
		var names []string
		for _, s := range script.statements {
			names = append(names, s.roles...)
		}
		for _, sql := range script.Making(names) {
			if !slices.ContainsFunc(roleVerbs, func(v string) bool { return strings.HasPrefix(sql, v+" ") }) {
				t.Errorf("%q", sql)
			}
		}
		rolesIn(text)
	})
}
