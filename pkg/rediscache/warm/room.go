package warm

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/bmad-forge/forgectl/pkg/rediscache"
)

// RoomError is a Redis into which nothing should be put now.
type RoomError struct {
	Evicting bool  // it throws keys away already
	Need     int64 // bytes, estimated from the first rows
	Free     int64 // bytes until maxmemory
	Max      int64
	Policy   string
}

func (e *RoomError) Error() string {
	if e.Evicting {
		return fmt.Sprintf("Redis is evicting keys already (maxmemory %d bytes, %s): what is put in pushes other things out", e.Max, e.Policy)
	}
	return fmt.Sprintf("Redis has room for %d bytes, and about %d are needed (maxmemory %d bytes, %s)", max(e.Free, 0), e.Need, e.Max, e.Policy)
}

// memory is what INFO says about room.
type memory struct {
	used, max, evicted int64
	policy             string
}

func readMemory(ctx context.Context, c redis.UniversalClient) (memory, error) {
	text, err := c.Info(ctx, "everything").Result()
	if err != nil {
		return memory{}, rediscache.Explain(err)
	}
	var m memory
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		n, _ := strconv.ParseInt(value, 10, 64) // 0 for what is no number
		switch name {
		case "used_memory":
			m.used = n
		case "maxmemory":
			m.max = n
		case "evicted_keys":
			m.evicted = n
		case "maxmemory_policy":
			m.policy = value
		}
	}
	return m, nil
}

// room is nil when need bytes more fit. before is from a while ago: keys evicted since then are a sign, as is a server that
// has evicted some and is full still.
func room(before, now memory, need int64) error {
	if now.max == 0 {
		return nil
	}
	e := &RoomError{Need: need, Free: now.max - now.used, Max: now.max, Policy: now.policy}
	e.Evicting = now.evicted > before.evicted || now.evicted > 0 && now.used > now.max/20*19
	if e.Evicting || need > e.Free {
		return e
	}
	return nil
}

// overhead is what Redis keeps for a key beside key and value: the entries of two tables and the objects' heads.
const overhead = 120
