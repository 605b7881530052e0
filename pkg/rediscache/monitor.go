package rediscache

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// MonitorOptions say how long is watched, and when to stop on our own account.
type MonitorOptions struct {
	For    time.Duration
	Prefix Prefix
	AllDBs bool // else only commands in this database

	// MONITOR costs the server something for each command of everybody. These end it:
	MaxBuffer  int64         // bytes that wait for us on the server; 0: DefaultMaxBuffer
	MaxLatency time.Duration // median of PING; 0: twice what it was before, and not below SmallLatency
	Heedless   bool          // the latency does not end it

	Live func(*Watched) // hears about once a second how things stand; may be nil
}

const (
	// DefaultMaxBuffer is a hundredth of what Redis lets a client of this kind have at most, by its defaults.
	DefaultMaxBuffer = 4 << 20
	// SmallLatency is too short to worry anybody.
	SmallLatency = 2 * time.Millisecond

	lineLimit    = 64 << 10 // of a line so much is read; values may have 512 MB
	tallyLimit   = 1000     // commands, callers, groups that are told apart
	monitorPings = 15
)

// Watched is what was seen.
type Watched struct {
	Took     time.Duration
	Events   int64
	Others   int64 // in other databases
	Broken   int64 // lines that could not be read
	Commands map[string]int64
	Callers  map[string]int64 // by "name address", without the port
	Groups   map[string]*GroupUse
	HitRatio float64 // while it ran; -1: nobody asked
	Slow     []SlowCommand
	Before   Latency
	Worst    time.Duration // PING of another client meanwhile
	Stopped  string        // why it ended early; "": it did not
}

// GroupUse is what was done with the keys of one group.
type GroupUse struct {
	Reads, Writes int64
	Example       Command // the last one
}

// readers are commands that change nothing, by how their names begin.
func reads(name string) bool {
	for _, w := range []string{"GET", "MGET", "EXISTS", "TTL", "PTTL", "TYPE", "STRLEN", "HGET", "HMGET", "HEXISTS", "HLEN", "HKEYS", "HVALS", "HSCAN", "LRANGE", "LLEN", "LINDEX", "SMEMBERS", "SISMEMBER", "SMISMEMBER", "SCARD", "ZRANGE", "ZSCORE", "ZCARD", "ZRANK", "ZCOUNT", "OBJECT", "MEMORY", "DUMP", "TOUCH", "XRANGE", "XLEN", "BITCOUNT", "GETRANGE"} {
		if name == w || strings.HasPrefix(name, w+" ") || name == "HGETALL" || name == "GETBIT" {
			return true
		}
	}
	return false
}

// Monitor watches what everybody does, for a while. The connection for it is one of
// its own. When ctx ends, what was seen so far comes back with its cause.
func (c *Cache) Monitor(ctx context.Context, o MonitorOptions) (*Watched, error) {
	if o.MaxBuffer <= 0 {
		o.MaxBuffer = DefaultMaxBuffer
	}
	before, err := c.info(ctx)
	if err != nil {
		return nil, err
	}
	w := &watcher{Cache: c, MonitorOptions: o, Watched: Watched{Commands: map[string]int64{}, Callers: map[string]int64{}, Groups: map[string]*GroupUse{}, HitRatio: -1}}
	if w.Before, err = c.Ping(ctx, monitorPings); err != nil {
		return nil, err
	}
	slowest, err := c.slowest(ctx)
	if err != nil {
		slowest = -1
	}
	conn, id, err := c.raw(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	start := time.Now()
	err = w.run(ctx, conn, id)
	w.Took = time.Since(start)
	if err != nil && ctx.Err() == nil {
		return &w.Watched, err
	}
	if ctx.Err() != nil {
		return &w.Watched, context.Cause(ctx)
	}
	after, err := c.info(ctx)
	if err != nil {
		return &w.Watched, err
	}
	w.HitRatio = ratio(after.int("keyspace_hits")-before.int("keyspace_hits"), after.int("keyspace_misses")-before.int("keyspace_misses"))
	if slowest >= 0 {
		w.Slow, err = c.slowSince(ctx, slowest)
	}
	return &w.Watched, err
}

// slowest is the number that the next entry of the slow log will have at least.
func (c *Cache) slowest(ctx context.Context) (int64, error) {
	entries, _, err := c.slow(ctx, 1)
	if err != nil || len(entries) == 0 {
		return 0, err
	}
	return entries[0].ID + 1, nil
}

// slowSince are the entries with that number and later ones, at most 20.
func (c *Cache) slowSince(ctx context.Context, id int64) ([]SlowCommand, error) {
	entries, _, err := c.slow(ctx, 20)
	var since []SlowCommand
	for _, e := range entries {
		if e.ID >= id {
			since = append(since, e)
		}
	}
	return since, err
}

// raw is a connection outside of the pool, logged in, and its number.
func (c *Cache) raw(ctx context.Context) (net.Conn, int64, error) {
	conn, err := c.opts.Dialer(ctx, c.opts.Network, c.opts.Addr)
	if err != nil {
		return nil, 0, c.connectError(ctx, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	_ = conn.SetDeadline(time.Now().Add(c.opts.ReadTimeout))
	r := bufio.NewReader(conn)
	commands := [][]string{{"CLIENT", "SETNAME", ClientName + "-monitor"}, {"CLIENT", "ID"}}
	if c.target.password != "" {
		auth := []string{"AUTH", c.target.password}
		if c.target.user != "" {
			auth = []string{"AUTH", c.target.user, c.target.password}
		}
		commands = append([][]string{auth}, commands...)
	}
	var answer string
	for _, command := range commands {
		if _, err = conn.Write(encode(command)); err == nil {
			answer, err = r.ReadString('\n')
		}
		answer = strings.TrimRight(answer, "\r\n")
		if err == nil && strings.HasPrefix(answer, "-") && command[0] == "AUTH" {
			err = Explain(errors.New(answer[1:]))
		}
		if err != nil {
			_ = conn.Close()
			return nil, 0, fmt.Errorf("open a connection for MONITOR: %w", err)
		}
	}
	id, err := strconv.ParseInt(strings.TrimPrefix(answer, ":"), 10, 64)
	if err != nil {
		id = 0 // who may not ask is found by name
	}
	return conn, id, conn.SetDeadline(time.Time{})
}

// encode is a command as it goes over the wire.
func encode(args []string) []byte {
	b := fmt.Appendf(nil, "*%d\r\n", len(args))
	for _, a := range args {
		b = fmt.Appendf(b, "$%d\r\n%s\r\n", len(a), a)
	}
	return b
}

type watcher struct {
	*Cache
	MonitorOptions
	mu sync.Mutex
	Watched
	names map[string]string // of clients, by address
}

// run reads until the time is over or something ends it.
func (w *watcher) run(ctx context.Context, conn net.Conn, id int64) error {
	end := time.Now().Add(w.For)
	ctx, cancel := context.WithDeadlineCause(ctx, end, errOver)
	defer cancel()
	if _, err := w.clients(ctx, id); err != nil { // we are to know ourselves
		return err
	}
	if _, err := conn.Write(encode([]string{"MONITOR"})); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	group.Go(func() error {
		err := w.read(bufio.NewReaderSize(conn, lineLimit))
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return err
	})
	group.Go(func() error {
		err := w.guard(ctx, id)
		if err != nil && !time.Now().Before(end) {
			return errOver // a question that is under way then times out, perhaps before ctx does
		}
		return err
	})
	err := group.Wait()
	if errors.Is(err, errOver) || errors.Is(err, errEnough) {
		return nil
	}
	return err
}

var (
	errOver   = errors.New("the time is over")
	errEnough = errors.New("it was stopped")
)

// read takes every line, the first of which is the answer to MONITOR itself.
func (w *watcher) read(r *bufio.Reader) error {
	for first := true; ; first = false {
		line, err := r.ReadSlice('\n')
		text := string(line)
		for errors.Is(err, bufio.ErrBufferFull) { // the rest of a long one is not looked at
			_, err = r.ReadSlice('\n')
		}
		if err != nil {
			return err
		}
		if strings.HasPrefix(text, "-") {
			return Explain(errors.New(strings.TrimSpace(text[1:])))
		}
		if !first {
			w.take(strings.TrimPrefix(strings.TrimRight(text, "\r\n"), "+"))
		}
	}
}

func (w *watcher) take(line string) {
	e, err := ParseMonitor(line)
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case err != nil:
		w.Broken++
		return
	case e.DB != w.target.db && !w.AllDBs:
		w.Others++
		return
	}
	caller := w.caller(e.Caller)
	if strings.HasPrefix(caller, ClientName+" ") || w.target.network == "unix" && strings.HasPrefix(e.Caller, "unix:") && ours(e.Command.Name) {
		return // it is us who ping and ask
	}
	w.Events++
	tally(w.Commands, e.Command.Name)
	tally(w.Callers, caller)
	for i, key := range e.Command.Keys() {
		if i == 100 {
			break
		}
		w.group(w.Prefix.Group(key)).count(e.Command)
	}
}

// ours is what we send while we watch: callers that come through a socket cannot be
// told apart.
func ours(name string) bool { return name == "PING" || name == "CLIENT LIST" }

func (w *watcher) group(pattern string) *GroupUse {
	if w.Groups[pattern] == nil {
		if len(w.Groups) >= tallyLimit {
			pattern = otherGroup
		}
		if w.Groups[pattern] == nil {
			w.Groups[pattern] = &GroupUse{}
		}
	}
	return w.Groups[pattern]
}

func (g *GroupUse) count(c Command) {
	if reads(c.Name) {
		g.Reads++
	} else {
		g.Writes++
	}
	g.Example = c
}

func tally(counts map[string]int64, name string) {
	if _, known := counts[name]; !known && len(counts) >= tallyLimit {
		name = "(others)"
	}
	counts[name]++
}

// caller is who sent a command: the name of the client, and its address without the port.
func (w *watcher) caller(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil || strings.HasPrefix(address, "unix:") {
		host = address
	}
	if name := w.names[address]; name != "" {
		return name + " " + host
	}
	return "- " + host
}
