package rediscache

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/bmad-forge/forgectl/pkg/rediscache/pickle"
)

// Release is what is known of the release that reads the cache.
type Release struct {
	Django  string          // its version; "" when nobody knows
	Models  map[string]bool // its models as "app_label.model", lower case as Django keeps them; nil when nobody knows
	Without []string        // classes that it does not have any more
}

// Stale is what a release cannot use of what an earlier one has cached: values that
// hold something of another Django, a model that it does not have, or one of the
// classes. What cannot be read, or holds neither, is not stale. Nothing is executed.
func (r Release) Stale(value []byte) bool {
	v, err := pickle.Stored(value, pickle.Limits{})
	if err != nil {
		return false
	}
	for _, m := range pickle.Models(v) {
		if r.Django != "" && m.Version != r.Django {
			return true
		}
		if app, name, ok := m.Label(); ok && r.Models != nil && !r.Models[strings.ToLower(app+"."+name)] {
			return true
		}
	}
	return len(r.Without) > 0 && slices.ContainsFunc(pickle.Classes(v), func(c string) bool { return slices.Contains(r.Without, c) })
}

// StaleLimit is the largest value, in bytes, that is read to see whether it is stale.
const StaleLimit = 16 << 20

const (
	staleBatch = 250      // values that are read at once,
	staleBytes = 32 << 20 // unless they are large
)

// stale keeps the keys whose value is, and counts those that were not read. What is
// written between the look and the removal goes too, and is made again.
func (c *Cache) stale(ctx context.Context, is func(value []byte) bool, keys []string) (old []string, passed int64, err error) {
	readable, sizes, err := c.readable(ctx, keys)
	passed = int64(len(keys) - len(readable))
	for err == nil && len(readable) > 0 {
		n, bytes := 0, int64(0)
		for n < min(staleBatch, len(readable)) && (n == 0 || bytes+sizes[n] <= staleBytes) {
			bytes += sizes[n]
			n++
		}
		var found []string
		found, err = c.staleOf(ctx, is, readable[:n])
		old = append(old, found...)
		readable, sizes = readable[n:], sizes[n:]
	}
	return old, passed, err
}

// readable are the keys that hold a text of bearable length.
func (c *Cache) readable(ctx context.Context, keys []string) (readable []string, sizes []int64, err error) {
	if len(keys) == 0 {
		return nil, nil, nil
	}
	pipe := c.client.Pipeline()
	lengths := make([]*redis.IntCmd, len(keys))
	for i, k := range keys {
		lengths[i] = pipe.StrLen(ctx, k)
	}
	if _, err := pipe.Exec(ctx); err != nil && !isReply(err) {
		return nil, nil, Explain(err)
	}
	for i, k := range keys {
		// Another type is an error of that key alone.
		if lengths[i].Err() != nil || lengths[i].Val() > StaleLimit {
			continue
		}
		readable, sizes = append(readable, k), append(sizes, lengths[i].Val())
	}
	return readable, sizes, nil
}

func (c *Cache) staleOf(ctx context.Context, is func(value []byte) bool, keys []string) ([]string, error) {
	pipe := c.client.Pipeline()
	values := make([]*redis.StringCmd, len(keys))
	for i, k := range keys {
		values[i] = pipe.Get(ctx, k)
	}
	if _, err := pipe.Exec(ctx); err != nil && !isReply(err) {
		return nil, Explain(err)
	}
	var old []string
	for i, v := range values {
		if data, err := v.Bytes(); err == nil && is(data) {
			old = append(old, keys[i])
		}
	}
	return old, nil
}

// isReply is true for an answer about one key: that it is not there, or of another
// type. What concerns the connection, or all keys alike, is none.
func isReply(err error) bool {
	return errors.Is(err, redis.Nil) || redis.HasErrorPrefix(err, "WRONGTYPE")
}
