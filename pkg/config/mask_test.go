package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Promise: wherever a password stands, nothing of it is shown, and what is harmless stays readable.
func TestMask(t *testing.T) {
	for in, want := range map[string]string{
		"":                            "",
		"postgres:///bmad_forge":      "postgres:///bmad_forge",
		"postgres://u@h/d":            "postgres://u@h/d",
		"postgres://u:pw@h/d":         "postgres://u:***@h/d",
		"postgres://u:p%40w@h:5432/d": "postgres://u:***@h:5432/d",
		"redis://:pw@h:6379/0":        "redis://:***@h:6379/0",
		"redis://localhost:6379/0":    "redis://localhost:6379/0",
		"https://u:pw@h/health/":      "https://u:***@h/health/",

		// Not encoded, as people write it.
		"postgres://u:p@w@h/d":           "postgres://u:***@h/d",
		"postgres://u:p/w@h/d":           "postgres://u:***@h/d",
		"postgres://u:1/2@h/d":           "postgres://u:***@h/d",
		"postgres://u:p?w#x@h/d":         "postgres://u:***@h/d",
		"postgres://u:p:w@h/d":           "postgres://u:***@h/d",
		"postgres://u:p w@h/d":           "postgres://u:***@h/d",
		"postgres://a:pw@h1:1,h2:2/d":    "postgres://a:***@h1:1,h2:2/d",
		"postgres://h/d?password=pw&a=b": "postgres://h/d?password=***",

		"host=h password=pw user=u":             "host=h password=*** user=u",
		"host=h password = 'p w' user=u":        "host=h password = *** user=u",
		`password='p\'w x' user=u`:              "password=*** user=u",
		`password=p\ w user=u`:                  "password=*** user=u",
		"password='never closed":                "password=***",
		"sslpassword=pw PASSWORD=pw":            "sslpassword=*** PASSWORD=***",
		"PGPASSWORD=pw psql":                    "PGPASSWORD=*** psql",
		"AWS_SECRET_ACCESS_KEY=pw x":            "AWS_SECRET_ACCESS_KEY=*** x",
		"tool --token pw --x":                   "tool --token *** --x",
		"tool --password=pw --x":                "tool --password=*** --x",
		"connect postgres://u:pw@h/d: refused":  "connect postgres://u:***@h/d: refused",
		"a postgres://u:pw@h/d\nb redis://:x@h": "a postgres://u:***@h/d\nb redis://:***@h",
		"user=u dbname=d sslmode=require":       "user=u dbname=d sslmode=require",
	} {
		if got := Mask(in); got != want {
			t.Errorf("Mask(%q) = %q, want %q", in, got, want)
		}
		if again := Mask(Mask(in)); again != Mask(in) {
			t.Errorf("Mask is not stable on %q", in)
		}
	}
}

// Promise: the passwords in connection strings are found as they are written and as they are sent, so that they can be
// scrubbed from what other programs print.
func TestSecretsIn(t *testing.T) {
	for in, want := range map[string][]string{
		"postgres://u@h/d":                      nil,
		"postgres://u:pw@h/d":                   {"pw"},
		"postgres://u:p%40w@h/d":                {"p%40w", "p@w"},
		"postgres://u:p@w@h/d":                  {"p@w"},
		"postgres://h/d?password=a%20b&user=u":  {"a%20b", "a b"},
		`host=h password='p\'w x' user=u`:       {"p'w x"},
		"host=h password=pw sslpassword=other ": {"pw", "other"},
		"postgres://u:@h/d":                     nil,
	} {
		if diff := cmp.Diff(want, secretsIn(in)); diff != "" {
			t.Errorf("%q: %s", in, diff)
		}
	}
}

func TestParseConninfo(t *testing.T) {
	for in, want := range map[string]conninfo{
		"postgres://":                               {},
		"postgres:///d":                             {database: "d"},
		"postgresql://h/d":                          {database: "d", host: "h"},
		"postgres://u:pw@h:5432/d?sslmode=x":        {database: "d", host: "h", password: true},
		"postgres://u@h1:1,h2:2/d":                  {database: "d", host: "h1:1,h2:2"},
		"postgres://%2Frun%2Fpg/my%20db":            {database: "my db", host: "/run/pg"},
		"postgres:///?host=/run/pg&dbname=d":        {database: "d", host: "/run/pg"},
		"postgres://[::1]:5432/d":                   {database: "d", host: "[::1]"},
		"postgres:///d?password=pw":                 {database: "d", password: true},
		"service=forge":                             {},
		"host=h dbname=d":                           {database: "d", host: "h"},
		"host = h dbname = 'my \\'db' password=''":  {database: "my 'db", host: "h"},
		`dbname=a\ b hostaddr=10.0.0.1 password=pw`: {database: "a b", host: "10.0.0.1", password: true},
		"host= dbname=d":                            {host: "dbname=d"}, // as libpq has it
		" ":                                         {},
	} {
		got, err := parseConninfo(in)
		if err != nil || got != want {
			t.Errorf("%q = %+v, %v; want %+v", in, got, err, want)
		}
	}
	for _, in := range []string{"mysql://u:pw@h/d", "bmad_forge", "host", "host=h pw", "password='pw", "postgres://u:p/w@h/d", "postgres://u:p@w@h/d", "postgres://h/%zz", "postgres://h%zz/d", "postgres://h/d?a=%zz", "=x", "a'b=c"} {
		_, err := parseConninfo(in)
		if err == nil {
			t.Errorf("%q is not refused", in)
		} else if strings.Contains(err.Error(), "pw") {
			t.Errorf("%q: the error quotes it: %v", in, err)
		}
	}
}

// Promise: no connection string makes us panic, and one that is accepted shows nothing of its password.
func FuzzConninfo(f *testing.F) {
	for _, s := range []string{"postgres://u:pw@h/d?x=y", "host=h password='a\\'b' dbname=d", "a=", "a=\\", "a='", "://", "postgres://%", "@/?"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if _, err := parseConninfo(s); err != nil {
			return
		}
		Mask(s)
		secretsIn(s)
		// With a password put where it belongs, it must not survive masking.
		full := "postgres://user:Qx7Zsecretpw@host/" + strings.ReplaceAll(s, "\n", "")
		if strings.Contains(Mask(full), "Qx7Zsecretpw") {
			t.Errorf("Mask(%q) = %q", full, Mask(full))
		}
	})
}
