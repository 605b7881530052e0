package rediscache_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/rediscache"
	"github.com/bmad-forge/forgectl/pkg/rediscache/pickle"
	"github.com/bmad-forge/forgectl/pkg/rediscache/redistest"
)

// Promise: what was selected goes, and not a key more, whatever is in keys and
// prefixes.
func TestFlush(t *testing.T) {
	keys := []string{
		":1:a", "bmad:1:a", "bmad:1:t:7", "bmad:1:t:8", "bmad:1:t:x", "bmad:2:a", "bmad:11:a", "xbmad:1:a", "BMAD:1:a", "bmad:1", "bmad:1:",
		"b*d:1:a", "b?ad:1:a", "b[m]ad:1:a", `b\ad:1:a`, "bmad:1:\x00\xff\xfe", "bmad:1:line\nbreak", "bmad:1:*", "session", "b^d:1:a",
	}
	below := func(prefix string) (all []string) {
		for _, k := range keys {
			if strings.HasPrefix(k, prefix) {
				all = append(all, k)
			}
		}
		return all
	}
	s := redistest.Start(t)
	other := s.Client(t)
	c := open(t, rediscache.Options{URL: s.URL()})
	for _, tt := range []struct {
		name string
		s    rediscache.Selection
		gone []string
	}{
		{"prefix", rediscache.Selection{Prefix: bmad}, below("bmad:1:")},
		{"no prefix", rediscache.Selection{Prefix: rediscache.Prefix{Version: 1}}, []string{":1:a"}},
		{"star in it", rediscache.Selection{Prefix: rediscache.Prefix{KeyPrefix: "b*d", Version: 1}}, []string{"b*d:1:a"}},
		{"question mark", rediscache.Selection{Prefix: rediscache.Prefix{KeyPrefix: "b?ad", Version: 1}}, []string{"b?ad:1:a"}},
		{"bracket", rediscache.Selection{Prefix: rediscache.Prefix{KeyPrefix: "b[m]ad", Version: 1}}, []string{"b[m]ad:1:a"}},
		{"backslash", rediscache.Selection{Prefix: rediscache.Prefix{KeyPrefix: `b\ad`, Version: 1}}, []string{`b\ad:1:a`}},
		{"group", rediscache.Selection{Prefix: bmad, Group: "bmad:1:t:*"}, []string{"bmad:1:t:7", "bmad:1:t:8"}},
		{"pattern", rediscache.Selection{Prefix: bmad, Pattern: "*mad:1:a"}, []string{"bmad:1:a", "xbmad:1:a"}},
		{"nothing", rediscache.Selection{Prefix: rediscache.Prefix{KeyPrefix: "none"}}, nil},
		{"all", rediscache.Selection{All: true}, keys},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, k := range keys {
				must(t, other.Set(t.Context(), k, "value", 0).Err())
			}
			done, err := c.Flush(t.Context(), rediscache.FlushOptions{Selection: tt.s})
			must(t, err)
			left, err := other.Keys(t.Context(), "*").Result()
			must(t, err)
			for _, k := range keys {
				if slices.Contains(left, k) == slices.Contains(tt.gone, k) {
					t.Errorf("%q is there: %t", k, slices.Contains(left, k))
				}
			}
			if done.Keys != int64(len(tt.gone)) || done.Keys > 0 && done.Bytes == 0 {
				t.Errorf("%+v, want %d keys", done, len(tt.gone))
			}
		})
	}
	if _, err := c.Flush(t.Context(), rediscache.FlushOptions{Selection: rediscache.Selection{All: true, Pattern: "x"}}); !errors.Is(err, rediscache.ErrSelection) {
		t.Errorf("two selections: %v", err)
	}
}

// populated is a server with 50,000 keys of the application, and as many others.
func populated(t *testing.T) *redistest.Server {
	t.Helper()
	s := redistest.Start(t)
	for _, prefix := range []string{"bmad:1:template", "other"} {
		must(t, s.Client(t).Do(t.Context(), "DEBUG", "POPULATE", "50000", prefix, "30").Err())
	}
	return s
}

// Promise: a flush that is interrupted ends with the reason and says exactly how far it came;
// the next one removes the rest.
func TestFlushInterrupted(t *testing.T) {
	s := populated(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	c, err := rediscache.Open(ctx, rediscache.Options{URL: s.URL()})
	must(t, err)
	defer func() { _ = c.Close() }()
	why := errors.New("SIGINT")
	done, err := c.Flush(ctx, rediscache.FlushOptions{Selection: rediscache.Selection{Prefix: bmad}, Progress: func(looked, _ int64) {
		if looked >= 10_000 {
			cancel(why)
		}
	}})
	left := s.Client(t).DBSize(t.Context()).Val()
	if !errors.Is(err, why) || done.Keys == 0 || done.Keys >= 50_000 || left < 50_000 || done.Keys != 100_000-left {
		t.Errorf("%+v, %v; %d keys are left", done, err, left)
	}
	again, err := open(t, rediscache.Options{URL: s.URL()}).Flush(t.Context(), rediscache.FlushOptions{Selection: rediscache.Selection{Prefix: bmad}})
	if err != nil || again.Keys != left-50_000 {
		t.Errorf("%+v, %v", again, err)
	}
}

// Promise: a server that dies in the middle is an error, with what was done until then.
func TestFlushServerDies(t *testing.T) {
	s := populated(t)
	c := open(t, rediscache.Options{URL: s.URL()})
	done, err := c.Flush(t.Context(), rediscache.FlushOptions{Selection: rediscache.Selection{Prefix: bmad}, Progress: func(looked, _ int64) {
		if looked == 10_000 {
			s.Kill()
		}
	}})
	if err == nil || done.Keys == 0 {
		t.Errorf("%+v, %v", done, err)
	}
}

// Promise: a replica says that it takes no writes, and keeps its keys.
func TestFlushReplica(t *testing.T) {
	master := redistest.Start(t)
	must(t, master.Client(t).Set(t.Context(), "bmad:1:a", "1", 0).Err())
	replica := redistest.Start(t, "--replicaof", "127.0.0.1", strings.TrimPrefix(master.Addr(), "127.0.0.1:"))
	redistest.Wait(t, "the replica has the key", func() bool { return replica.Client(t).DBSize(t.Context()).Val() == 1 })
	c := open(t, rediscache.Options{URL: replica.URL()})
	if done, err := c.Flush(t.Context(), rediscache.FlushOptions{Selection: rediscache.Selection{Prefix: bmad}}); !errors.Is(err, rediscache.ErrReadOnly) || done.Keys != 0 {
		t.Errorf("%+v, %v", done, err)
	}
	stats, err := c.Stats(t.Context(), rediscache.StatsOptions{})
	must(t, err)
	if found := stats.Judge(rediscache.Limits{}); len(found) == 0 || !strings.Contains(found[0].Text, "replica") {
		t.Errorf("%+v", found)
	}
}

// Promise: when Sentinel makes another server the master in the middle, the flush goes
// on there until all keys are gone.
func TestFlushFailover(t *testing.T) {
	s := redistest.StartSentinel(t)
	for _, prefix := range []string{"bmad:1:template:", "other:"} { // what DEBUG POPULATE makes is not replicated
		for i := range 50 {
			var pairs []any
			for n := range 1000 {
				pairs = append(pairs, fmt.Sprint(prefix, 1000*i+n), "value")
			}
			must(t, s.Master.Client(t).MSet(t.Context(), pairs...).Err())
		}
	}
	redistest.Wait(t, "the replica has all keys", func() bool { return s.Replica.Client(t).DBSize(t.Context()).Val() == 100_000 })
	c := open(t, rediscache.Options{URL: s.URL()})
	killed := false
	done, err := c.Flush(t.Context(), rediscache.FlushOptions{Selection: rediscache.Selection{Prefix: bmad}, Progress: func(looked, _ int64) {
		if looked >= 10_000 && !killed {
			killed = true
			s.Master.Kill()
		}
	}})
	if err != nil || done.Keys == 0 || s.Replica.Client(t).DBSize(t.Context()).Val() != 50_000 {
		t.Errorf("%+v, %v; %d keys are left", done, err, s.Replica.Client(t).DBSize(t.Context()).Val())
	}
}

// Promise: of a model only what another Django wrote goes; what is no model stays.
func TestFlushStale(t *testing.T) {
	stored := func(version string) string {
		data, err := pickle.Store(pickle.NewModel("forge", "Template", "default", version, []pickle.Pair{{Key: pickle.Str("id"), Value: pickle.Int(1)}}))
		must(t, err)
		return string(data)
	}
	s := redistest.Start(t)
	other := s.Client(t)
	must(t, other.MSet(t.Context(), "bmad:1:old", stored("3.2.19"), "bmad:1:new", stored("5.2.11"), "bmad:1:int", "42", "bmad:1:raw", "no pickle").Err())
	must(t, other.RPush(t.Context(), "bmad:1:list", "x").Err())
	c := open(t, rediscache.Options{URL: s.URL()})
	survey, err := c.Survey(t.Context(), rediscache.SurveyOptions{Selection: rediscache.Selection{Prefix: bmad}, Stale: rediscache.Release{Django: "5.2.11"}.Stale})
	must(t, err)
	if survey.Looked != 1 || survey.Groups["bmad:1:old"] == nil || other.DBSize(t.Context()).Val() != 5 {
		t.Errorf("a look finds %+v", survey)
	}
	has := rediscache.Release{Django: "5.2.11", Models: map[string]bool{"forge.template": true}}
	done, err := c.Flush(t.Context(), rediscache.FlushOptions{Selection: rediscache.Selection{Prefix: bmad}, Stale: has.Stale})
	must(t, err)
	if done.Keys != 1 || done.Passed != 1 || other.Exists(t.Context(), "bmad:1:old").Val() != 0 {
		t.Errorf("%+v, old is there: %d", done, other.Exists(t.Context(), "bmad:1:old").Val())
	}
	done, err = c.Flush(t.Context(), rediscache.FlushOptions{Selection: rediscache.Selection{Prefix: bmad}, Stale: rediscache.Release{Without: []string{"forge.Template"}}.Stale})
	must(t, err)
	if done.Keys != 1 || other.Exists(t.Context(), "bmad:1:new").Val() != 0 {
		t.Errorf("by class: %+v", done)
	}
	must(t, other.Set(t.Context(), "bmad:1:gone", stored("5.2.11"), 0).Err())
	without := rediscache.Release{Models: map[string]bool{"forge.other": true}}
	done, err = c.Flush(t.Context(), rediscache.FlushOptions{Selection: rediscache.Selection{Prefix: bmad}, Stale: without.Stale})
	must(t, err)
	if done.Keys != 1 || other.Exists(t.Context(), "bmad:1:gone").Val() != 0 {
		t.Errorf("by model: %+v", done)
	}
}
