package rediscache

import (
	"context"
	"errors"
	"slices"

	"github.com/redis/go-redis/v9"

	"github.com/bmad-forge/forgectl/pkg/rediscache/pickle"
)

// Stale is what a release cannot use of what an earlier one has cached: values that
// hold something of another Django, or of one of the classes. What cannot be read, or
// holds neither models nor such classes, is not stale. Nothing is executed.
func Stale(django string, classes []string) func(key string, value []byte) bool {
	return func(_ string, value []byte) bool {
		v, err := pickle.Stored(value, pickle.Limits{})
		if err != nil {
			return false
		}
		for _, m := range pickle.Models(v) {
			if django != "" && m.Version != django || slices.Contains(classes, m.Class) {
				return true
			}
		}
		return len(classes) > 0 && slices.ContainsFunc(pickle.Classes(v), func(c string) bool { return slices.Contains(classes, c) })
	}
}

// StaleLimit is the largest value, in bytes, that is read to see whether it is stale.
const StaleLimit = 16 << 20

const (
	staleBatch = 250      // values that are read at once,
	staleBytes = 32 << 20 // unless they are large
)

// stale keeps the keys whose value is. What is written between the look and the
// removal goes too, and is made again.
func (f *flush) stale(ctx context.Context, keys []string) ([]string, error) {
	readable, sizes, err := f.readable(ctx, keys)
	var old []string
	for err == nil && len(readable) > 0 {
		n, bytes := 0, int64(0)
		for n < min(staleBatch, len(readable)) && (n == 0 || bytes+sizes[n] <= staleBytes) {
			bytes += sizes[n]
			n++
		}
		var found []string
		found, err = f.staleOf(ctx, readable[:n])
		old = append(old, found...)
		readable, sizes = readable[n:], sizes[n:]
	}
	return old, err
}

// readable are the keys that hold a text of bearable length.
func (f *flush) readable(ctx context.Context, keys []string) (readable []string, sizes []int64, err error) {
	pipe := f.client.Pipeline()
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
			f.passed.Add(1)
			continue
		}
		readable, sizes = append(readable, k), append(sizes, lengths[i].Val())
	}
	return readable, sizes, nil
}

func (f *flush) staleOf(ctx context.Context, keys []string) ([]string, error) {
	pipe := f.client.Pipeline()
	values := make([]*redis.StringCmd, len(keys))
	for i, k := range keys {
		values[i] = pipe.Get(ctx, k)
	}
	if _, err := pipe.Exec(ctx); err != nil && !isReply(err) {
		return nil, Explain(err)
	}
	var old []string
	for i, v := range values {
		if data, err := v.Bytes(); err == nil && f.Stale(keys[i], data) {
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
