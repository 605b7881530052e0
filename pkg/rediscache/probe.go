package rediscache

import (
	"context"
	"slices"
	"sync"
	"time"
)

// probeEvery is how often another client looks whether the server still answers.
const probeEvery = 5 * time.Millisecond

// Latency is how long PING took.
type Latency struct {
	Count  int
	Min    time.Duration
	Median time.Duration
	P99    time.Duration
	Max    time.Duration
}

func latencyOf(all []time.Duration) Latency {
	if len(all) == 0 {
		return Latency{}
	}
	sorted := slices.Sorted(slices.Values(all))
	at := func(q float64) time.Duration { return sorted[int(q*float64(len(sorted)-1))] }
	return Latency{len(sorted), sorted[0], at(0.5), at(0.99), sorted[len(sorted)-1]}
}

// probe pings on a connection of its own while something else is going on.
type probe struct {
	mu     sync.Mutex
	last   time.Duration
	worst  time.Duration
	cancel context.CancelFunc
	ended  chan struct{}
}

func (c *Cache) probe(ctx context.Context) *probe {
	ctx, cancel := context.WithCancel(ctx)
	p := &probe{cancel: cancel, ended: make(chan struct{})}
	go func() {
		defer close(p.ended)
		conn := c.client.Conn()
		defer func() { _ = conn.Close() }()
		_ = conn.Ping(ctx) // what it takes to connect is nobody's latency
		for ctx.Err() == nil {
			start := time.Now()
			err := conn.Ping(ctx).Err()
			took := time.Since(start)
			if err == nil {
				p.mu.Lock()
				p.last, p.worst = took, max(p.worst, took)
				p.mu.Unlock()
			}
			select {
			case <-ctx.Done():
			case <-time.After(probeEvery):
			}
		}
	}()
	return p
}

// recent is what the last PING took.
func (p *probe) recent() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last
}

// end stops and says the worst.
func (p *probe) end() time.Duration {
	p.cancel()
	<-p.ended
	return p.worst
}

// Ping measures n answers, a moment apart.
func (c *Cache) Ping(ctx context.Context, n int) (Latency, error) {
	conn := c.client.Conn()
	defer func() { _ = conn.Close() }()
	if err := conn.Ping(ctx).Err(); err != nil {
		return Latency{}, Explain(err)
	}
	all := make([]time.Duration, 0, n)
	for range n {
		start := time.Now()
		if err := conn.Ping(ctx).Err(); err != nil {
			return latencyOf(all), Explain(err)
		}
		all = append(all, time.Since(start))
		select {
		case <-ctx.Done():
			return latencyOf(all), context.Cause(ctx)
		case <-time.After(time.Millisecond):
		}
	}
	return latencyOf(all), nil
}
