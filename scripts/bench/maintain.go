package main

import (
	"context"
	"fmt"
)

const deadTables = 500

// maintenance measures vacuum and reindex of many tables of which most is dead.
func maintenance(ctx context.Context, b *bench) error {
	if err := b.startServer(ctx); err != nil {
		return err
	}
	if err := b.configure("readback: hash", "maintain.yaml"); err != nil {
		return err
	}
	if err := b.shell(ctx, `psql -Xqc 'ALTER SYSTEM SET autovacuum = off' -c 'SELECT pg_reload_conf()' postgres >/dev/null`); err != nil {
		return err
	}
	// In a database of its own, so that vacuumdb and reindexdb have nothing else to do.
	fresh := func(ctx context.Context) error { return b.makeDead(ctx) }
	shell := func(line string) func(context.Context) error {
		return func(ctx context.Context) error { return b.shell(ctx, line) }
	}
	ours := func(args ...string) func(context.Context) error {
		return func(ctx context.Context) error {
			return b.ours(ctx, "maintain.yaml", append([]string{"vacuum", "--database", "dead", "--jobs", "2"}, args...)...)
		}
	}
	err := b.try(ctx, trial{
		title:   fmt.Sprintf("vacuum and analyze of %d tables, two thirds dead", deadTables),
		against: []string{"vacuumdb -j2"},
		contenders: []contender{
			{name: "vacuumdb -j2", before: fresh, run: shell("vacuumdb --quiet --analyze --jobs 2 dead")},
			{name: "forgectl --jobs 2", before: fresh, run: ours()},
		},
	})
	if err != nil {
		return err
	}
	err = b.try(ctx, trial{
		title:   fmt.Sprintf("reindex of %d tables without locks", deadTables),
		against: []string{"reindexdb -j2"},
		contenders: []contender{
			{name: "reindexdb -j2", before: fresh, run: shell("reindexdb --quiet --concurrently --jobs 2 --schema public dead")},
			{name: "forgectl --jobs 2", before: fresh, run: ours("--reindex")},
		},
	})
	if err != nil {
		return err
	}
	return b.command(ctx, "dropdb", "dead")
}

// makeDead makes the tables anew: the same work for everybody.
func (b *bench) makeDead(ctx context.Context) error {
	return b.shell(ctx, fmt.Sprintf(`dropdb --if-exists --force dead && createdb -T template0 dead
psql -Xqv ON_ERROR_STOP=1 dead <<'SQL'
DO $$ BEGIN FOR i IN 1..%d LOOP
	EXECUTE format('CREATE TABLE t%%s (id int PRIMARY KEY, note text)', i);
	EXECUTE format('INSERT INTO t%%s SELECT g, repeat(''x'', 100) FROM generate_series(1, 2000) g', i);
	EXECUTE format('DELETE FROM t%%s WHERE id %%%% 3 <> 0', i);
END LOOP; END $$;
CHECKPOINT;
SQL`, deadTables))
}
