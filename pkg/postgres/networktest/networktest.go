// Package networktest puts a bad network between a test and its server.
//
// A Network is a TCP proxy on the loopback interface that does one kind of harm
// (Fault) to one connection: to the one on which the client has said certain
// words, or to whichever has just carried so many bytes. Every other connection,
// and each one after it, passes: that is how a network behaves which drops a
// session. The words stand in the clear, so a connection through it has no TLS.
package networktest

import (
	"bytes"
	"fmt"
	"net"
	"path/filepath"
	"sync"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch"
)

// Fault is what a network does to a connection.
type Fault string

// The faults.
const (
	Cut   Fault = "cut"        // both ways are closed
	Reset Fault = "reset"      // closed by a RST
	Half  Fault = "half-close" // the server's side says that it will send no more
	Stall Fault = "stall"      // nothing goes through any more, and nobody says so
)

// Faults are all of them.
func Faults() []Fault { return []Fault{Cut, Reset, Half, Stall} }

// Harm says what is done, and when.
type Harm struct {
	How Fault
	// Say picks the connection on which the client has sent this text; "": any.
	Say string
	// Times is how often it has to be said before; 0 is once. The one who said it last is meant.
	Times int
	// After is how many more bytes of the server still pass; without Say, of the
	// server on all connections together.
	After int64
	// Unheard loses the words themselves: the server never gets them.
	Unheard bool
}

// Network is such a proxy.
type Network struct {
	Harm
	listener      net.Listener
	network, addr string // of the server

	mu     sync.Mutex
	said   int
	passed int64 // bytes of the server on all connections
	hit    bool
	struck chan struct{} // closed when it is
	stuck  chan struct{} // closed in the end, for what stalls
	all    sync.WaitGroup
}

// Start starts one in front of a server; it ends with the test.
func Start(t testing.TB, c *scratch.Cluster, h Harm) *Network {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.Times = max(h.Times, 1)
	n := &Network{Harm: h, listener: l, struck: make(chan struct{}), stuck: make(chan struct{})}
	n.network, n.addr = "unix", filepath.Join(c.SocketDir, fmt.Sprintf(".s.PGSQL.%d", c.Port))
	n.all.Go(n.serve)
	t.Cleanup(n.End)
	return n
}

// Port is where it listens, on 127.0.0.1.
func (n *Network) Port() int { return n.listener.Addr().(*net.TCPAddr).Port }

// URL reaches the server through it.
func (n *Network) URL(role, database string) string {
	return fmt.Sprintf("host=127.0.0.1 port=%d user='%s' dbname='%s' sslmode=disable", n.Port(), role, database)
}

// Through is e by way of it.
func (n *Network) Through(t testing.TB, e *postgres.Endpoint) *postgres.Endpoint {
	t.Helper()
	through, err := postgres.Resolve(t.Context(), postgres.Target{URL: n.URL(e.User(), e.Database())})
	if err != nil {
		t.Fatal(err)
	}
	return through
}

// End closes everything, as a network does when it is back. It may be called more than once.
func (n *Network) End() {
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

// Hit reports whether the harm was done.
func (n *Network) Hit() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.hit
}

// Struck is closed when the harm is done.
func (n *Network) Struck() <-chan struct{} { return n.struck }

// Passed is how many bytes the server has sent.
func (n *Network) Passed() int64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.passed
}

func (n *Network) serve() {
	for {
		client, err := n.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial(n.network, n.addr)
		if err != nil {
			_ = client.Close()
			continue
		}
		c := &carried{Network: n, client: client.(*net.TCPConn), server: server.(*net.UnixConn), told: n.Say == ""}
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
	*Network
	client *net.TCPConn
	server *net.UnixConn
	told   bool  // the client has said what it is known by; under mu
	since  int64 // bytes of the server since then
	dead   bool  // under mu
}

func (c *carried) toServer() {
	buffer := make([]byte, 64<<10)
	for {
		k, err := c.client.Read(buffer)
		if c.heard(buffer[:k]) {
			c.strike()
			if c.How == Half { // and what goes on from here goes nowhere
				<-c.stuck
			}
			return
		}
		c.mu.Lock()
		stalled := c.dead && c.How == Stall
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

// heard takes note of what the client says, and reports whether it is to be lost.
func (c *carried) heard(words []byte) (lost bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.Say == "" || !bytes.Contains(words, []byte(c.Say)) {
		return false
	}
	c.said++
	if c.said < c.Times || c.hit {
		return false
	}
	c.told = true
	if c.Unheard {
		c.doom()
	}
	return c.Unheard
}

// doom is called under mu.
func (c *carried) doom() {
	c.hit, c.dead = true, true
	close(c.struck)
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
			c.strike()
			return
		}
		if err != nil {
			_ = c.client.CloseWrite()
			return
		}
	}
}

func (c *carried) strike() {
	switch c.How {
	case Cut:
		_, _ = c.client.Close(), c.server.Close()
	case Reset:
		_ = c.client.SetLinger(0)
		_, _ = c.client.Close(), c.server.Close()
	case Half:
		_ = c.client.CloseWrite()
	case Stall:
		<-c.stuck
	}
}

// count says how many of k bytes still pass, and whether that is the end.
func (c *carried) count(k int) (pass int, strike bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.passed
	c.passed += int64(k)
	if c.Say != "" {
		if before = c.since; c.told {
			c.since += int64(k)
		}
	}
	switch {
	case c.dead: // it is lost on the way there
		return 0, false
	case !c.told || c.hit || before+int64(k) <= c.After:
		return k, false
	}
	c.doom()
	return int(c.After - before), true
}
