//go:build long

package restore_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/postgres/scratch"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
)

// server starts one that a test has to itself.
func server(t *testing.T, settings map[string]string) *scratch.Cluster {
	t.Helper()
	c, err := scratch.Start(t.Context(), scratch.Options{Dir: shortDir(t), Runner: scratchtest.Runner(), Locale: "C.UTF-8", Settings: settings})
	must(t, err)
	t.Cleanup(func() {
		if err := c.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return c
}

// Promise: 5,000 tables, each with a key and a sequence, in a server with
// PostgreSQL's own settings: its table of locks is no obstacle.
func TestHardManyTables(t *testing.T) {
	s := server(t, map[string]string{"max_connections": "100", "max_locks_per_transaction": "64", "max_prepared_transactions": "0", "max_wal_senders": "10", "wal_level": "replica"})
	hard{name: "many", database: "many", after: many()}.run(t, s)
}

// many makes tables in transactions that take few locks each.
func many() (all []string) {
	for i := range 100 {
		all = append(all, fmt.Sprintf(`DO $$ BEGIN FOR i IN %d..%d LOOP
			EXECUTE format('CREATE TABLE %%I (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, t text)', 'table ' || i);
			EXECUTE format('INSERT INTO %%I (t) VALUES (%%L)', 'table ' || i, i); END LOOP; END $$`, i*50, i*50+49))
	}
	return all
}

// Promise: a table with as many columns as PostgreSQL allows.
func TestHardManyColumns(t *testing.T) {
	t.Parallel()
	h := hard{name: "columns", database: "columns", after: []string{`DO $$ BEGIN EXECUTE (SELECT 'CREATE TABLE wide (' || string_agg(format('%I int', 'c ' || i), ', ') || ')' FROM generate_series(1, 1600) i);
		EXECUTE (SELECT 'INSERT INTO wide SELECT ' || string_agg('j * ' || i, ', ') || ' FROM generate_series(1, 100) j' FROM generate_series(1, 1600) i); END $$`}}
	h.run(t, scratchtest.Server(t))
}
