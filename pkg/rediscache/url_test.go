package rediscache

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Promise: each documented form of a URL says what it is documented to say.
func TestParseURL(t *testing.T) {
	for _, tt := range []struct {
		url  string
		want target
		text string
	}{
		{"redis://localhost", target{network: "tcp", addrs: []string{"localhost:6379"}}, "redis://localhost:6379/0"},
		{"redis://:p%40w@h:7000/3", target{network: "tcp", addrs: []string{"h:7000"}, password: "p@w", db: 3}, "redis://h:7000/3"},
		{"rediss://app:pw@h/2", target{network: "tcp", addrs: []string{"h:6379"}, tls: true, user: "app", password: "pw", db: 2}, "rediss://app@h:6379/2"},
		{"redis://[::1]:6380/1", target{network: "tcp", addrs: []string{"[::1]:6380"}, db: 1}, "redis://[::1]:6380/1"},
		{"redis://[::1]", target{network: "tcp", addrs: []string{"[::1]:6379"}}, "redis://[::1]:6379/0"},
		{"unix:///run/redis/redis.sock?db=4", target{network: "unix", addrs: []string{"/run/redis/redis.sock"}, db: 4}, "unix:///run/redis/redis.sock?db=4"},
		{"unix://u:pw@/run/redis.sock", target{network: "unix", addrs: []string{"/run/redis.sock"}, user: "u", password: "pw"}, "unix://u@/run/redis.sock?db=0"},
		{"redis+sentinel://s1,s2:26380/mymaster/5", target{network: "tcp", addrs: []string{"s1:26379", "s2:26380"}, master: "mymaster", db: 5}, "redis+sentinel://s1:26379,s2:26380/mymaster/5"},
		{
			"rediss+sentinel://u:pw@s1/m?sentinel_username=s&sentinel_password=sp",
			target{network: "tcp", addrs: []string{"s1:26379"}, master: "m", tls: true, user: "u", password: "pw", sentinelUser: "s", sentinelPassword: "sp"},
			"rediss+sentinel://u@s1:26379/m/0",
		},
		{
			"rediss://h/0?ssl_cert_reqs=required&ssl_ca_certs=/ca.pem&ssl_certfile=/c.pem&ssl_keyfile=/k.pem&health_check_interval=30",
			target{network: "tcp", addrs: []string{"h:6379"}, tls: true, caFile: "/ca.pem", certFile: "/c.pem", keyFile: "/k.pem"}, "rediss://h:6379/0",
		},
	} {
		got, err := parseURL(tt.url)
		if err != nil {
			t.Errorf("%s: %v", tt.url, err)
			continue
		}
		if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(target{})); diff != "" {
			t.Errorf("%s: %s", tt.url, diff)
		}
		if got.String() != tt.text {
			t.Errorf("%s is shown as %s, want %s", tt.url, got, tt.text)
		}
	}
}

// Promise: what is no URL is ErrURL, and no password is in the message.
func TestParseURLRefuses(t *testing.T) {
	for _, url := range []string{
		"", "localhost:6379", "http://:hunter2@h/0", "redis://", "redis://:hunter2@/0", "redis://:hunter2@h:99999/0", "redis://:hunter2@h:0/0",
		"redis://:hunter2@h/zero", "redis://:hunter2@h/-1", "redis://:hunter2/x@h/0", "redis://:hunter2%zz@h/0", "redis://:hunter2@a,b/0",
		"unix://:hunter2@host/path", "unix://", "redis+sentinel://:hunter2@s1", "redis+sentinel://:hunter2@s1/", "rediss://:hunter2@h/0?ssl_cert_reqs=none",
	} {
		if got, err := parseURL(url); !errors.Is(err, ErrURL) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %+v, %v", url, got, err)
		}
	}
}

// Promise: nothing in a prefix is taken for a pattern.
func TestPrefix(t *testing.T) {
	for _, tt := range []struct {
		prefix        Prefix
		key, patterns string
	}{
		{Prefix{"", 1}, ":1:k", ":1:*"},
		{Prefix{"bmad", 2}, "bmad:2:k", "bmad:2:*"},
		{Prefix{`a*b?[c]\^`, 0}, `a*b?[c]\^:0:k`, `a\*b\?\[c\]\\\^:0:*`},
	} {
		if got := tt.prefix.Key("k"); got != tt.key {
			t.Errorf("key %s, want %s", got, tt.key)
		}
		if got := tt.prefix.Pattern("*"); got != tt.patterns {
			t.Errorf("pattern %s, want %s", got, tt.patterns)
		}
	}
}
