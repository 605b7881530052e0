package maintain

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// progressSQL asks all views in one form. Their columns are not the same in every
// major version (heap_blks_vacuumed, dead_tuple_bytes, …): as JSON, what is not
// there is null. What VACUUM FULL does after it has written the rows has no figures
// of its own: those of the rows stay at their end.
const progressSQL = `
SELECT pid, coalesce(j ->> 'phase', ''),
	coalesce(CASE WHEN j ->> 'phase' IN ('rebuilding index', 'swapping relation files', 'performing final cleanup') THEN '0' END,
		j ->> 'heap_blks_total', j ->> 'sample_blks_total', j ->> 'blocks_total', '0')::bigint,
	coalesce(CASE WHEN j ->> 'phase' = 'vacuuming heap' THEN j ->> 'heap_blks_vacuumed' END,
		j ->> 'heap_blks_scanned', j ->> 'sample_blks_scanned', j ->> 'blocks_done', '0')::bigint,
	pg_catalog.current_setting('block_size')::bigint
FROM (SELECT pid, to_jsonb(v) AS j FROM pg_catalog.pg_stat_progress_vacuum v
	UNION ALL SELECT pid, to_jsonb(v) FROM pg_catalog.pg_stat_progress_analyze v
	UNION ALL SELECT pid, to_jsonb(v) FROM pg_catalog.pg_stat_progress_cluster v
	UNION ALL SELECT pid, to_jsonb(v) FROM pg_catalog.pg_stat_progress_create_index v) p
WHERE pid = ANY ($1::int[])`

// show hands on what the server says of the largest table in work.
func (m *monitor) show(ctx context.Context, conn *pgx.Conn, pids []int32) {
	rows, err := conn.Query(ctx, progressSQL, pids)
	if err != nil {
		return
	}
	type state struct {
		phase       string
		done, total int64
	}
	states := map[uint32]state{}
	var pid int32
	var s state
	var block int64
	_, err = pgx.ForEachRow(rows, []any{&pid, &s.phase, &s.total, &s.done, &block}, func() error {
		states[uint32(pid)] = state{s.phase, min(s.done, s.total) * block, s.total * block}
		return nil
	})
	if err != nil {
		return
	}
	m.mu.Lock()
	var largest *watched
	var of uint32
	for pid, w := range m.seen {
		if largest == nil || w.item.Bytes() > largest.item.Bytes() {
			largest, of = w, pid
		}
	}
	m.mu.Unlock()
	if largest == nil {
		return
	}
	what := string(largest.item.Action) + " " + largest.place + ", " + largest.item.Name()
	if phase := states[of].phase; phase != "" {
		what += ": " + phase
	}
	m.o.Progress(what, states[of].done, states[of].total)
}
