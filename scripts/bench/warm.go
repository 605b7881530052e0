package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/bmad-forge/forgectl/pkg/proc"
)

// warmRows is how many templates are put into the cache.
const warmRows = 100_000

// warmCache measures the filling of a cache: what forgectl does against the loop of cache.set that an application has, in
// a real Django with django-redis. Both write an instance of the model for each row.
func warmCache(ctx context.Context, b *bench) error {
	if err := b.warmDatabase(ctx); err != nil {
		return err
	}
	redis, err := b.startRedis(ctx, "warm-redis")
	if err != nil {
		return err
	}
	defer redis.end()
	loop, err := filepath.Abs("scripts/bench/warm.py")
	if err != nil {
		return err
	}
	version, err := b.output(ctx, "/usr/bin/python3", "-c", "import django; print(django.__version__)")
	if err != nil {
		return err
	}
	yaml := strings.NewReplacer("{dir}", b.dir, "{redis}", redis.socket, "{version}", version).Replace(`repository: {dir}/repository
state_dir: {dir}/state
database: {name: bench_warm, url: "postgres://postgres@/bench_warm?host={dir}/server"}
redis:
  url: unix://{redis}
  warm:
    - {name: templates, query: SELECT * FROM forge_template WHERE is_active, key: "template:{id}", codec: django-model, model: forge.Template, django_version: "{version}"}
`)
	if err := os.WriteFile(b.path("warm.yaml"), []byte(yaml), 0o600); err != nil {
		return err
	}
	empty := func(ctx context.Context) error { return b.command(ctx, "redis-cli", "-s", redis.socket, "flushall") }
	full := func(ctx context.Context) error {
		n, err := b.output(ctx, "redis-cli", "-s", redis.socket, "dbsize")
		if err == nil && n != strconv.Itoa(warmRows) {
			err = errors.New(n + " keys in Redis")
		}
		return err
	}
	const byHand = "cache.set in a loop of Django"
	return b.try(ctx, trial{
		title: "cache: warm " + strconv.Itoa(warmRows) + " model instances",
		contenders: []contender{
			{name: byHand, before: empty, after: full, run: func(ctx context.Context) error {
				return b.command(ctx, "/usr/bin/python3", "-B", loop, redis.socket)
			}},
			{name: "forgectl cache warm", before: empty, after: full, run: func(ctx context.Context) error {
				return b.ours(ctx, "warm.yaml", "cache", "warm")
			}},
		},
		against: []string{byHand},
	})
}

func (b *bench) warmDatabase(ctx context.Context) error {
	if b.server == nil {
		if err := b.startServer(ctx); err != nil {
			return err
		}
	}
	return b.shell(ctx, `psql -Xqc 'DROP DATABASE IF EXISTS bench_warm' postgres 2>/dev/null
createdb bench_warm
psql -Xq -v ON_ERROR_STOP=1 bench_warm <<'SQL'
CREATE TABLE forge_template (id bigint PRIMARY KEY, title varchar(200) NOT NULL, body text NOT NULL, is_active boolean NOT NULL,
	price numeric(10, 2) NOT NULL, extra jsonb NOT NULL, created timestamptz NOT NULL);
INSERT INTO forge_template SELECT g, 'Template ' || g, repeat(md5(g::text), 10), true, g / 7.0, jsonb_build_object('n', g), now()
FROM generate_series(1, `+strconv.Itoa(warmRows)+`) g;
ANALYZE
SQL`)
}

// redisServer is a Redis that keeps nothing on disk, on a socket.
type redisServer struct {
	socket  string
	process proc.Process
	stop    context.CancelFunc
}

func (r *redisServer) end() {
	r.stop()
	_ = r.process.Wait() // by the signal that it was sent
}

// startRedis starts one in a directory of its own. Whoever starts it ends it.
func (b *bench) startRedis(ctx context.Context, name string, more ...string) (*redisServer, error) {
	if err := os.MkdirAll(b.path(name), 0o700); err != nil {
		return nil, err
	}
	r := &redisServer{socket: b.path(name + "/redis.sock")}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	r.stop = stop
	var err error
	r.process, err = b.runner.Start(running, proc.Cmd{Path: "redis-server", Dir: b.path(name), StopSignal: syscall.SIGKILL, Args: append([]string{
		"--port", "0", "--unixsocket", r.socket, "--save", "", "--appendonly", "no", "--dir", b.path(name),
	}, more...)})
	if err != nil {
		stop()
		return nil, err
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		err := b.command(ctx, "redis-cli", "-s", r.socket, "ping")
		if err == nil {
			return r, nil
		}
		if ctx.Err() != nil || time.Now().After(deadline) {
			r.end()
			return nil, err
		}
	}
}
