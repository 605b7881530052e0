package rediscache

import (
	"context"
	"strings"
	"time"
)

// Stats is what an operator acts on. Rates and the second hit ratio are over the
// time that was asked for.
type Stats struct {
	Version   string
	Uptime    time.Duration
	Keys      int64 // in this database
	KeysInAll int64 // in all databases

	Hits, Misses  int64   // since start
	HitRatio      float64 // since start; -1: nobody asked for anything yet
	RecentRatio   float64 // -1 as well
	Recent        time.Duration
	CommandRate   float64 // a second
	EvictionRate  float64
	ExpiryRate    float64
	Evicted       int64 // since start
	Expired       int64
	RejectedConns int64 // since start: too many clients

	Memory        int64
	MemoryLimit   int64 // 0: none
	Policy        string
	Fragmentation float64
	Clients       int64
	ClientLimit   int64
	Blocked       int64
	Latency       Latency

	Role        string
	LinkUp      bool // of a replica
	LinkDown    time.Duration
	Replicas    int64
	Persistence Persistence
	Slow        []SlowCommand
	SlowLength  int64
}

// Persistence is whether what is in memory reaches the disk, if it is to.
type Persistence struct {
	Snapshots   bool // it saves by itself
	LastSaveOK  bool
	LastSave    time.Time
	Changes     int64 // since
	AppendOnly  bool
	AppendOK    bool
	StopsWrites bool // when a save fails
}

// StatsOptions say how long is watched.
type StatsOptions struct {
	For   time.Duration // 0: no rates
	Pings int           // 0: 20
	Slow  int           // newest entries of the slow log; 0: 5
}

// Stats asks the server how it is.
func (c *Cache) Stats(ctx context.Context, o StatsOptions) (*Stats, error) {
	if o.Pings <= 0 {
		o.Pings = 20
	}
	if o.Slow <= 0 {
		o.Slow = 5
	}
	before, err := c.info(ctx)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	s := &Stats{}
	if s.Latency, err = c.Ping(ctx, o.Pings); err != nil {
		return nil, err
	}
	after := before
	if o.For > 0 {
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(o.For - time.Since(began)):
		}
		if after, err = c.info(ctx); err != nil {
			return nil, err
		}
		s.Recent = time.Since(began)
	}
	s.fill(after)
	s.rates(before, after)
	if s.Keys, err = c.client.DBSize(ctx).Result(); err != nil {
		return nil, Explain(err)
	}
	c.config(ctx, s)
	if s.Slow, s.SlowLength, err = c.slow(ctx, o.Slow); err != nil {
		s.Slow, s.SlowLength = nil, -1 // a user may be kept from it
	}
	return s, nil
}

func (s *Stats) fill(m info) {
	s.Version = m["redis_version"]
	s.Uptime = time.Duration(m.int("uptime_in_seconds")) * time.Second
	s.KeysInAll = totalKeys(m)
	s.Hits, s.Misses = m.int("keyspace_hits"), m.int("keyspace_misses")
	s.HitRatio = ratio(s.Hits, s.Misses)
	s.Evicted, s.Expired, s.RejectedConns = m.int("evicted_keys"), m.int("expired_keys"), m.int("rejected_connections")
	s.Memory, s.MemoryLimit, s.Policy = m.int("used_memory"), m.int("maxmemory"), m["maxmemory_policy"]
	s.Fragmentation = m.float("mem_fragmentation_ratio")
	s.Clients, s.ClientLimit, s.Blocked = m.int("connected_clients"), m.int("maxclients"), m.int("blocked_clients")
	s.Role, s.Replicas = m["role"], m.int("connected_slaves")
	s.LinkUp = m["master_link_status"] != "down"
	s.LinkDown = time.Duration(max(m.int("master_link_down_since_seconds"), 0)) * time.Second
	s.Persistence = Persistence{
		LastSaveOK: m["rdb_last_bgsave_status"] != "err", LastSave: time.Unix(m.int("rdb_last_save_time"), 0), Changes: m.int("rdb_changes_since_last_save"),
		AppendOnly: m["aof_enabled"] == "1", AppendOK: m["aof_last_write_status"] != "err" && m["aof_last_bgrewrite_status"] != "err",
	}
}

func (s *Stats) rates(before, after info) {
	s.RecentRatio = ratio(s.Hits-before.int("keyspace_hits"), s.Misses-before.int("keyspace_misses"))
	if s.Recent <= 0 {
		s.RecentRatio = -1
		return
	}
	rate := func(field string) float64 {
		return float64(after.int(field)-before.int(field)) / s.Recent.Seconds()
	}
	s.CommandRate, s.EvictionRate, s.ExpiryRate = rate("total_commands_processed"), rate("evicted_keys"), rate("expired_keys")
}

// config asks what INFO does not say. Who may not ask is not told.
func (c *Cache) config(ctx context.Context, s *Stats) {
	for _, name := range []string{"save", "stop-writes-on-bgsave-error", "maxclients"} {
		m, err := c.client.ConfigGet(ctx, name).Result()
		if err != nil {
			return
		}
		switch name {
		case "save":
			s.Persistence.Snapshots = m[name] != ""
		case "maxclients":
			s.ClientLimit = info(m).int(name)
		default:
			s.Persistence.StopsWrites = m[name] == "yes"
		}
	}
}

// ratio is -1 when there is nothing to divide.
func ratio(hits, misses int64) float64 {
	if hits+misses <= 0 {
		return -1
	}
	return float64(hits) / float64(hits+misses)
}

// totalKeys is the keys of all databases, from "db0:keys=3,expires=1,…".
func totalKeys(m info) int64 {
	var n int64
	for name := range m {
		n += m.keys(name)
	}
	return n
}

// keys is the keys of one database; 0 for what is none.
func (m info) keys(name string) int64 {
	if !strings.HasPrefix(name, "db") {
		return 0
	}
	first, _, _ := strings.Cut(m[name], ",")
	count, ok := strings.CutPrefix(first, "keys=")
	if !ok {
		return 0
	}
	return info{"n": count}.int("n")
}
