package postgres_test

import (
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/postgres"
)

// Promise: connection strings mean what they mean to libpq, and are written so
// that they mean the same again.
func TestParseConninfo(t *testing.T) {
	type p = postgres.Params
	for s, want := range map[string]p{
		"":                       {},
		"  \n":                   {},
		"host=a dbname = b":      {"host": "a", "dbname": "b"},
		"host='a b'user=c":       {"host": "a b", "user": "c"},
		`password='it\'s \\ x'`:  {"password": `it's \ x`},
		`password=it\'s\ x`:      {"password": `it's x`},
		"password=''":            {"password": ""},
		"password= host=a":       {"password": "host=a"}, // libpq skips the space too
		"password=":              {"password": ""},
		"password=a=b":           {"password": "a=b"},
		"host=a host=b":          {"host": "b"},
		"host=a\vport=1\fuser=b": {"host": "a", "port": "1", "user": "b"},

		"postgres://":                           {},
		"postgresql://h":                        {"host": "h"},
		"postgres:///d":                         {"dbname": "d"},
		"psql://u:p@h:5433/d":                   {"user": "u", "password": "p", "host": "h", "port": "5433", "dbname": "d"},
		"pgsql://u@h":                           {"user": "u", "host": "h"},
		"postgis://:p@h":                        {"password": "p", "host": "h"},
		"postgres://u:p%40%3A%2f%25@h/d%20e":    {"user": "u", "password": "p@:/%", "host": "h", "dbname": "d e"},
		"postgres://u:p@s@h/d":                  {"user": "u", "password": "p@s", "host": "h", "dbname": "d"},
		"postgres://u:se?same@x@h":              {"user": "u", "password": "se?same@x", "host": "h"},
		"postgres://u:a:b@h/d":                  {"user": "u", "password": "a:b", "host": "h", "dbname": "d"},
		"postgres://u:what?now@h/d":             {"user": "u", "password": "what?now", "host": "h", "dbname": "d"},
		"postgres://u:what?now@h/d?sslmode=a@b": {"user": "u", "password": "what?now", "host": "h", "dbname": "d", "sslmode": "a@b"},
		"postgres://u@h?options=a%20b&port=1":   {"user": "u", "host": "h", "options": "a b", "port": "1"},
		"postgres://h/d?ssl=true&&":             {"host": "h", "dbname": "d", "sslmode": "require"},
		"postgres://h/d?application_name=a+b":   {"host": "h", "dbname": "d", "application_name": "a+b"}, // a plus is one
		"postgres://%2Frun%2Fpostgresql:5433/d": {"host": "/run/postgresql", "port": "5433", "dbname": "d"},
		"postgres:///d?host=/run/postgresql":    {"host": "/run/postgresql", "dbname": "d"},
		"postgres://[::1]:5433/d":               {"host": "::1", "port": "5433", "dbname": "d"},
		"postgres://[2001:db8::1]/d":            {"host": "2001:db8::1", "dbname": "d"},
		"postgres://a:1,b:2/d":                  {"host": "a,b", "port": "1,2", "dbname": "d"},
		"postgres://a,b:2/d":                    {"host": "a,b", "port": ",2", "dbname": "d"},
		"postgres://a,[::1]/d":                  {"host": "a,::1", "dbname": "d"},
		"postgres:///a/b":                       {"dbname": "a/b"},
		"postgres:///d?host=a@b":                {"dbname": "d", "host": "a@b"},
	} {
		got, err := postgres.ParseConninfo(s)
		if err != nil || !maps.Equal(got, want) {
			t.Errorf("%q: %v, %v, not %v", s, map[string]string(got), err, map[string]string(want))
			continue
		}
		again, err := postgres.ParseConninfo(got.String())
		if err != nil || !maps.Equal(again, want) {
			t.Errorf("%q written as %q: %v, %v", s, got, map[string]string(again), err)
		}
	}
}

// Promise: what is malformed is an error that repeats nothing of the string,
// since any of it may be a password.
func TestParseConninfoErrors(t *testing.T) {
	for _, s := range []string{
		"sesame", "host=a sesame", "host=a password='sesame", `password=sesame\`, "=sesame", "'sesame'=x",
		"password=open sesame='x", "se same=x", "host=\x00sesame",
		"http://sesame@h", "sesame://h", "u:sesame@postgres://h", "Postgres://u:sesame@h",
		"postgres://u:sesame%@h", "postgres://u:sesame%zz@h", "postgres://u:%00sesame@h", "postgres://[sesame",
		"postgres://h?sesame", "postgres://h?=sesame", "postgres://h?se%20same=x", "postgres://h?se same=x",
		"postgres://h/d?password=%sesame",
	} {
		p, err := postgres.ParseConninfo(s)
		if !errors.Is(err, postgres.ErrConninfo) {
			t.Errorf("%q: %v, %v", s, p, err)
			continue
		}
		for _, secret := range []string{"sesame", "same", "se?", "open"} {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%q: the error repeats %q: %v", s, secret, err)
			}
		}
	}
}

// Promise: With and Without leave the original alone.
func TestParams(t *testing.T) {
	p := postgres.Params{"a": "1", "b": "2"}
	if got := p.With("a", "3", "c", "it's"); got.String() != `a='3' b='2' c='it\'s'` {
		t.Errorf("with: %s", got)
	}
	if got := p.Without("a", "x"); got.String() != "b='2'" {
		t.Errorf("without: %s", got)
	}
	if p.String() != "a='1' b='2'" {
		t.Errorf("the original is %s", p)
	}
}

// FuzzParseConninfo holds that whatever is understood is written so that it is
// understood the same again, and that no error repeats a password.
func FuzzParseConninfo(f *testing.F) {
	for _, s := range []string{"host=a dbname='b c'", `password=it\'s`, "postgres://u:p@h:1,[::1]/d?a=b", "psql:///d?host=%2Frun", "postgres://u:a?b@h", "\v=\f"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := postgres.ParseConninfo(s)
		if err != nil {
			if !errors.Is(err, postgres.ErrConninfo) {
				t.Errorf("got %v", err)
			}
			return
		}
		again, err := postgres.ParseConninfo(p.String())
		if err != nil || !maps.Equal(p, again) {
			t.Errorf("%q written as %q: %v, %v", s, p.String(), map[string]string(again), err)
		}
		const secret = "ses'a\\m e"
		with := p.With("password", secret)
		if got, err := postgres.ParseConninfo(with.String()); err != nil || got["password"] != secret {
			t.Errorf("with a password: %v", err)
		}
		if strings.Contains(with.Without("password").String(), "ses\\'a") {
			t.Error("the password is still there")
		}
	})
}
