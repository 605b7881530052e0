package pgdump

import (
	"context"
	"fmt"
)

// LocksFit reports whether that many sessions can each hold a lock on every
// table at once. The server keeps all locks in one table of a fixed size, and
// others need some too.
func (g *Guard) LocksFit(ctx context.Context, sessions int) (bool, error) {
	conn, err := g.Session(ctx)
	if err != nil {
		return false, fmt.Errorf("ask for room for locks: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	// NLOCKENTS in the server's lock.c; a lock that several hold counts for each in
	// another table, of twice the size.
	var room int64
	err = conn.QueryRow(ctx, `SELECT current_setting('max_locks_per_transaction')::bigint *
		(current_setting('max_connections')::bigint + current_setting('max_prepared_transactions')::bigint)`).Scan(&room)
	if err != nil {
		return false, fmt.Errorf("ask for room for locks: %w", err)
	}
	return int64(sessions)*int64(len(g.Relations)) <= room, nil
}
