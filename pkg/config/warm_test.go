package config

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// guideWarm is what is warmed when nobody says anything.
var guideWarm = []WarmEntry{{
	Name: "templates", Via: WarmViaQuery, Query: "SELECT * FROM forge_template WHERE is_active", Key: "template:{id}", TTL: time.Hour, Codec: CodecPickle,
}}

// Promise: entries are read as they were meant, and what is shown of them can be written into a file again.
func TestWarmEntries(t *testing.T) {
	l, err := loadYAML(t, `redis:
  warm:
    - name: templates
      query: |
        SELECT * FROM forge_template
        WHERE title <> 'a: "b"'
      key: template:{id}
      ttl: 2h
      jitter: 5m
      codec: django-model
      model: forge.Template
      django_version: 5.2.11
    - {name: own, via: command, command: ./manage.py warm_cache}
`)
	if err != nil {
		t.Fatal(err)
	}
	want := []WarmEntry{
		{
			Name: "templates", Via: WarmViaQuery, Query: "SELECT * FROM forge_template\nWHERE title <> 'a: \"b\"'", Key: "template:{id}",
			TTL: 2 * time.Hour, Jitter: 5 * time.Minute, Codec: CodecModel, Model: "forge.Template", DjangoVersion: "5.2.11",
		},
		{Name: "own", Via: WarmViaCommand, Command: "./manage.py warm_cache", TTL: time.Hour, Codec: CodecPickle},
	}
	if diff := cmp.Diff(want, l.Redis.Warm); diff != "" {
		t.Error(diff)
	}
	again, err := loadYAML(t, "redis:\n  warm: "+l.row("redis.warm").value.yaml()+"\n")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, again.Redis.Warm); diff != "" {
		t.Error(diff)
	}
}

// Promise: an entry that cannot be meant is refused with its place and the reason.
func TestWarmEntriesRefused(t *testing.T) {
	for entry, want := range map[string]string{
		`text`:                                                                        "want a group of settings, not text",
		`{name: a, query: SELECT 1}`:                                                  "query and key must be set",
		`{name: a b, query: q, key: k}`:                                               "name: want letters",
		`{name: a, query: q, key: k, qery: x}`:                                        `unknown setting "qery"`,
		`{name: a, query: [q], key: k}`:                                               "query: want text, not a list",
		`{name: a, query: q, key: k, ttl: 5}`:                                         "ttl: bad duration",
		`{name: a, query: q, key: k, ttl: 1m, jitter: 1m}`:                            "jitter: must be less than ttl",
		`{name: a, query: q, key: k, codec: yaml}`:                                    "codec: unknown value",
		`{name: a, query: q, key: k, codec: django-model}`:                            "model: want app_label.ObjectName",
		`{name: a, query: q, key: k, model: forge.T}`:                                 "are for the codec django-model",
		`{name: a, query: q, key: k, codec: raw}`:                                     "value: the codec raw wants",
		`{name: a, via: command, query: q}`:                                           "via command has no query",
		`{name: a, query: q, key: k}, {name: a, query: q, key: k}`:                    `entry 2: there are two named "a"`,
		`{name: a, query: q, key: k}, {name: b, query: q, key: k, command: ./manage}`: "entry 2: command and user are for via: command",
	} {
		_, err := loadYAML(t, "redis:\n  warm: ["+entry+"]\n")
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), ":2") {
			t.Errorf("%s: %v", entry, err)
		}
	}
}
