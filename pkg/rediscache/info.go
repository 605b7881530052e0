package rediscache

import (
	"context"
	"strconv"
	"strings"
)

// info is what INFO says, by field.
type info map[string]string

func (c *Cache) info(ctx context.Context) (info, error) {
	text, err := c.client.Info(ctx, "everything").Result()
	if err != nil {
		return nil, Explain(err)
	}
	return parseInfo(text), nil
}

// parseInfo reads "field:value" lines. The section headings say nothing that the
// fields do not.
func parseInfo(text string) info {
	m := info{}
	for line := range strings.Lines(text) {
		name, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), ":")
		if ok && !strings.HasPrefix(name, "#") {
			m[name] = value
		}
	}
	return m
}

// int is a whole number; 0 where the server does not say.
func (m info) int(field string) int64 {
	n, err := strconv.ParseInt(m[field], 10, 64)
	if err != nil {
		return 0
	}
	return n
}

func (m info) float(field string) float64 {
	f, err := strconv.ParseFloat(m[field], 64)
	if err != nil {
		return 0
	}
	return f
}
