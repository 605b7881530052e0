package rediscache

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
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
	w.replies = bufio.NewReaderSize(w.conn, 32<<10)
	return w, nil
}

// Close cuts the connection.
func (w *Wire) Close() error { return w.client.Close() }

// Hurry makes everything end at that time, also what is waited for now.
func (w *Wire) Hurry(at time.Time) {
	w.until.Store(at.UnixNano())
	_ = w.conn.SetDeadline(at)
}

func (w *Wire) deadline() time.Time {
	at := time.Now().Add(w.timeout)
	if until := w.until.Load(); until != 0 && until < at.UnixNano() {
		return time.Unix(0, until)
	}
	return at
}

// Write sends commands. The timeout is for 64 KB of them.
func (w *Wire) Write(commands []byte) error {
	for piece := range pieces(commands) {
		if err := w.conn.SetWriteDeadline(w.deadline()); err != nil {
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

// ReplyError is what the server said instead of doing it.
type ReplyError string

func (e ReplyError) Error() string { return string(e) }

// Set reads the reply to a SET, and says whether the key was set: with NX it may have been there. A ReplyError is of that
// command only; after any other error the connection is of no use.
func (w *Wire) Set() (bool, error) {
	if w.replies.Buffered() == 0 {
		if err := w.conn.SetReadDeadline(w.deadline()); err != nil {
			return false, err
		}
	}
	line, err := w.replies.ReadSlice('\n')
	if err == nil && len(line) < 3 {
		err = errReply
	}
	if errors.Is(err, io.EOF) {
		err = errClosed
	}
	if err != nil {
		return false, err
	}
	line = bytes.TrimRight(line, "\r\n")
	switch {
	case string(line) == "+OK":
		return true, nil
	case string(line) == "$-1" || string(line) == "_":
		return false, nil
	case line[0] == '-':
		return false, ReplyError(line[1:])
	}
	return false, fmt.Errorf("%w: %.50q", errReply, line)
}

var (
	errReply  = errors.New("not an answer that Redis gives")
	errClosed = errors.New("the server closed the connection")
)

// AppendSet adds the command SET key value [PX ttl] [NX]; ttl is cut to milliseconds, and 0 is for ever.
func AppendSet(dst, key, value []byte, ttl time.Duration, missing bool) []byte {
	n := 3
	if ttl > 0 {
		n += 2
	}
	if missing {
		n++
	}
	dst = append(dst, '*', byte('0'+n))
	dst = appendBulk(append(dst, "\r\n$3\r\nSET\r\n"...), key)
	dst = appendBulk(dst, value)
	if ttl > 0 {
		var digits [20]byte
		dst = appendBulk(append(dst, "$2\r\nPX\r\n"...), strconv.AppendInt(digits[:0], ttl.Milliseconds(), 10))
	}
	if missing {
		dst = append(dst, "$2\r\nNX\r\n"...)
	}
	return dst
}

func appendBulk(dst, b []byte) []byte {
	dst = strconv.AppendInt(append(dst, '$'), int64(len(b)), 10)
	dst = append(append(dst, "\r\n"...), b...)
	return append(dst, "\r\n"...)
}
