package inventory

import (
	"context"
	"slices"
	"time"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/provenance"
)

// Options say of what the inventory is taken.
type Options struct {
	Catalog    *catalog.Catalog
	Provenance provenance.Policy // for Examine
	Promised   time.Duration     // how old the newest good set of each group may be; 0: nothing was promised
	Now        func() time.Time
}

// Listing is all sets, or those of a kind or a database.
type Listing struct {
	Sets   []Set   `json:"sets"`
	Groups []Group `json:"groups"`
}

// List describes the sets of a kind and a database, both optional: group by group, the newest set first.
func List(ctx context.Context, o Options, kind catalog.Kind, database string) (Listing, error) {
	sets, err := Sets(ctx, o.Catalog, kind, database)
	if err != nil {
		return Listing{}, err
	}
	l := Listing{Sets: make([]Set, len(sets))}
	find := known(o.Catalog, sets)
	for i, s := range sets {
		parts, err := partsOf(ctx, s, find)
		if err != nil {
			return Listing{}, err
		}
		l.Sets[i] = o.set(s, parts)
	}
	l.Groups = groups(l.Sets, o.Now(), o.Promised)
	return l, nil
}

// Sets reads the sets of a kind and a database, both optional, in the order of List.
func Sets(ctx context.Context, c *catalog.Catalog, kind catalog.Kind, database string) ([]catalog.Set, error) {
	groups, err := c.Groups(ctx, kind)
	if err != nil {
		return nil, err
	}
	var all []catalog.Set
	for _, g := range groups {
		if database != "" && g.Database != database {
			continue
		}
		sets, err := c.List(ctx, g)
		if err != nil {
			return nil, err
		}
		slices.Reverse(sets)
		all = append(all, sets...)
	}
	return all, nil
}

type finder func(context.Context, catalog.Ref) (catalog.Set, error)

// known finds sets, most of which have been read already.
func known(c *catalog.Catalog, sets []catalog.Set) finder {
	at := make(map[catalog.Ref]int, len(sets))
	for i, s := range sets {
		at[s.Ref] = i
	}
	return func(ctx context.Context, ref catalog.Ref) (catalog.Set, error) {
		if i, ok := at[ref]; ok {
			return sets[i], nil
		}
		return c.Get(ctx, ref)
	}
}

// partsOf are what a full set refers to; nil for every other set, and for one that does not say.
func partsOf(ctx context.Context, s catalog.Set, find finder) ([]catalog.Part, error) {
	if s.Kind != catalog.KindFull || s.Manifest == nil {
		return nil, nil
	}
	return catalog.Parts(ctx, s, find)
}
