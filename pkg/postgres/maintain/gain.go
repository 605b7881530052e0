package maintain

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/bmad-forge/forgectl/pkg/postgres/bloat"
)

// Gain is what an action will probably bring, in bytes.
type Gain struct {
	Bytes int64 // at least so much where it is not Known
	// Known is false where a part cannot be estimated: it was never analyzed, or
	// an index is of a kind of which nothing is known.
	Known bool
	Why   string // it is not
	// Reusable bytes stay with the table, for rows to come. Others go back to the
	// file system.
	Reusable bool
}

// gains has what is wasted in each table.
type gains struct {
	tables  map[uint32]Gain
	indexes map[uint32]Gain // by table; without those of TOAST
}

// readGains estimates what is wasted, if the action can bring it back.
func readGains(ctx context.Context, conn *pgx.Conn, tables []Table, o Options, scope scope) (gains, error) {
	g := gains{tables: map[uint32]Gain{}, indexes: map[uint32]Gain{}}
	if o.Action != Full && o.Action != Reindex {
		return g, nil
	}
	filter := bloat.Filter{}
	if len(o.Tables) > 0 || len(o.Schemas) > 0 {
		filter.Tables = []uint32{}
		for _, t := range tables {
			if scope.has(t) {
				filter.Tables = append(filter.Tables, t.OID)
			}
		}
	}
	if o.Action == Full {
		found, err := bloat.Tables(ctx, conn, filter)
		if err != nil {
			return g, fmt.Errorf("estimate the gain: %w", err)
		}
		for _, t := range found {
			sum := Gain{Known: true}
			sum.add(t.Heap)
			sum.add(t.Toast)
			g.tables[t.OID] = sum
		}
	}
	found, err := bloat.Indexes(ctx, conn, filter)
	if err != nil {
		return g, fmt.Errorf("estimate the gain: %w", err)
	}
	for _, i := range found {
		sum, seen := g.indexes[i.TableOID]
		sum.Known = sum.Known || !seen
		sum.add(i.Space)
		g.indexes[i.TableOID] = sum
	}
	return g, nil
}

func (g *Gain) add(s bloat.Space) {
	g.Bytes += s.Dead
	switch s.How {
	case bloat.Unknown, bloat.FreeMap:
		g.Known, g.Why = false, s.Why
	case bloat.Estimate, bloat.Exact:
	}
}

// of is the gain of one item.
func (g gains) of(item Item) Gain {
	switch item.Action {
	case Vacuum:
		return Gain{Bytes: share(item.Heap, item.Dead, item.Live) + share(item.TOAST, item.TOASTDead, item.TOASTLive), Known: true, Reusable: true}
	case Analyze:
		return Gain{Known: true, Reusable: true}
	case Full:
		return together(g.tables[item.OID], g.indexesOf(item.Table))
	case Reindex:
		return g.indexesOf(item.Table)
	}
	return Gain{}
}

func (g gains) indexesOf(t Table) Gain {
	if t.IndexCount == 0 {
		return Gain{Known: true}
	}
	return g.indexes[t.OID]
}

func together(a, b Gain) Gain {
	sum := Gain{Bytes: a.Bytes + b.Bytes, Known: a.Known && b.Known, Why: a.Why}
	if b.Why != "" {
		sum.Why = b.Why
	}
	return sum
}

// ratio is the share of a table that an action could bring back.
func (g gains) ratio(t Table, action Action) float64 {
	gain := g.of(Item{Table: t, Action: action})
	base := t.Bytes()
	if action == Reindex {
		base = t.Indexes
	}
	if base <= 0 {
		return 0
	}
	return float64(gain.Bytes) / float64(base)
}

// share is the part of bytes that dead rows have.
func share(bytes, dead, live int64) int64 {
	if dead <= 0 {
		return 0
	}
	return int64(float64(bytes) * float64(dead) / float64(dead+max(live, 0)))
}
