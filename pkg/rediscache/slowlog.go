package rediscache

import (
	"context"
	"time"
)

// SlowCommand is an entry of the slow log.
type SlowCommand struct {
	ID      int64
	At      time.Time
	Took    time.Duration
	Client  string // address
	Name    string // of the client
	Command Command
}

// slow reads the newest entries, and how many there are.
func (c *Cache) slow(ctx context.Context, n int) ([]SlowCommand, int64, error) {
	length, err := c.client.Do(ctx, "SLOWLOG", "LEN").Int64()
	if err != nil {
		return nil, 0, Explain(err)
	}
	entries, err := c.client.SlowLogGet(ctx, int64(n)).Result()
	if err != nil {
		return nil, 0, Explain(err)
	}
	all := []SlowCommand{}
	for _, e := range entries {
		all = append(all, SlowCommand{e.ID, e.Time, e.Duration, e.ClientAddr, e.ClientName, newCommand(e.Args)})
	}
	return all, length, nil
}
