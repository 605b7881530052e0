package filecolumns

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Bounds of a proposal: it is a help, and must not become a load.
const (
	sampleRows = 100
	maxColumns = 2000
	sampleTime = time.Second // of one column
)

// Proposal is a column whose values look like names of files.
type Proposal struct {
	Column
	Sampled, Found int // values that were looked at, and how many of them name a file
}

// Propose samples every column of text outside the system's schemas. Those are proposed of whose sampled values that look like
// a path at least half name a file, as exists says. A column that cannot be read, or not in time, is passed over. It only
// reads.
func Propose(ctx context.Context, conn *pgx.Conn, exists func(name string) bool) ([]Proposal, error) {
	rows, err := conn.Query(ctx, readable+` AND n.nspname NOT LIKE 'pg\_%' AND n.nspname <> 'information_schema'
AND pg_catalog.has_column_privilege(c.oid, a.attnum, 'SELECT') ORDER BY 1, 2, a.attnum LIMIT $1`, maxColumns)
	if err != nil {
		return nil, fmt.Errorf("list columns: %w", err)
	}
	columns, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Column])
	if err != nil {
		return nil, fmt.Errorf("list columns: %w", err)
	}
	var proposals []Proposal
	for _, c := range columns {
		p := Proposal{Column: c}
		if err := p.sample(ctx, conn, exists); err != nil {
			if ctx.Err() != nil || conn.IsClosed() {
				return proposals, fmt.Errorf("sample %s: %w", c, err)
			}
			continue
		}
		if p.Found > 0 && p.Found*2 >= p.Sampled {
			proposals = append(proposals, p)
		}
	}
	return proposals, nil
}

// sample looks at some values with a dot after the last slash, as names of files have.
func (p *Proposal) sample(ctx context.Context, conn *pgx.Conn, exists func(name string) bool) error {
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{AccessMode: pgx.ReadOnly})
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	if _, err := tx.Exec(ctx, fmt.Sprintf("SET LOCAL statement_timeout = %d", sampleTime.Milliseconds())); err != nil {
		return err
	}
	table, name := p.sql()
	query := fmt.Sprintf("SELECT %[1]s FROM %[2]s WHERE %[1]s LIKE '%%_.%%' AND pg_catalog.length(%[1]s) < 1024 LIMIT %[3]d", name, table, sampleRows)
	return each(ctx, tx.Conn(), query, func(name string) error {
		p.Sampled++
		if exists(name) {
			p.Found++
		}
		return nil
	})
}
