package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"sync"
	"time"
)

// wire is what a line of 1 Gbit/s carries of a TCP stream, in bytes a second.
const wire = 117e6

// remoteBackups measures a backup of a database on another host: the same server behind a line of 1 Gbit/s. Its
// processor seconds are still taken from this machine, which is worse than a real other host.
func (b *bench) remoteBackups(ctx context.Context) error {
	line, err := newLine(ctx, filepath.Join(b.server.socket, ".s.PGSQL.5432"))
	if err != nil {
		return err
	}
	defer line.close()
	if err := b.configureAt("postgres://postgres@"+line.address()+"/bench?sslmode=disable", "readback: hash", "remote.yaml"); err != nil {
		return err
	}
	const limit = "limit: pg_dump -Fc -Z0 >/dev/null"
	host, port, err := net.SplitHostPort(line.address())
	if err != nil {
		return err
	}
	return b.try(ctx, trial{
		title:   "backup of a database over a line of 1 Gbit/s",
		against: []string{limit},
		contenders: []contender{
			{name: limit, run: func(ctx context.Context) error {
				return b.shell(ctx, fmt.Sprintf("pg_dump -h %s -p %s -Fc -Z0 >/dev/null", host, port))
			}},
			{name: "forgectl, readback hash", before: b.repository, bytes: b.size("repository"), run: func(ctx context.Context) error {
				return b.ours(ctx, "remote.yaml", "backup", "db")
			}},
		},
	})
}

// line is a proxy that lets no more through than a wire, all connections together.
type line struct {
	listener net.Listener
	ctx      context.Context // of the connections
	stop     context.CancelFunc
	done     sync.WaitGroup

	mu   sync.Mutex
	free time.Time // when the wire has sent what it was given
}

func newLine(ctx context.Context, socket string) (*line, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	l := &line{listener: listener}
	l.ctx, l.stop = context.WithCancel(ctx)
	l.done.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			l.done.Go(func() { l.carry(client, socket) })
		}
	})
	return l, nil
}

func (l *line) address() string { return l.listener.Addr().String() }

func (l *line) close() {
	l.stop()
	_ = l.listener.Close()
	l.done.Wait()
}

func (l *line) carry(client net.Conn, socket string) {
	var dialer net.Dialer
	server, err := dialer.DialContext(l.ctx, "unix", socket)
	if err != nil {
		_ = client.Close()
		return
	}
	end := context.AfterFunc(l.ctx, func() { _, _ = client.Close(), server.Close() })
	defer end()
	var both sync.WaitGroup
	for from, to := range map[net.Conn]net.Conn{client: server, server: client} {
		both.Go(func() {
			l.copy(to, from)
			_, _ = from.Close(), to.Close()
		})
	}
	both.Wait()
}

// copy sends what comes, at the speed of the wire.
func (l *line) copy(to io.Writer, from io.Reader) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			l.wait(n)
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// wait returns when the wire would have sent n more bytes.
func (l *line) wait(n int) {
	l.mu.Lock()
	if now := time.Now(); l.free.Before(now) {
		l.free = now
	}
	l.free = l.free.Add(time.Duration(float64(n) / wire * float64(time.Second)))
	until := time.Until(l.free)
	l.mu.Unlock()
	// A sleep is longer than it was asked for; a little is let through at once and made up for by the next.
	if until > time.Millisecond {
		time.Sleep(until)
	}
}
