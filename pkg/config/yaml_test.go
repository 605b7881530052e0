package config

import (
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Promise: each kind of mistake in the file is an error with its line, the line itself, and what is wrong; nothing of
// the configuration is used then.
func TestMistakesInTheFile(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		line       int
		msg        string // the beginning of Msg
		source     string
	}{
		{"unknown key", "# c\n\nrepostory: /x\n", 3, `unknown key "repostory", did you mean "repository"?`, "repostory: /x"},
		{"unknown key inside", "backup:\n  keep:\n    dayly: 7\n", 3, `unknown key "backup.keep.dayly", did you mean "backup.keep.daily"?`, "    dayly: 7"},
		{"swapped letters", "mdeia: {}\n", 1, `unknown key "mdeia", did you mean "media"?`, "mdeia: {}"},
		{"key of another group", "jobs: 4\n", 1, `unknown key "jobs", did you mean "backup.jobs"?`, "jobs: 4"},
		{"dotted key", "backup.jobs: 4\n", 1, `unknown key "backup.jobs": write "jobs" below "backup"`, "backup.jobs: 4"},
		{"key of nothing", "health:\n  zebra: 4\n", 2, `unknown key "health.zebra": known here are url, timeout`, "  zebra: 4"},
		{"unknown secret", "database:\n  password: hunter2\n", 2, `unknown key "database.password", did you mean "database.password_file"?`, "  password: ***"},
		{"secret for its file", "database:\n  password_file: hunter2\n", 2, "database.password_file: must be an absolute path", "  password_file: ***"},
		{"path shown", "database: {password_file: /p, nmae: x}\n", 1, `unknown key "database.nmae", did you mean "database.name"?`, "database: {password_file: /p, nmae: x}"},
		{"secret in flow", "database: {nmae: x, \"Password\": \"a, hunter2}\"}\n", 1, `unknown key "database.nmae"`, "database: {nmae: x, \"Password\": ***"},
		{"secret after a shown one", "database: {nmae: x, password_file: /p, password: hunter2}\n", 1, `unknown key "database.nmae"`, "database: {nmae: x, password_file: /p, password: ***"},
		{"forgotten colon", "database:\n  password hunter2\n", 2, "database is a group of settings, not text", "  password ***"},
		{"forgotten space", "database:\n  password:hunter2\n", 2, "database is a group of settings, not text", "  password:***"},
		{"CRLF", "app:\r\n  nmae: x\r\n", 2, `unknown key "app.nmae", did you mean "app.name"?`, "  nmae: x"},
		{"flow mapping", "backup: {keep: {min: 2,\n  last: 3, weakly: 1}}\n", 2, `unknown key "backup.keep.weakly", did you mean "backup.keep.weekly"?`, "  last: 3, weakly: 1}}"},
		{"key is no word", "{1: 2}\n", 1, "want the name of a setting, not a number", "{1: 2}"},
		{"merge", "<<: {repository: /x}\n", 1, "want the name of a setting, not an anchor or alias", "<<: {repository: /x}"},
		{"twice", "repository: /a\nstate_dir: /b\nrepository: /c\n", 3, "not valid YAML: mapping key \"repository\" already defined at [1:1]", "repository: /c"},

		{"text for a number", "backup:\n  jobs: two\n", 2, "backup.jobs: want a whole number from 0 to 256, not text", "  jobs: two"},
		{"quoted number", "backup:\n  jobs: \"2\"\n", 2, "backup.jobs: want a whole number from 0 to 256, not text", "  jobs: \"2\""},
		{"number too large", "backup:\n  jobs: 257\n", 2, `backup.jobs: want a whole number from 0 to 256, not "257"`, "  jobs: 257"},
		{"negative", "backup:\n  jobs: -1\n", 2, `backup.jobs: want a whole number from 0 to 256, not "-1"`, "  jobs: -1"},
		{"octal", "backup:\n  jobs: 010\n", 2, `backup.jobs: want a whole number from 0 to 256, not "010"`, "  jobs: 010"},
		{"fraction", "backup:\n  jobs: 1.5\n", 2, "backup.jobs: want a whole number from 0 to 256, not a number", "  jobs: 1.5"},
		{"keep nothing", "backup: {keep: {min: 0}}\n", 1, `backup.keep.min: want a whole number from 1 to 100000, not "0"`, "backup: {keep: {min: 0}}"},
		{"yes is not true", "backup:\n  role_passwords: yes\n", 2, "backup.role_passwords: want true or false, not text", "  role_passwords: yes"},
		{"number for text", "database:\n  name: 2026\n", 2, "database.name: want text, not a number: put it in quotes", "  name: 2026"},
		{"bool for text", "app: {name: true}\n", 1, "app.name: want text, not true or false: put it in quotes", "app: {name: true}"},
		{"text for a list", "backup:\n  encrypt:\n    recipients: ops@example.com\n", 3, "backup.encrypt.recipients: want a list of text, such as [a, b], not text", "    recipients: ops@example.com"},
		{"list of numbers", "media:\n  exclude:\n    - a\n    - 5\n", 4, "media.exclude: entry 2: want text, not a number: put it in quotes", "    - 5"},
		{"empty entry", "backup:\n  encrypt:\n    recipients: [\"\"]\n", 3, "backup.encrypt.recipients: entry 1: must not be empty", `    recipients: [""]`},
		{"null entry", "backup:\n  encrypt:\n    recipients:\n      - \n", 4, "backup.encrypt.recipients: entry 1: want text, not nothing", "      -"},
		{"list for text", "repository: [/x]\n", 1, "repository: want an absolute path, not a list", "repository: [/x]"},
		{"group for text", "repository:\n  path: /x\n", 2, "repository: want an absolute path, not a group of settings", "  path: /x"},
		{"text for a group", "backup: daily\n", 1, "backup is a group of settings, not text", "backup: daily"},
		{"no value", "repository:\n", 1, "repository: has no value", "repository:"},
		{"null", "repository: ~\n", 1, "repository: has no value", "repository: ~"},
		{"tag", "repository: !!str /x\n", 1, "repository: want an absolute path, not a tag", "repository: !!str /x"},
		{"alias", "repository: &a /x\nstate_dir: *a\n", 1, "repository: want an absolute path, not an anchor or alias", "repository: &a /x"},

		{"duration without unit", "health:\n  timeout: 10\n", 2, `health.timeout: bad duration "10": want a number with a unit`, "  timeout: 10"},
		{"bad duration", "health:\n  timeout: 10 sec\n", 2, `health.timeout: bad duration "10 sec": want a number with a unit`, "  timeout: 10 sec"},
		{"zero timeout", "health:\n  timeout: 0s\n", 2, "health.timeout: must be at least 1ms, not \"0s\"", "  timeout: 0s"},
		{"bad enum", "backup:\n  compression: best\n", 2, `backup.compression: unknown value "best": want fastest, default or better`, "  compression: best"},
		{"near enum", "backup:\n  compression: fast\n", 2, `backup.compression: unknown value "fast", did you mean "fastest"?`, "  compression: fast"},
		{"relative path", "repository: backups\n", 1, "repository: must be an absolute path", "repository: backups"},
		{"two lines", "repository: |\n  /x\n  /y\n", 1, "repository: must be a single line", "repository: |"},
		{"bad url", "database:\n  url: postgres://u:pw/hunter2@h/d\n", 2, `database.url: not a URL: "@" after the host`, "  url: postgres://u:***@h/d"},
		{"bad conninfo", "database:\n  url: host=h password='hunter2\n", 2, "database.url: the quote after password= is not closed", "  url: host=h password=***"},
		{"value on the next line", "redis:\n  url:\n    ftp://x/\n", 3, "redis.url: want a URL that begins with redis://", "    ftp://x/"},

		{"bad indentation", "backup:\n  jobs: 1\n jobs: 2\n", 3, "not valid YAML: ", " jobs: 2"},
		{"tab", "backup:\n\tjobs: 1\n", 2, "not valid YAML: ", "\tjobs: 1"},
		{"open quote", "repository: \"/x\n", 1, "not valid YAML: ", `repository: "/x`},
		{"open bracket", "media: {exclude: [a\n", 1, "not valid YAML: ", "media: {exclude: [a"},
		{"a list", "- a\n", 1, `want settings as "name: value", not a list`, "- a"},
		{"a text", "hello\n", 1, `want settings as "name: value", not text`, "hello"},
		{"two documents", "repository: /x\n---\nrepository: /y\n", 3, "a second document in one file", "repository: /y"},
		{"not text", "repository: /x\nstate_dir: /\xff\n", 2, "not UTF-8 text", "state_dir: /\xff"},
		{"NUL", "repository: /x\n\x00\n", 2, "not UTF-8 text", "\x00"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l, err := loadYAML(t, tc.text)
			if err == nil {
				t.Fatal("no error")
			}
			if l != nil {
				t.Error("a configuration came with the error")
			}
			e := wantError(t, err, "/")
			if e.Line != tc.line || e.Source != tc.source || !strings.HasPrefix(e.Msg, tc.msg) {
				t.Errorf("got\n%d %q\n%s\nwant\n%d %q\n%s", e.Line, e.Source, e.Msg, tc.line, tc.source, tc.msg)
			}
		})
	}
}

// Promise: a mistake is shown the way a compiler shows it, and several mistakes all at once, in the order of the file.
func TestErrorText(t *testing.T) {
	path := write(t, "c.yaml", "app:\n  nmae: x\nbackup:\n  jobs: two\n")
	_, err := load(Options{Path: path}, missing)
	want := path + `:2: unknown key "app.nmae", did you mean "app.name"?
    2 |   nmae: x
` + path + `:4: backup.jobs: want a whole number from 0 to 256, not text
    4 |   jobs: two`
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

// Promise: what YAML allows for the same content is read alike.
func TestWaysToWrite(t *testing.T) {
	for name, text := range map[string]string{
		"block":    "backup:\n  jobs: 2\n  encrypt:\n    recipients:\n      - a@x\n      - \"b@x\"\n",
		"flow":     "backup: {jobs: 2, encrypt: {recipients: [a@x, 'b@x']}}\n",
		"comments": "# c\nbackup: # d\n  # e\n  jobs: 2 # f\n\n  encrypt:\n    recipients: # g\n      # h\n      - a@x\n      - b@x # i\n",
		"marker":   "---\nbackup: {jobs: 2, encrypt: {recipients: [a@x, b@x]}}\n...\n",
		"CRLF":     "backup:\r\n  jobs: 2\r\n  encrypt:\r\n    recipients: [a@x, b@x]\r\n",
		"BOM":      "\ufeffbackup: {jobs: 2, encrypt: {recipients: [a@x, b@x]}}\n",
		"no end":   "backup: {jobs: 2, encrypt: {recipients: [a@x, b@x]}}",
	} {
		t.Run(name, func(t *testing.T) {
			l, err := loadYAML(t, text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{"a@x", "b@x"}, l.Backup.Encrypt.Recipients); diff != "" || l.Backup.Jobs != 2 {
				t.Errorf("jobs %d\n%s", l.Backup.Jobs, diff)
			}
		})
	}
	for _, text := range []string{"", "\n", "# nothing\n", "---\n", "backup:\n", "backup:\n  keep:\n  # x\nmedia:\n"} {
		l, err := loadYAML(t, text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
		} else if diff := cmp.Diff(mustLoad(t, Options{Root: true}).Config, l.Config); diff != "" {
			t.Errorf("%q is not the defaults:\n%s", text, diff)
		}
	}
}

// Promise: a command may have several lines, and text of several words is one text.
func TestCommands(t *testing.T) {
	l, err := loadYAML(t, "hooks:\n  before:\n    - mount /backup\n    - |\n      if true; then\n        logger \"a, b\"\n      fi\ndatabase:\n  password_command: pass show 'db backup'\n")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"mount /backup", "if true; then\n  logger \"a, b\"\nfi"}, l.Hooks.Before); diff != "" {
		t.Error(diff)
	}
	if l.Database.PasswordCommand != "pass show 'db backup'" {
		t.Error(l.Database.PasswordCommand)
	}
}

func TestDurations(t *testing.T) {
	const day = 24 * time.Hour
	for text, want := range map[string]time.Duration{
		"0": 0, "0s": 0, "30s": 30 * time.Second, "1m30s": 90 * time.Second, "1.5h": 90 * time.Minute, "30d": 30 * day,
		"2w": 14 * day, "1w2d12h": 9*day + 12*time.Hour, "100ms": 100 * time.Millisecond, "36500d": 36500 * day,
	} {
		got, err := ParseDuration(text)
		if err != nil || got != want {
			t.Errorf("%s = %v, %v; want %v", text, got, err, want)
		}
		back, err := ParseDuration(formatDuration(got))
		if err != nil || back != got {
			t.Errorf("%s is printed as %s, which is %v, %v", text, formatDuration(got), back, err)
		}
	}
	for _, text := range []string{"", " ", "30", "-1d", "-5s", "1d-5s", "+5s", "1.5d", "d", "1d2w", "1y", "1 d", "5s1d", "36501d", "5214w1d48h", "999999999999999999999d", "9223372036854775807w", "1e3s", "99999999h"} {
		if d, err := ParseDuration(text); err == nil {
			t.Errorf("%q = %v, want an error", text, d)
		}
	}
	for d, want := range map[time.Duration]string{0: "0s", 30 * day: "30d", 36 * time.Hour: "36h", time.Minute: "1m", 90 * time.Second: "1m30s", 10 * time.Minute: "10m", 100 * time.Minute: "1h40m"} {
		if got := formatDuration(d); got != want {
			t.Errorf("%v is printed as %s, want %s", d, got, want)
		}
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]int64{"0": 0, "1": 1, "1000": 1000, "512kB": 512 << 10, "256MB": 256 << 20, "3GB": 3 << 30, "1TB": 1 << 40, "0MB": 0} {
		got, err := ParseSize(text)
		if err != nil || got != want {
			t.Errorf("%s = %v, %v; want %v", text, got, err, want)
		}
		back, err := ParseSize(formatSize(got))
		if err != nil || back != got {
			t.Errorf("%s is printed as %s, which is %v, %v", text, formatSize(got), back, err)
		}
	}
	for _, text := range []string{"", " ", "MB", "-1MB", "+1MB", "1.5GB", "1 MB", "1M", "1mb", "1KB", "1MiB", "999999999999999999TB", "9999999999999999999", "0x10"} {
		if n, err := ParseSize(text); err == nil {
			t.Errorf("%q = %v, want an error", text, n)
		}
	}
	if got := formatSize(256 << 20); got != "256MB" {
		t.Errorf("256 MB is printed as %s", got)
	}
}

// Promise: what quoteYAML writes, the loader reads back.
func TestQuoteYAML(t *testing.T) {
	for _, s := range []string{"", "a", "true", "no", "null", "~", "5", "0x1f", "1e3", "12:30", "a: b", "a #b", "- a", "a\tb", "ä", `a"b\c`, "*a", "&a", "!a", "%a", "@a", "`a", "a:", ":a", "postgres:///x", "[a]", "{a}", " a ", "-", "\u2028", "\x7f"} {
		l, err := loadYAML(t, "redis:\n  key_prefix: "+quoteYAML(s)+"\nmedia:\n  exclude: ["+quoteYAML("x"+s)+"]\n")
		if err != nil {
			t.Errorf("%q as %s: %v", s, quoteYAML(s), err)
		} else if l.Redis.KeyPrefix != s || l.Media.Exclude[0] != "x"+s {
			t.Errorf("%q as %s comes back as %q", s, quoteYAML(s), l.Redis.KeyPrefix)
		}
	}
}

// Promise: no content of the file makes loading panic, every error of it is typed and shows a line of the file or none.
func FuzzYAML(f *testing.F) {
	f.Add(string(Init()))
	f.Add(uncomment(Init()))
	for _, s := range []string{"a: b", "backup: {keep: {within: 30d}}", "hooks:\n  before: [a]\n", "- a\n- b", "? a\n: b", "a: &x b\nc: *x", "<<: *a", "!!map {}", "{", "[", "\"", "'", "|", ">", "a: |\n  b", "---\n---\n", "\t", "a:\n\tb: c", "%YAML 1.2\n---\na: b"} {
		f.Add(s)
	}
	dir := f.TempDir()
	breaks := regexp.MustCompile("\r\n|[\n\r\u0085\u2028\u2029]") // as YAML has them
	f.Fuzz(func(t *testing.T, text string) {
		path := dir + "/forgectl.yaml"
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := load(Options{Path: path, Root: true, Flags: map[string]string{"app.environment_file": ""}}, missing)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Line < 0 || e.Line > len(breaks.FindAllString(text, -1))+1 {
				t.Errorf("%#v", err)
			}
			return
		}
		for _, v := range l.Values() {
			if v.Source == "" {
				t.Errorf("%s has no source", v.Key)
			}
		}
	})
}
