package rediscache

import (
	"fmt"
	"strings"
	"time"
)

// Limits are where the state of Redis begins to need attention. A zero is no limit.
type Limits struct {
	Memory    float64 // share of maxmemory
	Clients   float64 // share of maxclients
	HitRatio  float64 // at least
	Latency   time.Duration
	Evictions float64 // a second
}

// Finding is something that needs attention.
type Finding struct {
	Critical bool
	Text     string
	Hint     string
}

// Judge says what of the state needs attention, the worst first in each matter.
func (s *Stats) Judge(l Limits) []Finding {
	var all []Finding
	add := func(bad, critical bool, hint, format string, args ...any) {
		if bad {
			all = append(all, Finding{critical, fmt.Sprintf(format, args...), hint})
		}
	}
	if share := s.MemoryShare(); l.Memory > 0 && share >= 0 && !strings.HasPrefix(s.Policy, "allkeys-") {
		add(share >= l.Memory, beyond(share, l.Memory), "forgectl cache memory", "%.0f %% of maxmemory is used, and %s refuses writes when nothing can be evicted", 100*share, s.Policy)
	}
	if s.ClientLimit > 0 && l.Clients > 0 {
		share := float64(s.Clients) / float64(s.ClientLimit)
		add(share >= l.Clients, beyond(share, l.Clients), "forgectl cache monitor", "%d of %d clients are connected", s.Clients, s.ClientLimit)
	}
	hits, over := s.HitRatio, "since its start"
	if s.RecentRatio >= 0 {
		hits, over = s.RecentRatio, "in the last moments"
	}
	add(hits >= 0 && hits < l.HitRatio, false, "forgectl cache monitor", "%.1f %% of reads find something %s", 100*hits, over)
	if l.Latency > 0 {
		add(s.Latency.Median > l.Latency, s.Latency.Median > 10*l.Latency, "forgectl cache monitor", "PING takes %s", s.Latency.Median)
	}
	if l.Evictions > 0 {
		add(s.EvictionRate > l.Evictions, false, "forgectl cache memory", "%.0f keys are evicted in a second", s.EvictionRate)
	}
	p := s.Persistence
	add(!p.LastSaveOK && p.StopsWrites && p.Snapshots, true, "look at the log of Redis, and at the space and rights of its directory", "the last snapshot failed, and writes are refused until one succeeds")
	add(!p.LastSaveOK && !(p.StopsWrites && p.Snapshots), false, "look at the log of Redis", "the last snapshot failed")
	add(!p.AppendOK, true, "look at the log of Redis, and at the space of its directory", "the append-only file cannot be written")
	add(s.Role == "slave", false, "name the master in redis.url, or the sentinels that know it", "this is a replica: it takes no writes")
	add(!s.LinkUp, true, "look at the log of Redis", "the link to its master is down, for %s", s.LinkDown)
	return all
}

// MemoryShare is how much of maxmemory is used, -1 where there is no limit.
func (s *Stats) MemoryShare() float64 {
	if s.MemoryLimit <= 0 {
		return -1
	}
	return float64(s.Memory) / float64(s.MemoryLimit)
}

// beyond is from half of what a limit leaves on.
func beyond(share, limit float64) bool { return share >= limit+(1-limit)/2 }
