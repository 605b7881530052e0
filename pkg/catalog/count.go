package catalog

import "context"

// Count is how many sets there are in all groups, by their names: nothing of them is read.
func (c *Catalog) Count(ctx context.Context) (n int, err error) {
	groups, err := c.Groups(ctx, "")
	if err != nil {
		return 0, err
	}
	for _, g := range groups {
		ids, err := c.ids(ctx, g)
		if err != nil {
			return 0, err
		}
		n += len(ids)
	}
	return n, nil
}
