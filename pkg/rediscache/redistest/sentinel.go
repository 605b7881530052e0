package redistest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/redis/go-redis/v9"
)

// Sentinel is a master with one replica, and one sentinel that watches them under
// the name "mymaster" and promotes the replica as soon as the master has gone.
type Sentinel struct {
	Master, Replica *Server
	watcher         *Server
}

// StartSentinel starts all three, and waits until they know one another.
func StartSentinel(t testing.TB) *Sentinel {
	t.Helper()
	s := &Sentinel{Master: Start(t)}
	s.Replica = Start(t, "--replicaof", "127.0.0.1", fmt.Sprint(s.Master.Port), "--repl-diskless-sync-delay", "0")
	dir := t.TempDir()
	for range 10 {
		port, err := freePort()
		must(t, err)
		w := &Server{Dir: dir, Port: port, log: filepath.Join(dir, "sentinel.log"), ended: make(chan struct{})}
		conf := filepath.Join(dir, "sentinel.conf")
		must(t, os.WriteFile(conf, fmt.Appendf(nil, "port %d\nbind 127.0.0.1\ndir %s\nlogfile %s\nsentinel monitor mymaster 127.0.0.1 %d 1\n"+
			"sentinel down-after-milliseconds mymaster 1000\nsentinel failover-timeout mymaster 5000\n", port, dir, w.log, s.Master.Port), 0o600))
		if err = w.run("redis-server", []string{conf, "--sentinel"}); err == nil {
			s.watcher = w
			t.Cleanup(w.Kill)
			break
		}
		if err != errPort {
			t.Fatal(err)
		}
	}
	Wait(t, "the sentinel knows the replica, which has its data", func() bool {
		return s.replicas(t) == 1
	})
	return s
}

// URL is how a client finds the master.
func (s *Sentinel) URL() string {
	return fmt.Sprintf("redis+sentinel://%s/mymaster/0", s.watcher.Addr())
}

// replicas is how many healthy ones the sentinel knows.
func (s *Sentinel) replicas(t testing.TB) int {
	t.Helper()
	c := redis.NewSentinelClient(&redis.Options{Addr: s.watcher.Addr(), DisableIdentity: true})
	defer func() { _ = c.Close() }()
	list, err := c.Replicas(context.Background(), "mymaster").Result()
	if err != nil {
		return 0
	}
	n := 0
	for _, r := range list {
		if r["master-link-status"] == "ok" {
			n++
		}
	}
	return n
}
