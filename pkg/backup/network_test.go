package backup_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/bmad-forge/forgectl/pkg/backup"
	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/pgdump"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
)

// fault is what a network does to a connection.
type fault string

const (
	cut   fault = "cut"        // both ways are closed
	reset fault = "reset"      // closed by a RST
	half  fault = "half-close" // the server's side says that it will send no more
	stall fault = "stall"      // nothing goes through any more, and nobody says so
)

// network is a TCP proxy on the loopback interface in front of a server, which
// does harm to connections: to the one on which the client has sent the text
// "say" (any if empty), after so many more bytes of the server, or, if say is
// empty, after so many bytes of all connections together.
type network struct {
	t        testing.TB
	listener net.Listener
	server   string
	how      fault
	say      string
	after    int64

	mu     sync.Mutex
	passed int64 // bytes of the server on all connections
	hit    bool
	stuck  chan struct{} // closed in the end, for what stalls
	all    sync.WaitGroup
}

// between starts one in front of a server; a connection through it begins as e does.
func between(t testing.TB, s *ownServer, e *postgres.Endpoint, how fault, say string, after int64) (*network, *postgres.Endpoint) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	n := &network{t: t, listener: l, server: fmt.Sprintf("127.0.0.1:%d", s.Port), how: how, say: say, after: after, stuck: make(chan struct{})}
	n.all.Go(n.serve)
	t.Cleanup(n.end)
	url := fmt.Sprintf("host=127.0.0.1 port=%d user=%s sslmode=disable", l.Addr().(*net.TCPAddr).Port, e.User())
	through, err := postgres.Resolve(t.Context(), postgres.Target{URL: url, Database: e.Database()})
	must(t, err)
	return n, through
}

// end closes everything, as a network does when it is back.
func (n *network) end() {
	n.mu.Lock()
	select {
	case <-n.stuck:
	default:
		close(n.stuck)
	}
	n.mu.Unlock()
	_ = n.listener.Close()
	n.all.Wait()
}

func (n *network) wasHit() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.hit
}

func (n *network) serve() {
	for {
		client, err := n.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", n.server)
		if err != nil {
			_ = client.Close()
			continue
		}
		c := &carried{network: n, client: client.(*net.TCPConn), server: server.(*net.TCPConn), told: n.say == ""}
		n.all.Go(func() {
			var ways sync.WaitGroup
			ways.Go(c.toServer)
			ways.Go(c.toClient)
			over := make(chan struct{})
			go func() { ways.Wait(); close(over) }()
			select {
			case <-over:
			case <-n.stuck:
			}
			_, _ = c.client.Close(), c.server.Close()
			ways.Wait()
		})
	}
}

// carried is one connection.
type carried struct {
	*network
	client, server *net.TCPConn
	told           bool  // the client has said what it is known by; under mu
	since          int64 // bytes of the server since then
	dead           bool  // under mu
}

func (c *carried) toServer() {
	buffer := make([]byte, 64<<10)
	for {
		k, err := c.client.Read(buffer)
		c.mu.Lock()
		c.told = c.told || bytes.Contains(buffer[:k], []byte(c.say))
		stalled := c.dead && c.how == stall
		c.mu.Unlock()
		if stalled {
			<-c.stuck // neither bytes nor an end get through
			return
		}
		if k > 0 {
			if _, err := c.server.Write(buffer[:k]); err != nil {
				return
			}
		}
		if err != nil {
			_ = c.server.CloseWrite()
			return
		}
	}
}

func (c *carried) toClient() {
	buffer := make([]byte, 16<<10)
	for {
		k, err := c.server.Read(buffer)
		pass, strike := c.count(k)
		if pass > 0 {
			if _, err := c.client.Write(buffer[:pass]); err != nil {
				return
			}
		}
		if strike {
			switch c.how {
			case cut:
				_, _ = c.client.Close(), c.server.Close()
			case reset:
				_, _ = c.client.SetLinger(0), c.server.SetLinger(0)
				_, _ = c.client.Close(), c.server.Close()
			case half:
				_ = c.client.CloseWrite()
			case stall:
				<-c.stuck
			}
			return
		}
		if err != nil {
			_ = c.client.CloseWrite()
			return
		}
	}
}

// count says how many of k bytes still pass, and whether that is the end.
func (c *carried) count(k int) (pass int, strike bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.passed
	c.passed += int64(k)
	if c.say != "" {
		if before = c.since; c.told {
			c.since += int64(k)
		}
	}
	if !c.told || c.hit || before+int64(k) <= c.after {
		return k, false
	}
	c.hit, c.dead = true, true
	return int(c.after - before), true
}

// Promise: a connection that is cut, reset or half closed ends the backup at
// once, whichever it is: that of the guard, of pg_dump, of the count. One that
// stalls without a word ends it by its time limit, and soon after that. Nothing is
// left, here or on the server.
func TestNetwork(t *testing.T) {
	t.Parallel()
	s := newServer(t, scratch.Options{TCP: true})
	e := s.database("forge", small, large)
	limit := errors.New("time is up")
	for _, who := range []struct {
		name, say string
		after     int64
	}{
		{"guard", "pg_export_snapshot", 200},
		{"guard's question", "SELECT 1\x00", 0},
		{"pg_dump", "COPY public.large", 3 << 20},
		{"count", "count(*)", 20},
	} {
		for _, how := range []fault{cut, reset, half, stall} {
			t.Run(who.name+" "+string(how), func(t *testing.T) {
				t.Parallel()
				n, through := between(t, s, e, how, who.say, who.after)
				c, dir := repository(t)
				o := options(through, c)
				ctx, cancel := context.WithTimeoutCause(t.Context(), patience, errors.New("the backup waits for ever"))
				defer cancel()
				if who.name == "guard's question" { // it is asked once a second
					o.Runner = slowly{scratchtest.Runner(), "--section=data", func() {
						for !n.wasHit() && ctx.Err() == nil {
							time.Sleep(5 * time.Millisecond)
						}
					}}
				}
				running, stop := context.WithCancelCause(ctx)
				defer stop(nil)
				stopped := make(chan time.Time, 1)
				if how == stall {
					go func() { // the time limit is over as soon as nothing goes through any more
						for !n.wasHit() && ctx.Err() == nil {
							time.Sleep(5 * time.Millisecond)
						}
						stopped <- time.Now()
						stop(limit)
					}()
				}
				_, err := backup.Database(running, o)
				switch {
				case !n.wasHit():
					t.Fatalf("no connection was hit: %v", err)
				case err == nil, ctx.Err() != nil, how == stall && !errors.Is(err, limit):
					t.Errorf("got %v", err)
				case how == stall:
					// Programs get five seconds to end, and nobody waits for the guard's answer, which may take thirty.
					if took := time.Since(<-stopped); took > 25*time.Second {
						t.Errorf("ended %v after it was told to", took)
					}
				}
				oneLine(t, err)
				nothingLeft(t, dir)
			})
		}
	}
	t.Cleanup(func() { sessionsEnd(t, e) })
}

// sessionsEnd waits until no session but its own is connected to the database.
func sessionsEnd(t testing.TB, e *postgres.Endpoint) {
	t.Helper()
	admin := e.WithDatabase("postgres")
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		left := scratchtest.Query(background{t}, admin, "SELECT string_agg(pid || ' ' || state || ': ' || query, '; ') FROM pg_stat_activity WHERE datname = "+postgres.QuoteLiteral(e.Database()))
		if left == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("still connected: %s", left)
			return
		}
	}
}

// Promise: the same for a connection that breaks anywhere, as long as the dump is
// not over: the set is whole or is not there.
func TestNetworkAtRandom(t *testing.T) {
	t.Parallel()
	s := newServer(t, scratch.Options{TCP: true})
	e := s.database("forge", small, large)
	whole, through := between(t, s, e, cut, "", 1<<60)
	c, _ := repository(t)
	_, err := inTime(t, options(through, c))
	must(t, err)
	whole.end()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d; a backup reads %d bytes", seed, whole.passed)
	random := rand.New(rand.NewPCG(seed, 1))
	ended := map[string]int{}
	for range networkRounds {
		how := []fault{cut, reset, half}[random.IntN(3)]
		after := random.Int64N(whole.passed)
		if random.IntN(2) == 0 { // most of the bytes are rows of one table
			after = random.Int64N(100_000)
		}
		n, through := between(t, s, e, how, "", after)
		c, dir := repository(t)
		_, err := inTime(t, options(through, c))
		oneLine(t, err)
		if err == nil {
			ended["good"]++
			sets, err := c.List(t.Context(), group(e))
			must(t, err)
			if ok, why := sets[0].Good(); !ok {
				t.Errorf("%s after %d bytes: %s", how, after, why)
			}
			drill(t, c, sets[0], nil)
		} else {
			nothingLeft(t, dir)
			if errors.Is(err, pgdump.ErrGuardLost) {
				ended["guard lost"]++
			} else {
				ended["failed"]++
			}
		}
		if t.Failed() {
			t.Fatalf("%s after %d bytes: %v", how, after, err)
		}
		n.end()
		sessionsEnd(t, e)
	}
	t.Logf("ended: %v", ended)
}
