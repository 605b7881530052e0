package main

import (
	"fmt"
	"strconv"
	"time"

	"github.com/bmad-forge/forgectl/pkg/rediscache"
	"github.com/bmad-forge/forgectl/pkg/ui"
)

// cacheState is the JSON of forgectl cache stats.
type cacheState struct {
	Server        string         `json:"server"`
	Version       string         `json:"version"`
	Uptime        float64        `json:"uptime_seconds"`
	Keys          int64          `json:"keys"`
	KeysInAll     int64          `json:"keys_in_all_databases"`
	HitRatio      *float64       `json:"hit_ratio"`
	RecentRatio   *float64       `json:"hit_ratio_watched"`
	Watched       float64        `json:"watched_seconds"`
	CommandRate   float64        `json:"commands_per_second"`
	EvictionRate  float64        `json:"evictions_per_second"`
	ExpiryRate    float64        `json:"expirations_per_second"`
	Evicted       int64          `json:"evicted"`
	Expired       int64          `json:"expired"`
	Memory        int64          `json:"memory_bytes"`
	MemoryLimit   int64          `json:"maxmemory_bytes"`
	Policy        string         `json:"maxmemory_policy"`
	Fragmentation float64        `json:"fragmentation"`
	Clients       int64          `json:"clients"`
	ClientLimit   int64          `json:"maxclients"`
	Blocked       int64          `json:"blocked_clients"`
	Rejected      int64          `json:"rejected_connections"`
	LatencyMS     latencyMS      `json:"latency_ms"`
	Role          string         `json:"role"`
	Replicas      int64          `json:"replicas"`
	LinkUp        bool           `json:"link_up"`
	LastSaveOK    bool           `json:"last_save_ok"`
	LastSave      time.Time      `json:"last_save"`
	AppendOnly    bool           `json:"append_only"`
	Slow          []slowShown    `json:"slow"`
	Findings      []cacheFinding `json:"findings"`
}

type latencyMS struct {
	Min    float64 `json:"min"`
	Median float64 `json:"median"`
	P99    float64 `json:"p99"`
	Max    float64 `json:"max"`
}

type cacheFinding struct {
	Critical bool   `json:"critical"`
	Text     string `json:"text"`
	Hint     string `json:"hint"`
}

// slowShown is an entry of the slow log.
type slowShown struct {
	At      time.Time `json:"at"`
	MS      float64   `json:"ms"`
	Client  string    `json:"client"`
	Command string    `json:"command"`
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// shortTime is a duration below what ui.Duration tells apart.
func shortTime(d time.Duration) string {
	if d < 10*time.Millisecond {
		return strconv.FormatFloat(milliseconds(d), 'f', 2, 64) + "ms"
	}
	return ui.Duration(d)
}

func latencyOf(l rediscache.Latency) latencyMS {
	return latencyMS{milliseconds(l.Min), milliseconds(l.Median), milliseconds(l.P99), milliseconds(l.Max)}
}

func slowOf(slow []rediscache.SlowCommand, reveal bool) []slowShown {
	all := []slowShown{}
	for _, s := range slow {
		all = append(all, slowShown{s.At.UTC(), milliseconds(s.Took), s.Client, s.Command.Shown(reveal)})
	}
	return all
}

// ratioOf is nil for what nobody knows.
func ratioOf(r float64) *float64 {
	if r < 0 {
		return nil
	}
	return &r
}

func ratioText(r float64) string {
	if r < 0 {
		return "nobody asked"
	}
	return fmt.Sprintf("%.1f %%", 100*r)
}

func cacheStatsResult(c *rediscache.Cache, s *rediscache.Stats, findings []rediscache.Finding) result {
	shown := cacheState{
		Server: c.String(), Version: s.Version, Uptime: s.Uptime.Seconds(), Keys: s.Keys, KeysInAll: s.KeysInAll,
		HitRatio: ratioOf(s.HitRatio), RecentRatio: ratioOf(s.RecentRatio), Watched: s.Recent.Seconds(),
		CommandRate: s.CommandRate, EvictionRate: s.EvictionRate, ExpiryRate: s.ExpiryRate, Evicted: s.Evicted, Expired: s.Expired,
		Memory: s.Memory, MemoryLimit: s.MemoryLimit, Policy: s.Policy, Fragmentation: s.Fragmentation,
		Clients: s.Clients, ClientLimit: s.ClientLimit, Blocked: s.Blocked, Rejected: s.RejectedConns, LatencyMS: latencyOf(s.Latency),
		Role: s.Role, Replicas: s.Replicas, LinkUp: s.LinkUp, LastSaveOK: s.Persistence.LastSaveOK, LastSave: s.Persistence.LastSave.UTC(),
		AppendOnly: s.Persistence.AppendOnly, Slow: slowOf(s.Slow, false), Findings: []cacheFinding{},
	}
	for _, f := range findings {
		shown.Findings = append(shown.Findings, cacheFinding{f.Critical, f.Text, f.Hint})
	}
	return result{JSON: shown, Text: func(out *ui.Streams) error { return cacheStatsTable(out, c, s) }}
}

func cacheStatsTable(out *ui.Streams, c *rediscache.Cache, s *rediscache.Stats) error {
	t := out.Table(ui.Column{Title: "REDIS"}, ui.Column{Title: c.String()})
	t.Row("version", s.Version+", "+s.Role+", up for "+ui.Age(s.Uptime))
	t.Row("keys", out.Number(s.Keys)+" here, "+out.Number(s.KeysInAll)+" in all databases")
	t.Row("hit ratio", ratioText(s.HitRatio)+" since start")
	if s.Recent > 0 {
		t.Row("watched", fmt.Sprintf("%s: hit ratio %s, %.0f commands, %.0f evictions, %.0f expirations a second",
			ui.Duration(s.Recent), ratioText(s.RecentRatio), s.CommandRate, s.EvictionRate, s.ExpiryRate))
	}
	t.Row("evicted", out.Number(s.Evicted)+" since start; expired "+out.Number(s.Expired))
	memory := ui.Bytes(s.Memory) + ", no limit"
	if s.MemoryLimit > 0 {
		memory = fmt.Sprintf("%s of %s (%.0f %%)", ui.Bytes(s.Memory), ui.Bytes(s.MemoryLimit), 100*s.MemoryShare())
	}
	t.Row("memory", memory+", "+s.Policy+fmt.Sprintf(", fragmentation %.2f", s.Fragmentation))
	t.Row("clients", fmt.Sprintf("%d of %d, %d blocked, %d turned away since start", s.Clients, s.ClientLimit, s.Blocked, s.RejectedConns))
	t.Row("latency", fmt.Sprintf("PING %s to %s, median %s", shortTime(s.Latency.Min), shortTime(s.Latency.Max), shortTime(s.Latency.Median)))
	t.Row("persistence", persistenceText(s.Persistence))
	if s.Role == "slave" || s.Replicas > 0 {
		link := fmt.Sprintf("%d replicas", s.Replicas)
		if s.Role == "slave" && s.LinkUp {
			link = "replica, link is up"
		} else if s.Role == "slave" {
			link = "replica, link is down"
		}
		t.Row("replication", link)
	}
	for _, slow := range s.Slow {
		t.Row("slow", shortTime(slow.Took)+" at "+slow.At.UTC().Format(time.RFC3339)+": "+slow.Command.Shown(false))
	}
	return t.Flush()
}

func persistenceText(p rediscache.Persistence) string {
	text := "no snapshots"
	if p.Snapshots {
		text = "snapshots"
	}
	if !p.LastSaveOK {
		text += ", the last one failed"
	}
	if p.AppendOnly {
		text += ", append-only file"
	}
	return text
}
