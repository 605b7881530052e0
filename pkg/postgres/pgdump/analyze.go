package pgdump

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/bmad-forge/forgectl/pkg/postgres"
)

// Analyze gathers statistics, without which the first queries crawl, with as many
// sessions at once as there are jobs (below 2: one), the largest table first. Of a
// table with foreign partitions it gathers none: its sample would be fetched from
// other servers, which need not answer, nor hear of a drill.
func (c Candidate) Analyze(ctx context.Context, jobs int) error {
	if err := c.analyze(ctx, jobs); err != nil {
		return fmt.Errorf("analyze %s: %w", c.Name, err)
	}
	return nil
}

func (c Candidate) analyze(ctx context.Context, jobs int) error {
	conn, err := c.Endpoint().ConnectPatient(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	rows, err := conn.Query(ctx, analyzeQuery)
	if err != nil {
		return err
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[[]string])
	if err != nil {
		return err
	}
	queue := make(chan []string, len(tables))
	for _, t := range tables {
		queue <- t
	}
	close(queue)
	group, working := errgroup.WithContext(ctx)
	for range min(jobs-1, len(tables)-1) {
		group.Go(func() error {
			conn, err := c.Endpoint().ConnectPatient(working)
			if err != nil {
				return err
			}
			defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
			return analyzeEach(working, conn, queue)
		})
	}
	group.Go(func() error { return analyzeEach(working, conn, queue) })
	return group.Wait()
}

func analyzeEach(ctx context.Context, conn *pgx.Conn, tables <-chan []string) error {
	for t := range tables {
		if _, err := conn.Exec(ctx, "ANALYZE "+postgres.QuoteIdent(t...)); err != nil {
			return err
		}
	}
	return nil
}

// analyzeQuery lists schema and name of the tables, the largest first. Analyzing a
// partitioned table includes its partitions; where one of them is foreign only the
// others are listed.
const analyzeQuery = `
WITH RECURSIVE far AS (
	SELECT i.inhparent AS oid FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid WHERE c.relkind = 'f'
	UNION SELECT i.inhparent FROM pg_catalog.pg_inherits i JOIN far ON far.oid = i.inhrelid)
SELECT ARRAY[n.nspname::text, c.relname::text]
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm', 'p') AND c.relpersistence <> 't' AND n.nspname !~ '^pg_toast'
	AND NOT EXISTS (SELECT FROM far WHERE far.oid = c.oid)
	AND (NOT c.relispartition OR EXISTS (SELECT FROM pg_catalog.pg_inherits i JOIN far ON far.oid = i.inhparent WHERE i.inhrelid = c.oid))
ORDER BY CASE c.relkind WHEN 'p' THEN (SELECT sum(pg_catalog.pg_relation_size(t.relid)) FROM pg_catalog.pg_partition_tree(c.oid) t)
	ELSE pg_catalog.pg_relation_size(c.oid) END DESC, n.nspname, c.relname`
