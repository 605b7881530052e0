package rediscache

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// SurveyOptions say what is counted and how exactly.
type SurveyOptions struct {
	Selection
	Bound int // so many keys are measured one by one; more are sampled. 0: DefaultBound
	Rate  int // keys measured a second; 0: no limit
	Top   int // so many of the biggest keys are named; 0: 10
	// Stale, if set, leaves out what it does not say true of, as a flush does.
	Stale func(value []byte) bool

	// Resume goes on from a state that Save was given; nil begins anew.
	Resume *Survey
	// Save, if set, hears where things are about once a second. An error ends the survey.
	Save     func(*Survey) error
	Progress func(looked, total int64) // keys; may be nil
}

const (
	// DefaultBound is how many keys are measured before a sample has to do.
	DefaultBound = 100_000
	// groupsLimit bounds what is remembered, and printed.
	groupsLimit = 1000
	// enough keys of each group are measured whatever the share is: what is rare
	// would not be seen at all.
	enough = 200
	// otherGroup is where keys go when there are too many groups.
	otherGroup = "*"
)

// Survey is what is in a database. It is also the state from which an interrupted
// one goes on: its fields are plain.
type Survey struct {
	Server  string // the run of the server: a cursor means nothing to another
	Match   string // what was selected
	Cursor  uint64 // where to go on; 0 with Whole
	Whole   bool   // all keys were seen
	Total   int64  // keys in the database when it began
	Share   float64
	Looked  int64 // keys that matched, each counted when it came
	Groups  map[string]*KeyGroup
	Biggest []BigKey
	Merged  bool  // there were more groups than are remembered
	Denied  int64 // chosen to be measured, but this user may not look at them: only counted
}

// KeyGroup is the keys of one pattern. Keys is exact; the rest is of those that were
// measured.
type KeyGroup struct {
	Pattern  string
	Keys     int64
	Measured int64
	Bytes    int64   // of the measured ones
	Squares  float64 // sum of their squares, for the error
	Types    map[string]int64
	NoTTL    int64 // measured ones that never expire
	TTLSum   float64
	TTLMin   time.Duration // of those that expire
	TTLMax   time.Duration
}

// BigKey is one of the biggest keys that were measured.
type BigKey struct {
	Key   string
	Type  string
	Bytes int64
}

// Sampled is whether not every key was measured.
func (g *KeyGroup) Sampled() bool { return g.Measured < g.Keys }

// Estimate is what all keys of the group use, and by how much that may be off, with
// a confidence of 95 %; 0 when every key was measured.
func (g *KeyGroup) Estimate() (bytes, plusMinus int64) {
	if g.Measured == 0 {
		return 0, 0
	}
	n, all := float64(g.Measured), float64(g.Keys)
	mean := float64(g.Bytes) / n
	bytes = int64(mean * all)
	if g.Measured >= g.Keys || g.Measured < 2 {
		return bytes, 0
	}
	variance := max((g.Squares-n*mean*mean)/(n-1), 0)
	return bytes, int64(1.96 * all * math.Sqrt(variance/n*(1-n/all)))
}

// Of scales a count of measured keys to all keys of the group.
func (g *KeyGroup) Of(count int64) int64 {
	if g.Measured == 0 {
		return 0
	}
	return int64(math.Round(float64(count) * float64(g.Keys) / float64(g.Measured)))
}

// MeanTTL is that of the keys that expire; 0 when none does.
func (g *KeyGroup) MeanTTL() time.Duration {
	if n := g.Measured - g.NoTTL; n > 0 {
		return time.Duration(g.TTLSum / float64(n) * float64(time.Second))
	}
	return 0
}

// Sorted are the groups, the one that uses most first.
func (s *Survey) Sorted() []*KeyGroup {
	var all []*KeyGroup
	for _, g := range s.Groups {
		all = append(all, g)
	}
	slices.SortFunc(all, func(a, b *KeyGroup) int {
		x, _ := a.Estimate()
		y, _ := b.Estimate()
		if x != y {
			return int(min(max(y-x, -1), 1))
		}
		return strings.Compare(a.Pattern, b.Pattern)
	})
	return all
}

// Survey counts the selected keys by group. When it ends with an error or ctx, what
// it has is returned with it, and can be resumed.
func (c *Cache) Survey(ctx context.Context, o SurveyOptions) (*Survey, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	if o.Bound <= 0 {
		o.Bound = DefaultBound
	}
	if o.Top <= 0 {
		o.Top = 10
	}
	m, err := c.info(ctx)
	if err != nil {
		return nil, err
	}
	total, err := c.client.DBSize(ctx).Result()
	if err != nil {
		return nil, Explain(err)
	}
	s := o.Resume
	if s == nil || s.Server != m["run_id"] || s.Match != o.String() || s.Whole {
		s = &Survey{Server: m["run_id"], Match: o.String(), Groups: map[string]*KeyGroup{}, Total: total, Share: 1}
		if total > int64(o.Bound) {
			s.Share = float64(o.Bound) / float64(total)
		}
	}
	run := surveyor{Cache: c, SurveyOptions: o, Survey: s, pace: pace{rate: o.Rate}, saved: time.Now()}
	err = c.scan(ctx, o.match(), s.Cursor, func(keys []string, next uint64) error { return run.batch(ctx, keys, next) })
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	s.Whole = err == nil
	return s, err
}

type surveyor struct {
	*Cache
	SurveyOptions
	*Survey
	pace  pace
	saved time.Time
	seen  int64
}

func (r *surveyor) batch(ctx context.Context, keys []string, next uint64) error {
	keys = slices.DeleteFunc(keys, func(k string) bool { return !r.has(k) })
	if r.Stale != nil {
		var err error
		if keys, _, err = r.stale(ctx, r.Stale, keys); err != nil {
			return err
		}
	}
	var chosen []string
	for _, k := range keys {
		r.Looked++
		g := r.group(k)
		g.Keys++
		if r.Share >= 1 || g.Keys <= enough || rand.Float64() < r.Share { //nolint:gosec // a sample, no secret
			chosen = append(chosen, k)
		}
	}
	for part := range slices.Chunk(chosen, 100) {
		if err := r.measure(ctx, part); err != nil {
			return err
		}
		if err := r.pace.wait(ctx, len(part)); err != nil {
			return err
		}
	}
	r.Cursor = next
	if r.seen += scanCount; r.Progress != nil {
		r.Progress(min(r.seen, r.Total), r.Total)
	}
	if r.Save != nil && time.Since(r.saved) > time.Second {
		r.saved = time.Now()
		return r.Save(r.Survey)
	}
	return nil
}

// group is where a key is counted. When there are too many, new ones share what
// their application has in common, and then all.
func (r *surveyor) group(key string) *KeyGroup {
	pattern := r.Prefix.Group(key)
	if g := r.Groups[pattern]; g != nil {
		return g
	}
	if len(r.Groups) >= groupsLimit {
		r.Merged = true
		pattern = r.Prefix.Namespace(pattern) + otherGroup
		if r.Groups[pattern] == nil && len(r.Groups) >= groupsLimit+100 {
			pattern = otherGroup
		}
	}
	if r.Groups[pattern] == nil {
		r.Groups[pattern] = &KeyGroup{Pattern: pattern, Types: map[string]int64{}}
	}
	return r.Groups[pattern]
}

// measure asks three things of each key, in one pipeline.
func (r *surveyor) measure(ctx context.Context, keys []string) error {
	pipe := r.client.Pipeline()
	sizes, ttls, types := make([]*redis.IntCmd, len(keys)), make([]*redis.DurationCmd, len(keys)), make([]*redis.StatusCmd, len(keys))
	for i, k := range keys {
		sizes[i], ttls[i], types[i] = pipe.MemoryUsage(ctx, k), pipe.PTTL(ctx, k), pipe.Type(ctx, k)
	}
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) && !isRights(err) {
		return Explain(err)
	}
	for i, k := range keys {
		for _, err := range []error{sizes[i].Err(), ttls[i].Err(), types[i].Err()} {
			if err != nil && isRights(err) {
				r.Denied++
				break
			}
		}
		if sizes[i].Err() == nil && ttls[i].Err() == nil && types[i].Err() == nil { // else it has gone
			r.add(k, sizes[i].Val(), ttls[i].Val(), types[i].Val())
		}
	}
	return nil
}

func (r *surveyor) add(key string, bytes int64, ttl time.Duration, kind string) {
	g := r.group(key)
	g.Measured++
	g.Bytes += bytes
	g.Squares += float64(bytes) * float64(bytes)
	g.Types[kind]++
	if ttl < 0 {
		g.NoTTL++
	} else {
		if g.Measured-g.NoTTL == 1 || ttl < g.TTLMin {
			g.TTLMin = ttl
		}
		g.TTLMax = max(g.TTLMax, ttl)
		g.TTLSum += ttl.Seconds()
	}
	at, _ := slices.BinarySearchFunc(r.Biggest, bytes, func(b BigKey, n int64) int { return int(min(max(n-b.Bytes, -1), 1)) })
	if at < r.Top {
		r.Biggest = slices.Insert(r.Biggest, at, BigKey{key, kind, bytes})
		r.Biggest = r.Biggest[:min(len(r.Biggest), r.Top)]
	}
}
