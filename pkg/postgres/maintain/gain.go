package maintain

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// Gain is what an action will probably bring, in bytes.
type Gain struct {
	Bytes int64
	// Known is false where no estimate is possible: never analyzed, or indexes of
	// a kind that cannot be estimated.
	Known bool
	// Reusable bytes stay with the table, for rows to come. Others go back to the
	// file system.
	Reusable bool
}

// gains has what is wasted in each table.
type gains struct {
	tables  map[uint32]waste
	indexes map[uint32]waste // by table
}

type waste struct {
	bytes int64
	known bool
}

// readGains estimates what is wasted, if the action can bring it back.
func readGains(_ context.Context, _ *pgx.Conn, _ []Table, _ Options, _ scope) (gains, error) {
	return gains{}, nil
}

// of is the gain of one item.
func (g gains) of(item Item) Gain {
	switch item.Action {
	case Vacuum:
		return Gain{Bytes: share(item.Heap, item.Dead, item.Live) + share(item.TOAST, item.TOASTDead, item.TOASTLive), Known: true, Reusable: true}
	case Analyze:
		return Gain{Known: true, Reusable: true}
	case Full:
		table, indexes := g.tables[item.OID], g.indexes[item.OID]
		return Gain{Bytes: table.bytes + indexes.bytes, Known: table.known && (indexes.known || item.IndexCount == 0)}
	case Reindex:
		indexes := g.indexes[item.OID]
		return Gain{Bytes: indexes.bytes, Known: indexes.known}
	}
	return Gain{}
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
