package rediscache

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/bmad-forge/forgectl/pkg/rediscache/redistest"
)

// Promise: the watching ends by itself when its output waits on the server. Here
// nobody reads, as when the network is slower than the commands come.
func TestMonitorStopsForItsBuffer(t *testing.T) {
	s := redistest.Start(t)
	c, err := Open(t.Context(), Options{URL: s.URL()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	conn, id, err := c.raw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.Write(encode([]string{"MONITOR"})); err != nil {
		t.Fatal(err)
	}
	w := &watcher{Cache: c, MonitorOptions: MonitorOptions{MaxBuffer: 100, MaxLatency: time.Hour}}
	value := strings.Repeat("x", 1<<20)
	redistest.Wait(t, "output waits", func() bool {
		if err := s.Client(t).Set(t.Context(), "k", value, 0).Err(); err != nil {
			t.Fatal(err)
		}
		waiting, err := w.clients(t.Context(), id)
		return err == nil && waiting > w.MaxBuffer
	})
	if err := w.guard(context.WithoutCancel(t.Context()), id); !errors.Is(err, errEnough) || !strings.Contains(w.Stopped, "waited on the server") {
		t.Errorf("%v, stopped %q", err, w.Stopped)
	}
}
