package config

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var commentedOut = regexp.MustCompile(`(?m)^( *)#([a-z_]+:)`)

// uncomment puts every setting of Init's file in force.
func uncomment(file []byte) string { return commentedOut.ReplaceAllString(string(file), "$1$2") }

// Promise: the file that Init writes changes nothing, neither as it is nor with every setting in force.
func TestInitIsTheDefaults(t *testing.T) {
	want := mustLoad(t, Options{Root: true}).Config
	for name, text := range map[string]string{"as written": string(Init()), "uncommented": uncomment(Init())} {
		l, err := loadYAML(t, text)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, l.Config); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
		for _, v := range l.Values() {
			if fromFile := strings.HasPrefix(v.Source, "file "); fromFile != (name == "uncommented") {
				t.Errorf("%s: %s comes from %s", name, v.Key, v.Source)
			}
		}
	}
}

// Promise: a setting that is uncommented by itself works, without touching the line of its group.
func TestInitOneByOne(t *testing.T) {
	places := commentedOut.FindAllStringIndex(string(Init()), -1)
	if n := len(mustLoad(t, Options{}).Values()); len(places) != n {
		t.Errorf("%d settings in the file, %d in the table", len(places), n)
	}
	for _, p := range places {
		text := string(Init())
		text = text[:p[0]] + strings.Replace(text[p[0]:], "#", "", 1)
		l, err := loadYAML(t, text)
		if err != nil {
			t.Fatal(err)
		}
		set := 0
		for _, k := range l.rows {
			if k.set {
				set++
			}
		}
		if set != 1 {
			t.Errorf("%d settings in force after %q", set, text[p[0]:p[1]])
		}
	}
}

// Promise: the file can be read on a terminal: no tabs, no long lines but lists, no spaces at line ends.
func TestInitIsReadable(t *testing.T) {
	for i, line := range strings.Split(string(Init()), "\n") {
		list := strings.HasSuffix(line, "]") // which has to stay on one line, to be uncommented by one key
		if len(line) > 102 && !list || strings.Contains(line, "\t") || strings.TrimRight(line, " ") != line {
			t.Errorf("line %d: %q", i+1, line)
		}
	}
	if !bytes.HasSuffix(Init(), []byte("\n")) {
		t.Error("no newline at the end")
	}
}

// Promise: every setting is in the reference, with its variables, in a well-formed table.
func TestReference(t *testing.T) {
	text := string(Reference())
	for _, v := range mustLoad(t, Options{}).Values() {
		if strings.Count(text, "\n| `"+v.Key+"` |") != 1 {
			t.Errorf("%s is not in the reference exactly once", v.Key)
		}
		for _, name := range v.Env {
			if !strings.Contains(text, "`"+name+"`") {
				t.Errorf("%s is not in the reference", name)
			}
		}
	}
	unescaped := regexp.MustCompile(`[^\\]\|`)
	for _, line := range strings.Split(text, "\n") {
		if strings.HasPrefix(line, "|") && len(unescaped.FindAllString(line, -1)) != 5 {
			t.Errorf("not five cells: %s", line)
		}
	}
	for _, want := range []string{"| `repository` | `/var/backups/bmad-forge` |", "### `backup.keep`", "| `database.url` | `postgres:///bmad_forge` |"} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is missing", want)
		}
	}
}

// Promise: Values has each setting with what is in force, its default and its source, and no password anywhere.
func TestValues(t *testing.T) {
	path := write(t, "c.yaml", "database:\n  url: postgres://u:hunter2@h/d\nhooks:\n  before: [\"PGPASSWORD=hunter2 psql\"]\nbackup: {keep: {within: 2w}}\n")
	l := mustLoad(t, Options{Path: path, Root: true, Environ: []string{"REDIS_URL=redis://:hunter2@r/1", "GPG_RECIPIENT=a@x b@x"}})
	want := map[string]Value{
		"repository":                {Value: "/var/backups/bmad-forge", Default: "/var/backups/bmad-forge", Source: "default"},
		"scratch_dir":               {Value: "/var/lib/forgectl/scratch", Default: "/var/lib/forgectl/scratch", Source: "default"},
		"database.name":             {Value: "d", Default: "bmad_forge", Source: "file " + path + ":2"},
		"database.url":              {Value: "postgres://u:***@h/d", Default: "postgres:///bmad_forge", Source: "file " + path + ":2", Secret: true},
		"database.maintenance_url":  {Value: "postgres://u:***@h/d", Default: "postgres://u:***@h/d", Source: "default", Secret: true},
		"redis.url":                 {Value: "redis://:***@r/1", Default: "redis://localhost:6379/0", Source: "environment REDIS_URL", Secret: true},
		"hooks.before":              {Value: `["PGPASSWORD=***`, Default: "[]", Source: "file " + path + ":4", Secret: true},
		"backup.keep.within":        {Value: "14d", Default: "30d", Source: "file " + path + ":5"},
		"backup.encrypt.recipients": {Value: "[a@x, b@x]", Default: "[]", Source: "environment GPG_RECIPIENT"},
		"config_files.paths":        {Value: "[/etc/bmad-forge, /etc/nginx/sites-available/bmad-forge, /etc/systemd/system/bmad-forge.service, /etc/cron.d/bmad-forge, /etc/logrotate.d/bmad-forge]", Default: "[/etc/bmad-forge, /etc/nginx/sites-available/bmad-forge, /etc/systemd/system/bmad-forge.service, /etc/cron.d/bmad-forge, /etc/logrotate.d/bmad-forge]", Source: "default"},
	}
	values := l.Values()
	for _, v := range values {
		if strings.Contains(fmt.Sprintf("%+v", v), "hunter2") {
			t.Errorf("%s shows a password", v.Key)
		}
		w, ok := want[v.Key]
		if !ok {
			continue
		}
		delete(want, v.Key)
		if !strings.HasPrefix(v.Value, w.Value) || v.Default != w.Default || v.Source != w.Source || v.Secret != w.Secret {
			t.Errorf("got  %+v\nwant %+v", v, w)
		}
		if v.Doc == "" || !slices.Contains(v.Env, "FORGECTL_"+strings.ToUpper(strings.ReplaceAll(v.Key, ".", "_"))) {
			t.Errorf("%+v", v)
		}
	}
	if len(want) > 0 {
		t.Errorf("missing: %v", want)
	}
	if l.Source("nothing") != "" || l.Source("hooks") != "" {
		t.Error("a source of what is no setting")
	}
}
