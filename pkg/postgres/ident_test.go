package postgres_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
)

var odd = []string{"a", "A b", `"`, `""`, "'", "''", `it's "so"`, `\`, `\\'`, `E'\n'`, "two\nlines", "tab\t", "ü€𝄞", "$1", "%s", "--", "/*", ";", "a.b", "$$"}

// Promise: the server reads a quoted identifier and a quoted literal as what
// they were, also where backslashes in ordinary literals are escapes.
func TestQuote(t *testing.T) {
	t.Parallel()
	conn := scratchtest.Open(t, scratchtest.Database(t))
	for _, conforming := range []string{"on", "off"} {
		if _, err := conn.PgConn().Exec(t.Context(), "SET standard_conforming_strings = "+conforming+"; SET escape_string_warning = off").ReadAll(); err != nil {
			t.Fatal(err)
		}
		for _, s := range append(odd, "") {
			results, err := conn.PgConn().Exec(t.Context(), "SELECT "+postgres.QuoteLiteral(s)+", 1").ReadAll()
			if err != nil || string(results[0].Rows[0][0]) != s {
				t.Errorf("literal %q: %v", s, err)
			}
		}
		for _, s := range odd {
			results, err := conn.PgConn().Exec(t.Context(), "SELECT 1 AS "+postgres.QuoteIdent(s)).ReadAll()
			if err != nil || results[0].FieldDescriptions[0].Name != s {
				t.Errorf("identifier %q: %v", s, err)
			}
		}
	}
	if got := postgres.QuoteIdent("a", `b"c`); got != `"a"."b""c"` {
		t.Errorf("got %s", got)
	}
}

// Promise: the server reads every quoted identifier that it can hold, alone and
// qualified, and every quoted literal as what they were, whatever
// standard_conforming_strings says, and nothing behind them as SQL.
func FuzzQuote(f *testing.F) {
	for _, s := range odd {
		f.Add(s, `"`+s)
	}
	conn := scratchtest.Open(f, scratchtest.Database(f))
	f.Fuzz(func(t *testing.T, a, b string) {
		for _, s := range []string{a, b} {
			if !utf8.ValidString(s) || postgres.ValidName(s) != "" {
				return // the server holds no such name
			}
		}
		for _, conforming := range []string{"on", "off"} {
			ask := func(sql string) *pgconn.Result {
				results, err := conn.PgConn().Exec(t.Context(), "SET standard_conforming_strings = "+conforming+"; SET escape_string_warning = off; "+sql).ReadAll()
				if err != nil || len(results) != 3 || len(results[2].Rows) != 1 {
					t.Fatalf("%q, %q: %d results, %v", a, b, len(results), err)
				}
				return results[2]
			}
			r := ask("SELECT " + postgres.QuoteLiteral(b) + " AS " + postgres.QuoteIdent(a))
			if name, text := r.FieldDescriptions[0].Name, string(r.Rows[0][0]); name != a || text != b {
				t.Errorf("identifier %q is read as %q, literal %q as %q", a, name, b, text)
			}
			// The alias and the column are found again by the qualified name.
			r = ask("SELECT " + postgres.QuoteIdent(a, b) + " FROM (SELECT 7) AS " + postgres.QuoteIdent(a) + "(" + postgres.QuoteIdent(b) + ")")
			if name, text := r.FieldDescriptions[0].Name, string(r.Rows[0][0]); name != b || text != "7" {
				t.Errorf("%q of %q is read as %q with %s", b, a, name, text)
			}
		}
	})
}

// Promise: a name that PostgreSQL would cut or refuse is found, no other.
func TestValidName(t *testing.T) {
	for s, why := range map[string]string{
		"": "empty", strings.Repeat("x", 64): "longer", strings.Repeat("ü", 32): "longer", "a\x00": "zero",
		"a": "", strings.Repeat("x", 63): "", strings.Repeat("ü", 31): "", `it's "fine"`: "",
	} {
		if got := postgres.ValidName(s); (got == "") != (why == "") || !strings.Contains(got, why) {
			t.Errorf("%q: %q", s, got)
		}
	}
}

// Promise: a cut name fits, keeps its suffix, ends at a character, and is as
// long as it can be. The server takes it without cutting.
func TestCutName(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, suffix, want string }{
		{"short", "_x", "short_x"},
		{"", "_x", "_x"},
		{strings.Repeat("a", 61), "_x", strings.Repeat("a", 61) + "_x"},
		{strings.Repeat("a", 62), "_x", strings.Repeat("a", 61) + "_x"},
		{strings.Repeat("ü", 40), "_x", strings.Repeat("ü", 30) + "_x"},
		{"a" + strings.Repeat("ü", 40), "_x", "a" + strings.Repeat("ü", 30) + "_x"},
		{strings.Repeat("𝄞", 20), "_xy", strings.Repeat("𝄞", 15) + "_xy"},
		{strings.Repeat("𝄞", 20), "_xyz", strings.Repeat("𝄞", 14) + "_xyz"},
		{strings.Repeat("€", 30), "", strings.Repeat("€", 21)},
		{"a", strings.Repeat("s", 63), strings.Repeat("s", 63)},
		{"a", strings.Repeat("s", 70), strings.Repeat("s", 70)}, // for the caller to refuse
	} {
		got := postgres.CutName(c.name, c.suffix)
		if got != c.want {
			t.Errorf("%q + %q: %q, not %q", c.name, c.suffix, got, c.want)
		}
		if !utf8.ValidString(got) {
			t.Errorf("%q is cut inside a character", got)
		}
	}
	name := postgres.CutName(strings.Repeat("ü", 40), scratchtest.Name(""))
	if got := scratchtest.Query(t, scratchtest.NamedDatabase(t, name), "current_database()"); got != name {
		t.Errorf("the server made %q of %q", got, name)
	}
}

// Promise: versions are read as the programs and the server print them.
func TestParseVersion(t *testing.T) {
	for s, want := range map[string]postgres.Version{
		"15.18 (Debian 15.18-0+deb12u1)":                      150018,
		"pg_dump (PostgreSQL) 17.2\n":                         170002,
		"pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)": 150018,
		"18beta1":                       180000,
		"psql (PostgreSQL) 19devel":     190000,
		"postgres (PostgreSQL) 18rc2":   180000,
		"pg_dump (EnterpriseDB) 16.4.0": 160004,
		"10":                            100000,
		"9.6.24":                        0,
		"8.4":                           0,
		"100.1":                         0,
		"15.10000":                      0,
		"none":                          0,
		"":                              0,
	} {
		got, err := postgres.ParseVersion(s)
		if got != want || (err == nil) != (want != 0) {
			t.Errorf("%q: %d, %v", s, got, err)
		}
	}
	if v := postgres.Version(150018); v.String() != "15.18" || v.Major() != 15 {
		t.Errorf("%s, %d", v, v.Major())
	}
}
