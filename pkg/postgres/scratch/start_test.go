package scratch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// A cluster with no options accepts its superuser on a private socket, nobody by network, and is gone after Stop.
func TestStart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "scratch")
	c := start(t, Options{Dir: dir})
	conn := connect(t, c.ConnString("postgres"))
	for name, want := range map[string]string{
		"fsync": "off", "listen_addresses": "", "wal_level": "minimal", "max_connections": "50", "shared_buffers": "128MB",
		"server_encoding": "UTF8", "lc_collate": "C", "lc_messages": "C", "is_superuser": "on", "TimeZone": "UTC",
	} {
		if got := query(t, conn, "SELECT current_setting($1)", name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if got := query(t, conn, "SELECT current_user::text"); got != Superuser {
		t.Errorf("user is %s", got)
	}
	for _, d := range []string{c.SocketDir, c.DataDir, dir} {
		info, err := os.Stat(d)
		if err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v, %v", d, info.Mode(), err)
		}
	}
	if (c.User != nil) != (os.Geteuid() == 0) {
		t.Errorf("user %+v", c.User)
	}
	if log := strings.Join(c.LogTail(), "\n"); !strings.Contains(log, "ready to accept connections") {
		t.Errorf("log: %s", log)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for range 2 {
		if err := c.Stop(over); err != nil {
			t.Fatal(err)
		}
	}
	<-c.Exited()
	mustBeClean(t, dir)
	if _, err := pgx.Connect(t.Context(), c.ConnString("postgres")); err == nil {
		t.Error("still accepts connections")
	}
}

// What is asked for is what the server has.
func TestStartOptions(t *testing.T) {
	c := start(t, Options{
		Encoding: "UTF8", Locale: "C.UTF-8", LocaleProvider: "i", ICULocale: "de-DE",
		PreloadLibraries: []string{"pg_stat_statements", "$libdir/auto_explain"},
		Settings:         map[string]string{"wal_level": "logical", "max_wal_senders": "2", "work_mem": "8MB"},
		TCP:              true,
	})
	conn := connect(t, fmt.Sprintf("host=127.0.0.1 port=%d user=%s dbname=postgres sslmode=disable", c.Port, Superuser))
	for name, want := range map[string]string{
		"wal_level": "logical", "max_wal_senders": "2", "work_mem": "8MB", "lc_collate": "C.UTF-8",
	} {
		if got := query(t, conn, "SELECT current_setting($1)", name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	got := query(t, conn, "SELECT datlocprovider::text || ' ' || daticulocale FROM pg_database WHERE datname = 'template1'")
	if got != "i de-DE" {
		t.Errorf("locale %q", got)
	}
	query(t, conn, "SELECT pg_stat_statements_reset::text FROM (SELECT current_setting('pg_stat_statements.max')) AS s(pg_stat_statements_reset)")
}

// A directory that the server's user cannot enter, and one whose name is too long for a socket, do as well as
// any; what is made elsewhere for that goes with the cluster.
func TestStartDirectories(t *testing.T) {
	tests := []struct {
		name              string
		dir               func(t *testing.T) string
		closed, elsewhere bool
	}{
		{"open parent", openDir, false, false},
		{"closed parent", func(t *testing.T) string { return filepath.Join(t.TempDir(), "scratch") }, true, false},
		{"long name", func(t *testing.T) string { return openSub(t, strings.Repeat("long", 30)) }, false, true},
		{"quoted name", func(t *testing.T) string { return openSub(t, `it's a \ "dir" $libdir`) }, false, false},
		{"comma", func(t *testing.T) string { return openSub(t, "a,b") }, false, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := tt.dir(t)
			c := start(t, Options{Dir: dir})
			if (c.run.handle != nil) != (tt.closed && c.User != nil) || (c.SocketDir != c.run.path) != (c.run.handle != nil || tt.elsewhere) {
				t.Errorf("not the case that was meant: socket in %s, handle %v", c.SocketDir, c.run.handle != nil)
			}
			conn := connect(t, c.ConnString("postgres"))
			// A parallel query maps segments that are files of the cluster.
			for _, sql := range []string{
				"CREATE TABLE t AS SELECT generate_series(1, 1000) AS n",
				"SET parallel_setup_cost = 0", "SET parallel_tuple_cost = 0", "SET min_parallel_table_scan_size = 0",
			} {
				if _, err := conn.Exec(t.Context(), sql); err != nil {
					t.Fatal(err)
				}
			}
			if got := query(t, conn, "SELECT sum(n)::text FROM t"); got != "500500" {
				t.Errorf("parallel sum %s", got)
			}
			if err := c.Stop(t.Context()); err != nil {
				t.Fatal(err)
			}
			mustBeClean(t, dir)
			noSocketDir(t, filepath.Base(c.run.path))
		})
	}
}

// What this host lacks is named, told apart from a failure, and leaves nothing behind.
func TestUnavailable(t *testing.T) {
	empty := t.TempDir()
	tests := []struct {
		name    string
		options Options
		message string
		root    bool
	}{
		{"programs", Options{BinDir: empty}, fmt.Sprintf("server program %q, %q: not available on this host", empty+"/initdb", empty+"/postgres"), false},
		{"locale", Options{Locale: "tlh_KX.UTF-8"}, `locale "tlh_KX.UTF-8": not available on this host`, false},
		{"locale provider", Options{LocaleProvider: "builtin"}, `locale provider "builtin": not available on this host`, false},
		{"libraries", Options{PreloadLibraries: []string{"pg_stat_statements", "timescaledb", "$libdir/citus.so", "/no/such.so"}},
			`preload library "timescaledb", "$libdir/citus.so", "/no/such.so": not available on this host`, false},
		{"user", Options{OSUser: "no-such-user"}, `operating system user "no-such-user": not available on this host`, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.root && os.Geteuid() != 0 {
				return // nobody else needs another user
			}
			tt.options.Dir, tt.options.Runner = t.TempDir(), system()
			_, err := Start(t.Context(), tt.options)
			var lacks *UnavailableError
			if !errors.Is(err, ErrUnavailable) || !errors.As(err, &lacks) {
				t.Fatalf("got %v", err)
			}
			if lacks.Error() != tt.message || lacks.Hint == "" {
				t.Errorf("got %q, hint %q", lacks.Error(), lacks.Hint)
			}
			mustBeClean(t, tt.options.Dir)
		})
	}
}

// The server's own words about a library that is missing lead to the same error: pg_config is not always there.
func TestUnavailableLibraryByServer(t *testing.T) {
	bin, dir := openDir(t), t.TempDir()
	real, err := findBinDir("")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"initdb", "postgres"} {
		// The programs find their files beside where they really are, a link would not hide pg_config from us.
		script := fmt.Sprintf("#!/bin/sh\nexec %s/%s \"$@\"\n", real, name)
		if err := os.WriteFile(filepath.Join(bin, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	_, err = Start(t.Context(), Options{BinDir: bin, Dir: dir, Runner: system(), PreloadLibraries: []string{"timescaledb"}})
	var lacks *UnavailableError
	if !errors.As(err, &lacks) || lacks.What != "preload library" || lacks.Names[0] != "timescaledb" {
		t.Fatalf("got %v", err)
	}
	mustBeClean(t, dir)
}

// Options that make no sense are refused before anything happens.
func TestBadOptions(t *testing.T) {
	tests := []struct {
		name, message string
		options       Options
	}{
		{"no runner", "no runner given", Options{Dir: "x"}},
		{"no directory", "no directory given", Options{Runner: system()}},
		{"provider", `locale provider "x"`, Options{Dir: "x", Runner: system(), LocaleProvider: "x"}},
		{"reserved", "setting Port cannot be changed", Options{Dir: "x", Runner: system(), Settings: map[string]string{"Port": "1"}}},
		{"malformed", "malformed setting", Options{Dir: "x", Runner: system(), Settings: map[string]string{"a b": "1"}}},
		{"root", "", Options{Dir: "x", Runner: system(), OSUser: "root"}},
	}
	if os.Geteuid() == 0 {
		tests[5].message = "PostgreSQL does not run as root"
	} else {
		tests = tests[:5]
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			_, err := Start(t.Context(), tt.options)
			if err == nil || !strings.Contains(err.Error(), tt.message) || errors.Is(err, ErrUnavailable) {
				t.Errorf("got %v", err)
			}
			mustBeClean(t, ".")
		})
	}
}

// A server that does not start says why, and nothing is left.
func TestServerFails(t *testing.T) {
	dir := t.TempDir()
	_, err := Start(t.Context(), Options{Dir: dir, Runner: system(), Settings: map[string]string{"shared_buffers": "much"}})
	if err == nil || !strings.Contains(err.Error(), "shared_buffers") || errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	mustBeClean(t, dir)
}

// The end of the context during the start is its error, and nothing is left.
func TestStartCancelled(t *testing.T) {
	for _, at := range []string{"claimed", "initdb runs", "initialized", "launched"} {
		t.Run(at, func(t *testing.T) {
			dir := t.TempDir()
			ctx, cancel := context.WithCancelCause(t.Context())
			why := errors.New("enough")
			_, err := Start(ctx, Options{Dir: dir, Runner: system(), step: func(step string) {
				if step == at {
					cancel(why)
				}
			}})
			if !errors.Is(err, why) {
				t.Errorf("got %v", err)
			}
			mustBeClean(t, dir)
		})
	}
}
