package rediscache_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/bmad-forge/forgectl/pkg/rediscache"
	"github.com/bmad-forge/forgectl/pkg/rediscache/redistest"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, o rediscache.Options) *rediscache.Cache {
	t.Helper()
	c, err := rediscache.Open(t.Context(), o)
	must(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

var bmad = rediscache.Prefix{KeyPrefix: "bmad", Version: 1}

// Promise: each way to Redis leads there, and each mistake is told from the others,
// with a hint and without the password.
func TestOpen(t *testing.T) {
	plain := redistest.Start(t)
	locked := redistest.Start(t, "--requirepass", "hunter2")
	for _, tt := range []struct {
		name string
		o    rediscache.Options
		is   error // nil: it opens
	}{
		{"tcp", rediscache.Options{URL: plain.URL()}, nil},
		{"socket", rediscache.Options{URL: plain.SocketURL() + "?db=3"}, nil},
		{"password in the URL", rediscache.Options{URL: "redis://:hunter2@" + locked.Addr() + "/0"}, nil},
		{"password beside it", rediscache.Options{URL: locked.URL(), Password: "hunter2"}, nil},
		{"wrong password", rediscache.Options{URL: locked.URL(), Password: "hunter3"}, rediscache.ErrAuth},
		{"no password", rediscache.Options{URL: locked.URL()}, rediscache.ErrAuth},
		{"no TLS there", rediscache.Options{URL: "rediss://" + plain.Addr() + "/0", Timeout: 2 * time.Second}, errAny},
		{"no CA", rediscache.Options{URL: "rediss://" + plain.Addr() + "/0", CAFile: "/nonexistent"}, errAny},
		{"nobody there", rediscache.Options{URL: "redis://127.0.0.1:1/0"}, errAny},
		{"no such database", rediscache.Options{URL: "redis://" + plain.Addr() + "/99"}, errAny},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := rediscache.Open(t.Context(), tt.o)
			if err == nil {
				defer func() { _ = c.Close() }()
			}
			var connect *rediscache.ConnectError
			switch {
			case (err == nil) != (tt.is == nil):
				t.Errorf("got %v", err)
			case err != nil && (!errors.As(err, &connect) || connect.Hint == "" || strings.Contains(err.Error()+connect.Hint, "hunter")):
				t.Errorf("got %v", err)
			case err != nil && tt.is != errAny && !errors.Is(err, tt.is):
				t.Errorf("got %v, want %v", err, tt.is)
			}
		})
	}
}

var errAny = errors.New("any error")

// Promise: TLS with an own authority and a client's certificate, for a user of the
// ACL; who is not trusted or has no certificate stays outside.
func TestOpenTLS(t *testing.T) {
	certs := redistest.NewCertificates(t)
	s, port := certs.Start(t, "--user", "app", "on", ">hunter2", "~bmad:*", "+@all", "-@dangerous", "+info")
	url := "rediss://app@127.0.0.1:" + port + "/0"
	c := open(t, rediscache.Options{URL: url, Password: "hunter2", CAFile: certs.CA, CertFile: certs.Cert, KeyFile: certs.Key})
	must(t, s.Client(t).MSet(t.Context(), "bmad:1:a", "1", "other", "2").Err())
	done, err := c.Flush(t.Context(), rediscache.FlushOptions{Selection: rediscache.Selection{Prefix: bmad}})
	if err != nil || done.Keys != 1 {
		t.Errorf("%+v, %v", done, err)
	}
	_, err = c.Flush(t.Context(), rediscache.FlushOptions{Selection: rediscache.Selection{Pattern: "other"}})
	if !errors.Is(err, rediscache.ErrRights) {
		t.Errorf("a key that the user may not touch: %v", err)
	}
	for name, o := range map[string]rediscache.Options{
		"authority":   {URL: url, Password: "hunter2", CertFile: certs.Cert, KeyFile: certs.Key},
		"certificate": {URL: url, Password: "hunter2", CAFile: certs.CA},
	} {
		if _, err := rediscache.Open(t.Context(), o); err == nil {
			t.Errorf("no %s, and it opens", name)
		}
	}
}

// Promise: while a server reads its dump the error says so, and how long.
func TestLoading(t *testing.T) {
	s := redistest.Start(t)
	must(t, s.Client(t).Do(t.Context(), "DEBUG", "POPULATE", "100000", "bmad:1:k", "200").Err())
	must(t, s.Client(t).Do(t.Context(), "SAVE").Err())
	s.Kill()
	// Each key of the dump takes a moment.
	again := redistest.StartIn(t, s.Dir, "--key-load-delay", "2000", "--loading-process-events-interval-bytes", "1024")
	_, err := rediscache.Open(t.Context(), rediscache.Options{URL: again.URL()})
	if !errors.Is(err, rediscache.ErrLoading) || !strings.Contains(err.Error(), " to go") {
		t.Errorf("got %v", err)
	}
}

// Promise: a server that does not answer ends an operation with the time limit or
// the signal, not with a wait.
func TestFrozen(t *testing.T) {
	s := redistest.Start(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	c, err := rediscache.Open(ctx, rediscache.Options{URL: s.URL(), Timeout: time.Hour})
	must(t, err)
	t.Cleanup(func() { _ = c.Close() })
	s.Freeze(t)
	defer s.Thaw(t)
	why := errors.New("the operator")
	ended := make(chan error, 1)
	go func() {
		_, err := c.Flush(ctx, rediscache.FlushOptions{Selection: rediscache.Selection{Prefix: bmad}})
		ended <- err
	}()
	cancel(why)
	select {
	case err := <-ended:
		if err == nil {
			t.Error("it flushed a frozen server")
		}
	case <-time.After(time.Minute):
		t.Error("it waits for ever")
	}
}

// Promise: the state of a server is told as it is, and what is wrong is found.
func TestStats(t *testing.T) {
	s := redistest.Start(t, "--maxmemory", "4mb", "--maxmemory-policy", "noeviction", "--maxclients", "50")
	c, other := open(t, rediscache.Options{URL: s.SocketURL()}), s.Client(t)
	limits := rediscache.Limits{Memory: 0.9, Clients: 0.8, HitRatio: 0.5, Latency: time.Hour}
	must(t, other.Set(t.Context(), "bmad:1:a", "1", 0).Err())
	for range 3 {
		must(t, other.Get(t.Context(), "bmad:1:a").Err())
	}
	stats, err := c.Stats(t.Context(), rediscache.StatsOptions{})
	must(t, err)
	if stats.Keys != 1 || stats.Hits != 3 || stats.HitRatio != 1 || stats.Policy != "noeviction" || stats.MemoryLimit != 4<<20 || stats.ClientLimit != 50 || stats.Role != "master" || stats.Latency.Count == 0 {
		t.Errorf("%+v", stats)
	}
	if found := stats.Judge(limits); len(found) > 0 {
		t.Errorf("all is well: %+v", found)
	}
	for i := range 100 {
		if err := other.Set(t.Context(), fmt.Sprint("bmad:1:big", i), strings.Repeat("x", 100_000), 0).Err(); err != nil {
			break // it is full
		}
	}
	for range 20 {
		if err := other.Get(t.Context(), "nothing").Err(); !errors.Is(err, redis.Nil) {
			t.Fatal(err)
		}
	}
	stats, err = c.Stats(t.Context(), rediscache.StatsOptions{})
	must(t, err)
	texts := fmt.Sprint(stats.Judge(limits))
	if !strings.Contains(texts, "noeviction refuses writes") || !strings.Contains(texts, "of reads find something") {
		t.Error(texts)
	}
}

// Promise: a full server can be emptied: UNLINK needs no room.
func TestFlushFull(t *testing.T) {
	s := redistest.Start(t, "--maxmemory", "4mb", "--maxmemory-policy", "noeviction")
	other := s.Client(t)
	for i := 0; other.Set(t.Context(), fmt.Sprint("bmad:1:", i), strings.Repeat("x", 50_000), 0).Err() == nil; i++ {
	}
	c := open(t, rediscache.Options{URL: s.URL()})
	done, err := c.Flush(t.Context(), rediscache.FlushOptions{Selection: rediscache.Selection{Prefix: bmad}})
	if err != nil || done.Keys == 0 || other.DBSize(t.Context()).Val() != 0 {
		t.Errorf("%+v, %v", done, err)
	}
}
