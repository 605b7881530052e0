package catalog

import (
	"context"
	"fmt"
)

// Count is how many sets there are in all groups, by their names: nothing of them is read.
func (c *Catalog) Count(ctx context.Context) (n int, err error) {
	groups, err := c.Groups(ctx, "")
	if err != nil {
		return 0, err
	}
	for _, g := range groups {
		entries, err := c.store.List(ctx, g.Dir())
		if err != nil {
			return 0, fmt.Errorf("list sets of %s: %w", g, err)
		}
		for _, e := range entries {
			if _, err := ParseID(e.Name); err == nil && e.Dir {
				n++
			}
		}
	}
	return n, nil
}
