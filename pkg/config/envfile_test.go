package config

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Promise: the application's environment file means to us what it means to systemd (systemd.exec(5),
// EnvironmentFile=).
func TestEnvironmentFile(t *testing.T) {
	type vars [][2]string
	for _, tc := range []struct {
		name, text string
		want       vars
	}{
		{"empty", "", nil},
		{"plain", "A=1\nB=two\n", vars{{"A", "1"}, {"B", "two"}}},
		{"no end of line", "A=1", vars{{"A", "1"}}},
		{"CRLF", "A=1\r\nB=2\r\n", vars{{"A", "1"}, {"B", "2"}}},
		{"BOM", "\ufeffA=1\n", vars{{"A", "1"}}},
		{"last wins, order is kept", "A=1\nB=2\nA=3\n", vars{{"A", "1"}, {"B", "2"}, {"A", "3"}}},
		{"empty value", "A=\nB=\"\"\nC=''", vars{{"A", ""}, {"B", ""}, {"C", ""}}},

		{"comments", "# A=1\n; B=2\n  # C=3\nD=4\n#\n;", vars{{"D", "4"}}},
		{"no comment after a value", "A=1 # one\nB=a;b\nC=a#b", vars{{"A", "1 # one"}, {"B", "a;b"}, {"C", "a#b"}}},
		{"lines without = are ignored", "hello\nA=1\nworld", vars{{"A", "1"}}},
		{"empty lines", "\n\n  \n\t\nA=1\n\n", vars{{"A", "1"}}},

		{"white space around", "  A  =  1 2 \t\n\tB=3  ", vars{{"A", "1 2"}, {"B", "3"}}},
		{"white space inside", "A=a   b\tc", vars{{"A", "a   b\tc"}}},
		{"= in a value", "A=b=c==", vars{{"A", "b=c=="}}},
		{"URL", "DATABASE_URL=postgres://u:p%40w@h:5432/db?sslmode=require#x", vars{{"DATABASE_URL", "postgres://u:p%40w@h:5432/db?sslmode=require#x"}}},

		{"single quotes", `A='a b "c" \n $x'`, vars{{"A", `a b "c" \n $x`}}},
		{"double quotes", `A="a b 'c'"`, vars{{"A", "a b 'c'"}}},
		{"escapes in double quotes", `A="\" \\ \` + "`" + ` \$ \n \a"`, vars{{"A", "\" \\ ` $ \\n \\a"}}},
		{"escapes without quotes", `A=a\ b\\c\"d\'e\n`, vars{{"A", `a b\c"d'en`}}},
		{"escaped white space at the end", "A=a\\ \nB=b\\  \n", vars{{"A", "a "}, {"B", "b "}}},
		{"escape first", `A=\"a\"`, vars{{"A", `"a"`}}},
		{"quotes after the first character", `A=it's "so"`, vars{{"A", `it's "so"`}}},
		{"pieces", `A='a'"b" 'c'  d "e"`, vars{{"A", `abcd "e"`}}},
		{"white space after quotes", "A=\"a \"  \nB=1", vars{{"A", "a "}, {"B", "1"}}},
		{"comment sign in quotes", "A='#x'\nB=\";y\"", vars{{"A", "#x"}, {"B", ";y"}}},
		{"nothing is expanded", "A=$HOME ${B} $(c) `d`", vars{{"A", "$HOME ${B} $(c) `d`"}}},

		{"continuation", "A=one \\\ntwo\nB=3", vars{{"A", "one two"}, {"B", "3"}}},
		{"continuation keeps indentation", "A=one\\\n  two", vars{{"A", "one  two"}}},
		{"continuation at once", "A=\\\ntwo", vars{{"A", "two"}}},
		{"continuation in double quotes", "A=\"one\\\ntwo\"", vars{{"A", "onetwo"}}},
		{"none in single quotes", "A='one\\\ntwo'", vars{{"A", "one\\\ntwo"}}},
		{"line ends in quotes", "A='1\n2'\nB=\"3\n\n4\"\nC=5", vars{{"A", "1\n2"}, {"B", "3\n\n4"}, {"C", "5"}}},
		{"backslash at the end", "A=a\\", vars{{"A", "a"}}},
		{"not ASCII", "A=grün\nB='日本'", vars{{"A", "grün"}, {"B", "日本"}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			found, err := parseEnvironmentFile([]byte(tc.text))
			if err != nil {
				t.Fatal(err)
			}
			var got vars
			for _, a := range found {
				got = append(got, [2]string{a.name, a.value})
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Promise: the line that is reported is the one on which the assignment begins, whatever came before it.
func TestEnvironmentFileLines(t *testing.T) {
	found, err := parseEnvironmentFile([]byte("# c\nA='1\n2'\nB=\"3\\\n4\"\nC=5\\\n6\n\r\nD=7\nhello\nE=8"))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	for _, a := range found {
		got[a.name] = a.line
	}
	if diff := cmp.Diff(map[string]int{"A": 2, "B": 4, "C": 6, "D": 9, "E": 11}, got); diff != "" {
		t.Error(diff)
	}
}

// Promise: what systemd would drop or misread is an error with its line, and no value is ever shown.
func TestMistakesInTheEnvironmentFile(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		line       int
		msg        string
	}{
		{"export", "A=1\nexport B=hunter2\n", 2, `"export B" is not the name of a variable: systemd drops a line that begins with "export"`},
		{"dash", "A-B=hunter2\n", 1, `"A-B" is not the name of a variable`},
		{"digit", "\n1A=hunter2\n", 2, `"1A" is not the name of a variable`},
		{"no name", "=hunter2\n", 1, `"" is not the name of a variable`},
		{"open single quote", "A=1\nB='hunter2\nC=3\n", 2, "the ' quote in the value of B is never closed"},
		{"open double quote", "B=\"hunter2\\\"\nC=3\n", 1, `the " quote in the value of B is never closed`},
		{"open quote of a later piece", "B='x'\"hunter2", 1, `the " quote in the value of B is never closed`},
		{"continued comment", "A=1\n# x \\\nB=hunter2\n", 2, "a comment must not end in a backslash"},
		{"not UTF-8", "A=1\nB=hunter2\xff\n", 2, "not UTF-8 text"},
		{"NUL", "A=1\n\nB=\x00hunter2\n", 3, "not UTF-8 text"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := parseEnvironmentFile([]byte(tc.text))
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("got %v", err)
			}
			if e.Line != tc.line || !strings.HasPrefix(e.Msg, tc.msg) {
				t.Errorf("got %d %s", e.Line, e.Msg)
			}
			if strings.Contains(e.Error(), "hunter2") {
				t.Errorf("shows a value: %s", e)
			}
		})
	}
}

// Promise: no content makes the parser panic or hang, and what it finds are variables on lines of the file.
func FuzzEnvironmentFile(f *testing.F) {
	for _, s := range []string{"A=1\n", "# c\n; d\n", "A='x'\"y\" z\\\n w", "A=\"\\", "A='", "A=\\", "=", "export A=1", "\ufeffA=1", "A=1\r\nB\r=2", "A = \"a\" \\\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		found, err := parseEnvironmentFile([]byte(text))
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Line < 1 || e.Line > strings.Count(text, "\n")+1 {
				t.Errorf("%#v", err)
			}
			return
		}
		line := 0
		for _, a := range found {
			if !variableName.MatchString(a.name) || a.line < line || a.line > strings.Count(text, "\n")+1 {
				t.Errorf("%+v", a)
			}
			line = a.line
		}
	})
}
