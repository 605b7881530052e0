package rediscache_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/bmad-forge/forgectl/pkg/rediscache"
	"github.com/bmad-forge/forgectl/pkg/rediscache/redistest"
)

// Promise: what others do is counted by command, caller and group, and no secret of
// theirs is shown even when values are.
func TestMonitor(t *testing.T) {
	s := redistest.Start(t, "--requirepass", "hunter2", "--slowlog-log-slower-than", "0")
	c := open(t, rediscache.Options{URL: s.URL(), Password: "hunter2"})
	app := redis.NewClient(&redis.Options{Addr: s.Addr(), Password: "hunter2", ClientName: "gunicorn", DisableIdentity: true})
	t.Cleanup(func() { _ = app.Close() })
	must(t, app.Ping(t.Context()).Err())
	begun := make(chan struct{})
	go func() {
		<-begun
		for i := range 50 {
			_ = app.Set(t.Context(), fmt.Sprint("bmad:1:t:", i), "private", 0).Err()
			_ = app.Get(t.Context(), fmt.Sprint("bmad:1:t:", i)).Err()
		}
		_ = app.Set(t.Context(), "bmad:1:t:0", "private", 0).Err()
		_ = app.Do(t.Context(), "ACL", "SETUSER", "u", "on", ">hunter3").Err()
		_ = app.ConfigSet(t.Context(), "requirepass", "hunter2").Err()
		_ = app.Do(t.Context(), "AUTH", "default", "hunter2").Err()
	}()
	first := true
	w, err := c.Monitor(t.Context(), rediscache.MonitorOptions{For: 3 * time.Second, Prefix: bmad, Heedless: true, Live: func(*rediscache.Watched) {
		if first {
			first = false
			close(begun)
		}
	}})
	must(t, err)
	g := w.Groups["bmad:1:t:*"]
	if g == nil || g.Reads != 50 || g.Writes != 51 || w.Commands["GET"] != 50 || w.Callers["gunicorn 127.0.0.1"] < 100 || w.HitRatio != 1 || len(w.Slow) == 0 {
		t.Fatalf("%+v, group %+v", w, g)
	}
	shown := fmt.Sprint(w.Commands, w.Callers)
	for _, g := range w.Groups {
		shown += g.Example.Shown(true)
	}
	for _, e := range w.Slow {
		shown += e.Command.Shown(true)
	}
	if strings.Contains(shown, "hunter") || !strings.Contains(shown, "private") || strings.Contains(g.Example.Shown(false), "private") {
		t.Error(shown)
	}
}

// Promise: it ends by itself when others have to wait longer than before.
func TestMonitorStopsForLatency(t *testing.T) {
	s := redistest.Start(t)
	c := open(t, rediscache.Options{URL: s.URL()})
	app := s.Client(t)
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-stop:
				return
			default:
				_ = app.Do(t.Context(), "DEBUG", "SLEEP", "0.1").Err()
			}
		}
	}()
	w, err := c.Monitor(t.Context(), rediscache.MonitorOptions{For: time.Minute, Prefix: bmad, MaxLatency: 20 * time.Millisecond})
	close(stop)
	<-ended
	must(t, err)
	if !strings.Contains(w.Stopped, "PING took") {
		t.Errorf("stopped %q after %s", w.Stopped, w.Took)
	}
}
