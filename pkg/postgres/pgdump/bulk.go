package pgdump

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/bmad-forge/forgectl/pkg/postgres"
)

// hasten gives a new candidate settings for its sessions that suit a bulk load.
// Nothing relies on the candidate before it is finished, and the commit of that
// waits for the disk: until then no commit has to. Indexes are sorted in more
// memory where the server's is ours to measure.
//
// A role that may not set them loads without.
func (c Candidate) hasten(ctx context.Context, conn *pgx.Conn) error {
	settings := []string{"synchronous_commit = off"}
	if c.Admin.OnThisHost() {
		var current int64 // kB
		err := conn.QueryRow(ctx, "SELECT setting::bigint FROM pg_catalog.pg_settings WHERE name = 'maintenance_work_mem'").Scan(&current)
		if err != nil {
			return fmt.Errorf("read maintenance_work_mem: %w", err)
		}
		if more := sortMemory(availableMemory()) >> 10; more > current {
			settings = append(settings, fmt.Sprintf("maintenance_work_mem = %d", more))
		}
	}
	for _, s := range settings {
		_, err := conn.Exec(ctx, "ALTER DATABASE "+postgres.QuoteIdent(c.Name)+" SET "+s)
		if err != nil && errorCode(err) != "42501" { // insufficient_privilege
			return fmt.Errorf("set %s: %w", s, err)
		}
	}
	return nil
}

// sortMemory is what one index build may take of the bytes that are available: up
// to eight run at once, each perhaps with workers.
func sortMemory(available int64) int64 { return min(available/32, 512<<20) }

// unhasten takes back what hasten set: before the properties of the original are given.
func (c Candidate) unhasten(ctx context.Context, tx pgx.Tx) error {
	var set bool
	err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_catalog.pg_db_role_setting s JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase
		WHERE d.datname = $1 AND s.setrole = 0)`, c.Name).Scan(&set)
	if err == nil && set {
		_, err = tx.Exec(ctx, "ALTER DATABASE "+postgres.QuoteIdent(c.Name)+" RESET ALL")
	}
	if err != nil {
		return fmt.Errorf("reset settings: %w", err)
	}
	return nil
}

// availableMemory is MemAvailable of proc(5) in bytes, 0 where nobody knows.
func availableMemory() int64 {
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return 0
	}
	defer func() { _ = f.Close() }()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), "MemAvailable:"); ok {
			kB, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(value, "kB")), 10, 64)
			return kB << 10
		}
	}
	return 0
}
