package rediscache

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"time"
)

// guardEvery is how often somebody looks what the watching costs.
const guardEvery = 500 * time.Millisecond

// guard learns who the clients are, and ends the watching when others suffer.
func (w *watcher) guard(ctx context.Context, id int64) error {
	limit := w.MaxLatency
	if limit <= 0 {
		limit = max(2*w.Before.Median, SmallLatency)
	}
	for {
		waiting, err := w.clients(ctx, id)
		if err != nil {
			return err
		}
		now, err := w.Ping(ctx, monitorPings)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			return err
		}
		w.mu.Lock()
		w.Worst = max(w.Worst, now.Max)
		switch {
		case waiting > w.MaxBuffer:
			w.Stopped = fmt.Sprintf("%d bytes of output waited on the server: it does more than can be watched", waiting)
		case now.Median > limit && !w.Heedless:
			w.Stopped = fmt.Sprintf("PING took %s, and %s before", now.Median, w.Before.Median)
		}
		stopped := w.Stopped != ""
		if w.Live != nil {
			w.Live(&w.Watched)
		}
		w.mu.Unlock()
		if stopped {
			return errEnough
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(guardEvery):
		}
	}
}

// clients reads CLIENT LIST: the names of all, and how much waits for the
// connection that monitors. Who may not ask has no names.
func (w *watcher) clients(ctx context.Context, id int64) (waiting int64, err error) {
	list, err := w.client.ClientList(ctx).Result()
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	if err != nil {
		if isRights(err) {
			return 0, nil
		}
		return 0, Explain(err)
	}
	names := map[string]string{}
	for line := range strings.Lines(list) {
		c := info{}
		for field := range strings.FieldsSeq(line) {
			name, value, _ := strings.Cut(field, "=")
			c[name] = value
		}
		address := c["addr"]
		names[address] = c["name"]
		if c.int("id") == id || id == 0 && c["name"] == ClientName+"-monitor" {
			waiting += c.int("omem")
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	// Who has gone is remembered: lines about it may still come.
	if w.names == nil || len(w.names) > 10*tallyLimit {
		w.names = map[string]string{}
	}
	maps.Copy(w.names, names)
	return waiting, nil
}

func isRights(err error) bool { return strings.HasPrefix(err.Error(), "NOPERM") }
