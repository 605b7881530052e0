package rediscache

import (
	"bufio"
	"context"
	"net"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// Wire is a connection for very many commands, written and answered in bulk. One goroutine may write while another one
// reads. The caller closes it.
type Wire struct {
	client  *redis.Client
	conn    net.Conn
	replies *bufio.Reader
	timeout time.Duration
	until   atomic.Int64 // when all must be over, in Unix nanoseconds; 0 is never
}

// OpenWire makes a connection such as those of client, and logged in as they are: by its TLS, user, database and sentinels.
// It is one of its own, which does not end with client's.
func OpenWire(ctx context.Context, client *redis.Client) (*Wire, error) {
	o := *client.Options()
	w := &Wire{timeout: o.ReadTimeout}
	if w.timeout <= 0 {
		w.timeout = DefaultTimeout
	}
	dial := o.Dialer
	o.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		w.conn = conn
		return conn, err
	}
	o.PoolSize, o.MinIdleConns, o.MaxRetries = 1, 0, -1
	w.client = redis.NewClient(&o)
	if err := w.client.Ping(ctx).Err(); err != nil {
		_ = w.client.Close()
		return nil, Explain(err)
	}
	// The connection lies in the pool of one, where nobody asks for it any more.
	w.replies = bufio.NewReaderSize(patient{w}, 32<<10)
	return w, nil
}

// Close cuts the connection.
func (w *Wire) Close() error { return w.client.Close() }

// Hurry makes everything end at that time, also what is waited for now.
func (w *Wire) Hurry(at time.Time) {
	w.until.Store(at.UnixNano())
	_ = w.conn.SetDeadline(at)
}

// limit sets a deadline, never a later one than that of Hurry, which may come meanwhile.
func (w *Wire) limit(set func(time.Time) error) error {
	for {
		until := w.until.Load()
		at := time.Now().Add(w.timeout)
		if until != 0 && until < at.UnixNano() {
			at = time.Unix(0, until)
		}
		if err := set(at); err != nil || w.until.Load() == until {
			return err
		}
	}
}

// patient reads with a time limit for each piece that comes.
type patient struct{ *Wire }

func (p patient) Read(b []byte) (int, error) {
	if err := p.limit(p.conn.SetReadDeadline); err != nil {
		return 0, err
	}
	return p.conn.Read(b)
}

// Write sends commands. The timeout is for 64 KB of them.
func (w *Wire) Write(commands []byte) error {
	for piece := range pieces(commands) {
		if err := w.limit(w.conn.SetWriteDeadline); err != nil {
			return err
		}
		if _, err := w.conn.Write(piece); err != nil {
			return err
		}
	}
	return nil
}

func pieces(b []byte) func(yield func([]byte) bool) {
	const most = 64 << 10
	return func(yield func([]byte) bool) {
		for len(b) > 0 {
			n := min(len(b), most)
			if !yield(b[:n]) {
				return
			}
			b = b[n:]
		}
	}
}
