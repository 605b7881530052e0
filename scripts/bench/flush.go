package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// cacheKeys are removed, and as many others stay.
const cacheKeys = 1_000_000

// flushCache measures what it takes to remove a part of a Redis, and how long another client waits for PING meanwhile.
func flushCache(ctx context.Context, b *bench) error {
	r, err := b.startRedis(ctx, "flush", "--enable-debug-command", "local")
	if err != nil {
		return err
	}
	defer r.end()
	f := &flushed{bench: b, socket: r.socket, worst: map[string]time.Duration{}}
	f.client = redis.NewClient(&redis.Options{Network: "unix", Addr: r.socket, ReadTimeout: 10 * time.Minute})
	defer func() { _ = f.client.Close() }()
	return f.flushes(ctx)
}

// flushed is a Redis of which a part is removed.
type flushed struct {
	*bench
	socket string
	client *redis.Client
	worst  map[string]time.Duration // PING of another client, by contender
}

// fill makes the same keys for everybody.
func (r *flushed) fill(ctx context.Context) error {
	if err := r.client.FlushAll(ctx).Err(); err != nil {
		return err
	}
	for _, prefix := range []string{"bmad:1:template", "other:1:template"} {
		if err := r.client.Do(ctx, "DEBUG", "POPULATE", cacheKeys, prefix, 100).Err(); err != nil {
			return err
		}
	}
	return nil
}

// left makes sure that the right keys are gone.
func (r *flushed) left(ctx context.Context) error {
	n, err := r.client.DBSize(ctx).Result()
	if err == nil && n != cacheKeys {
		err = fmt.Errorf("%d keys are left, want %d", n, cacheKeys)
	}
	return err
}

// watched runs something while another client pings.
func (r *flushed) watched(name string, run func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		conn := r.client.Conn()
		defer func() { _ = conn.Close() }()
		pinging, cancel := context.WithCancel(ctx)
		ended := make(chan time.Duration)
		go func() {
			worst := time.Duration(0)
			for pinging.Err() == nil {
				start := time.Now()
				if conn.Ping(ctx).Err() == nil {
					worst = max(worst, time.Since(start))
				}
				time.Sleep(time.Millisecond)
			}
			ended <- worst
		}()
		err := run(ctx)
		cancel()
		r.worst[name] = max(r.worst[name], <-ended)
		return err
	}
}

func (r *flushed) flushes(ctx context.Context) error {
	cli := "redis-cli -s " + r.socket + " "
	yaml := fmt.Sprintf("repository: %s\nstate_dir: %s\nredis: {url: 'unix://%s', key_prefix: bmad}\n", r.dir, r.path("state"), r.socket)
	if err := os.WriteFile(r.path("flush.yaml"), []byte(yaml), 0o600); err != nil {
		return err
	}
	lines := []struct {
		name string
		run  func(context.Context) error
	}{
		{"--scan | xargs unlink", func(ctx context.Context) error {
			return r.shell(ctx, cli+"--scan --pattern 'bmad:1:*' | xargs "+cli+"unlink >/dev/null")
		}},
		{"KEYS | xargs DEL", func(ctx context.Context) error {
			return r.shell(ctx, cli+"KEYS 'bmad:1:*' | xargs "+cli+"DEL >/dev/null")
		}},
		{"forgectl cache flush", func(ctx context.Context) error { return r.ours(ctx, "flush.yaml", "cache", "flush") }},
	}
	t := trial{title: "cache: flush of 1,000,000 keys among 2,000,000", against: []string{lines[0].name, lines[1].name}}
	for _, l := range lines {
		t.contenders = append(t.contenders, contender{name: l.name, before: r.fill, run: r.watched(l.name, l.run), after: r.left})
	}
	if err := r.try(ctx, t); err != nil {
		return err
	}
	var texts []string
	for _, l := range lines {
		texts = append(texts, fmt.Sprintf("%s %.1f ms", l.name, float64(r.worst[l.name].Microseconds())/1000))
	}
	fmt.Println("worst PING of another client: " + strings.Join(texts, ", "))
	return nil
}
