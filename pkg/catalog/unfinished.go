package catalog

import (
	"context"
	"fmt"
	"strings"
)

// Unfinished lists, as Ref.String spells them, the sets of a group that were begun and are not there: they are
// being written now, or their runs have died. Whoever holds the group's lock knows that it is the latter, and
// may call Sweep.
func (c *Catalog) Unfinished(ctx context.Context, g Group) ([]string, error) {
	if err := g.Validate(); err != nil {
		return nil, fmt.Errorf("list unfinished sets: %w", err)
	}
	entries, err := c.store.List(ctx, g.Dir())
	if err != nil {
		return nil, fmt.Errorf("list unfinished sets of %s: %w", g, err)
	}
	var names []string
	for _, e := range entries {
		rest, found := strings.CutPrefix(e.Name, partialPrefix)
		if id, err := ParseID(rest); found && err == nil {
			names = append(names, Ref{g, id}.String())
		}
	}
	return names, nil
}
